"""`rdw completion`: commands, options and their values for the shell, made from the parser itself."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


def add_command(commands: Any) -> None:
    text = "print a shell's completion script"
    parser = commands.add_parser(
        "completion",
        help=text,
        description='Print a completion script. bash, zsh: eval "$(rdw completion bash)" in ~/.bashrc or ~/.zshrc; '
        "fish: rdw completion fish > ~/.config/fish/completions/rdw.fish",
    )
    parser.add_argument("shell", choices=tuple(_SCRIPTS), help="the shell that reads it")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from app.cli.parser import parser

    print(_SCRIPTS[arguments.shell](list(levels(parser(), "rdw"))), end="")
    return 0


@dataclass(frozen=True)
class _Option:
    names: tuple[str, ...]
    takes_value: bool
    values: tuple[str, ...]
    help: str


@dataclass(frozen=True)
class _Level:
    """A command, what may stand below it, and its options; `words` are what its first argument may be."""

    path: str
    commands: dict[str, str]
    options: tuple[_Option, ...]
    words: tuple[str, ...]

    @property
    def all_words(self) -> list[str]:
        return [*self.commands, *self.words, *(name for option in self.options for name in option.names)]


def levels(parser: argparse.ArgumentParser, path: str) -> Iterator[_Level]:
    options, words = [], []
    below: dict[str, argparse.ArgumentParser] = {}
    said: dict[str, str] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            below = dict(action.choices)
            said = {choice.dest: choice.help or "" for choice in action._choices_actions}
        elif action.option_strings:
            values = tuple(str(choice) for choice in action.choices or ())
            takes = action.nargs != 0
            options.append(_Option(tuple(action.option_strings), takes, values, action.help or ""))
        else:
            words += [str(choice) for choice in action.choices or ()]
    yield _Level(path, {name: said.get(name, "") for name in below}, tuple(options), tuple(words))
    for name, one in below.items():
        yield from levels(one, f"{path} {name}")


def _bash(levels: list[_Level]) -> str:
    """Bash's words: the level is found by walking what was typed; values of options are stepped over."""
    words = "\n".join(
        f"    {shlex.quote(level.path)}) echo {shlex.quote(' '.join(level.all_words))} ;;" for level in levels
    )
    values = "\n".join(
        f"    {'|'.join(shlex.quote(f'{level.path} {name}') for name in option.names)}) "
        f"echo {shlex.quote(' '.join(option.values) or '@')} ;;"
        for level in levels
        for option in level.options
        if option.takes_value
    )
    return _BASH.replace("@WORDS@", words).replace("@VALUES@", values)


def _zsh(levels: list[_Level]) -> str:
    """zsh runs bash's with its own bashcompinit."""
    return "autoload -Uz compinit bashcompinit\n(( $+functions[compdef] )) || compinit -u\nbashcompinit\n" + _bash(
        levels
    )


def _fish(levels: list[_Level]) -> str:
    lines = [_FISH.replace("@PATHS@", " ".join(shlex.quote(level.path) for level in levels if level.path != "rdw"))]
    for level in levels:
        at = f'complete -c rdw -n "__rdw_at {level.path}"'
        lines += [f"{at} -f -a {shlex.quote(name)} -d {_fished(text)}" for name, text in level.commands.items()]
        lines += [f"{at} -f -a {shlex.quote(word)}" for word in level.words]
        for option in level.options:
            names = " ".join(f"-l {n[2:]}" if n.startswith("--") else f"-s {n[1:]}" for n in option.names)
            takes = (
                f" -x -a {shlex.quote(' '.join(option.values))}"
                if option.values
                else " -r"
                if option.takes_value
                else ""
            )
            lines.append(f"{at} {names}{takes} -d {_fished(option.help)}")
    return "\n".join(lines) + "\n"


def _fished(text: str) -> str:
    """A description in fish's quotes."""
    plain = text.replace("%(default)s", "…").replace("%%", "%").replace("\\", "\\\\").replace("'", "\\'")
    return f"'{plain}'"


_BASH = """\
_rdw_words() {
  case "$1" in
@WORDS@
    *) return 1 ;;
  esac
}
_rdw_values() {
  case "$1" in
@VALUES@
    *) return 1 ;;
  esac
}
_rdw() {
  local here=rdw word i skip= values
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ -n $skip ]]; then skip=; continue; fi
    if [[ $word == -* ]]; then _rdw_values "$here $word" >/dev/null && skip=1; continue; fi
    _rdw_words "$here $word" >/dev/null && here="$here $word"
  done
  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
  if values=$(_rdw_values "$here $before"); then
    if [[ $values == @ ]]; then COMPREPLY=($(compgen -f -- "$current")); return; fi
    COMPREPLY=($(compgen -W "$values" -- "$current")); return
  fi
  COMPREPLY=($(compgen -W "$(_rdw_words "$here")" -- "$current"))
}
complete -o filenames -F _rdw rdw
"""

_FISH = """\
set -g __rdw_paths @PATHS@
function __rdw_at
  set -l here rdw
  for word in (commandline -opc)[2..-1]
    if contains -- "$here $word" $__rdw_paths
      set here "$here $word"
    end
  end
  test "$here" = "$argv"
end
"""

_SCRIPTS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
