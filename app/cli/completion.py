"""`rdw completion`: commands, options and their values for the shell, made from the parser itself."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from app.cli.offering import may_be_file, offered


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
class _Offer:
    """What may stand at a place: words, and a file where it may be one. `many`: others may follow."""

    words: tuple[str, ...]
    files: bool = False
    many: bool = False


@dataclass(frozen=True)
class _Option:
    """`value` is none where it takes none."""

    names: tuple[str, ...]
    value: _Offer | None
    help: str


@dataclass(frozen=True)
class _Level:
    """A command, what may stand below it, its options, and what its arguments may be."""

    path: str
    commands: dict[str, str]
    options: tuple[_Option, ...]
    arguments: _Offer

    @property
    def option_names(self) -> list[str]:
        return [name for option in self.options for name in option.names]


def levels(parser: argparse.ArgumentParser, path: str) -> Iterator[_Level]:
    options = []
    words, files = list[str](), False
    below: dict[str, argparse.ArgumentParser] = {}
    said: dict[str, str] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            below = dict(action.choices)
            said = {choice.dest: choice.help or "" for choice in action._choices_actions}
        elif action.option_strings:
            value = _Offer(offered(action), may_be_file(action), action.nargs in ("+", "*"))
            options.append(
                _Option(tuple(action.option_strings), None if action.nargs == 0 else value, action.help or "")
            )
        else:
            words += offered(action)
            files = files or may_be_file(action)
    arguments = _Offer(tuple(words), files)
    yield _Level(path, {name: said.get(name, "") for name in below}, tuple(options), arguments)
    for name, one in below.items():
        yield from levels(one, f"{path} {name}")


def _bash(levels: list[_Level]) -> str:
    """Bash's words: the level is found by walking what was typed; values of options are stepped over."""
    return (
        _BASH.replace("@WORDS@", "\n".join(_case([level.path], _at(level)) for level in levels))
        .replace("@OPTIONS@", "\n".join(f"    {_quoted(v.path)}) echo {_joined(v.option_names)} ;;" for v in levels))
        .replace(
            "@VALUES@",
            "\n".join(
                _case([f"{level.path} {name}" for name in option.names], option.value)
                for level in levels
                for option in level.options
                if option.value is not None
            ),
        )
    )


def _at(level: _Level) -> _Offer:
    """Where it has neither commands nor words its options are what there is to choose from."""
    words = (*level.commands, *level.arguments.words)
    alone = not words and not level.arguments.files
    return _Offer(tuple(level.option_names) if alone else words, level.arguments.files)


def _case(paths: list[str], offer: _Offer) -> str:
    told = ["many" if offer.many else "one", "files" if offer.files else "words", *offer.words]
    return f"    {'|'.join(_quoted(path) for path in paths)}) echo {_joined(told)} ;;"


def _joined(words: list[str]) -> str:
    return _quoted(" ".join(words))


def _quoted(text: str) -> str:
    return shlex.quote(text)


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
        only = "" if level.arguments.files else " -f"
        lines += [f"{at}{only} -a {shlex.quote(word)}" for word in level.arguments.words]
        for option in level.options:
            names = " ".join(f"-l {n[2:]}" if n.startswith("--") else f"-s {n[1:]}" for n in option.names)
            lines.append(f"{at} {names}{_fish_value(option.value)} -d {_fished(option.help)}")
    return "\n".join(lines) + "\n"


def _fish_value(value: _Offer | None) -> str:
    if value is None:
        return ""
    takes = " -r" if value.files else " -x"
    return f"{takes} -a {_joined(list(value.words))}" if value.words else takes


def _fished(text: str) -> str:
    """A description in fish's quotes."""
    plain = text.replace("%(default)s", "…").replace("%%", "%").replace("\\", "\\\\").replace("'", "\\'")
    return f"'{plain}'"


_BASH = """\
_rdw_at() {
  case "$1" in
@WORDS@
    *) return 1 ;;
  esac
}
_rdw_options() {
  case "$1" in
@OPTIONS@
  esac
}
_rdw_values() {
  case "$1" in
@VALUES@
    *) return 1 ;;
  esac
}
_rdw() {
  local here=rdw option= prefix= word told many files words i
  local current=${COMP_WORDS[COMP_CWORD]}
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ $word == "=" ]]; then continue; fi  # bash splits --rule=x there
    if [[ $word == -?* ]]; then
      option=; _rdw_values "$here $word" >/dev/null && option="$here $word"
    elif [[ -n $option ]]; then
      [[ $(_rdw_values "$option") == many* ]] || option=
    elif _rdw_at "$here $word" >/dev/null; then
      here="$here $word"
    fi
  done
  if [[ $current == --*=* ]]; then  # zsh does not
    option="$here ${current%%=*}" prefix="${current%%=*}=" current=${current#*=}
  elif [[ $current == "=" ]]; then
    current=
  elif [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$(_rdw_options "$here")" -- "$current")); return
  fi
  if [[ -n $option ]]; then told=$(_rdw_values "$option"); else told=$(_rdw_at "$here"); fi
  read -r many files words <<< "$told"
  COMPREPLY=($(compgen -P "$prefix" -W "$words" -- "$current"))
  [[ $files == files ]] || compopt +o default 2>/dev/null  # what is no file is not completed to one
  return 0
}
complete -o default -F _rdw rdw
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
