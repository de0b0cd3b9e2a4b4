"""Completion, in the shells themselves."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import absent

ROOT = Path(__file__).parents[2]

SECOND = ("rdw compare small --ratio .5 --rule dwr w", {"width"})  # fish knows no option that takes several values
ASKED = [
    ("rdw sc", {"scale"}),
    ("rdw tri", {"trials"}),
    ("rdw trials ", {"list", "show", "cancel", "retry", "watch", "download"}),
    ("rdw scale efficientnet_b0 --fl", {"--flops"}),
    ("rdw scale efficientnet_b0 --flops 200M --rule d", {"dwr", "depth"}),
    ("rdw trials list --state c", {"completed", "cancelled"}),
    ("rdw study fro", {"front"}),
    ("rdw completion z", {"zsh"}),
    SECOND,
    ("rdw compare small --rule dwr width --ra", {"--ratio"}),
    ("rdw train small --recipe digi", {"digits-smoke"}),
    ("rdw study create mine small --dataset dig", {"digits"}),
    ("rdw trials download 0000 log.csv mod", {"model.onnx"}),
    ("rdw architectures a", {"add"}),
    ("rdw scale small --rule=ti", {"tiny_formula"}),
    ("rdw trials list --state=", {"queued", "running", "completed", "failed", "cancelled"}),
]


def script(shell: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "app.cli", "completion", shell],
        check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ).stdout  # fmt: skip


def offered(shell: str, program: str, tmp_path: Path) -> set[str]:
    if shutil.which(shell) is None:
        absent(shell)
    ran = subprocess.run(
        [shell, "-c", program], capture_output=True, text=True, timeout=60, env={**os.environ, "HOME": str(tmp_path)}
    )
    assert ran.returncode == 0, ran.stderr
    return {line.partition("\t")[0] for line in ran.stdout.split("\n") if line} - {"--help", "-h"}


@pytest.mark.parametrize(("typed", "wanted"), ASKED)
def test_bash(typed: str, wanted: set[str], tmp_path: Path) -> None:
    words = typed.replace("=", " = ").rstrip().split(" ") if "=" in typed else typed.split(" ")  # as it splits them
    program = f"""{script("bash")}
complete -p rdw >/dev/null
COMP_WORDS=({" ".join(repr(word) for word in words)}); COMP_CWORD={len(words) - 1}
_rdw; printf '%s\\n' "${{COMPREPLY[@]}}" """

    assert offered("bash", program, tmp_path) == wanted


@pytest.mark.parametrize(("typed", "wanted"), [one for one in ASKED if one != SECOND])
def test_fish(typed: str, wanted: set[str], tmp_path: Path) -> None:
    found = offered("fish", f"{script('fish')}\ncomplete -C '{typed}'", tmp_path)
    assert {word.rpartition("=")[2] for word in found} == wanted


@pytest.mark.parametrize(("typed", "wanted"), ASKED)
def test_zsh(typed: str, wanted: set[str], tmp_path: Path) -> None:
    """As its bashcompinit calls it: with --rule=x in one word. It chooses by itself what begins so."""
    words = typed.split(" ")
    program = f"""{script("zsh")}
emulate sh; setopt kshglob noshglob braceexpand
COMP_WORDS=({" ".join(repr(word) for word in words)}); COMP_CWORD={len(words) - 1}
_rdw; printf '%s\\n' "${{COMPREPLY[@]}}" """

    found = {word for word in offered("zsh", program, tmp_path) if word.startswith(words[-1])}
    assert {word.rpartition("=")[2] for word in found} == wanted


TYPED = [
    ("cost mine-\t", "cost mine-network.json"),
    ("cost fold\t", "cost folder/"),
    ("cost --config mine-\t", "cost --config mine-network.json"),
    ("scale mine-\t --ratio=.5 --rule=ti\t", "scale mine-network.json --ratio=.5 --rule=tiny_formula"),
    ("compare small --rule dwr comp\t", "compare small --rule dwr compound"),
    ("train small --recipe digits-s\t", "train small --recipe digits-smoke"),
    ("train small --recipe mine-\t", "train small --recipe mine-network.json"),
    ("study import abcd mine-\t", "study import abcd mine-network.json"),
    ("study export abcd --to mine-\t", "study export abcd --to mine-network.json"),
    ("study export abcd --to=mine-\t", "study export abcd --to=mine-network.json"),
    ("cost with\t", "cost with blank.json"),
    ("trials show mine-\t", "trials show mine-"),  # no file is a trial
    ("scale small --flops mine-\t", "scale small --flops mine-"),
    ("sca\t", "scale"),  # and not scale/, which is a folder
]


@pytest.mark.parametrize(("typed", "wanted"), TYPED)
def test_bash_at_the_keyboard(typed: str, wanted: str, tmp_path: Path) -> None:
    (tmp_path / "mine-network.json").touch()
    (tmp_path / "with blank.json").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "scale").mkdir()
    rc = tmp_path / "rc"
    rc.write_text(f"""{script("bash")}
rdw() {{ local IFS=' '; echo "<$*>"; exit; }}
bind 'set bell-style none'
PS1='ready: '
""")
    ours, theirs = pty.openpty()
    bash = subprocess.Popen(
        ["bash", "--rcfile", str(rc), "-i"], stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path,
        start_new_session=True, env={**os.environ, "TERM": "dumb", "HOME": str(tmp_path)},
    )  # fmt: skip
    os.close(theirs)
    shown = ""
    try:
        while not shown.endswith("ready: "):
            shown += os.read(ours, 10_000).decode()
        os.write(ours, f"rdw {typed}\n".encode())
        while ">\r\n" not in shown:
            shown += os.read(ours, 10_000).decode()
    finally:
        bash.kill()
        bash.wait()
        os.close(ours)

    assert f"<{wanted}>\r\n" in shown


def test_zsh_takes_it(tmp_path: Path) -> None:
    """Loaded, and registered for the command."""
    assert offered("zsh", f"{script('zsh')}\nprint -r -- ${{_comps[rdw]}}", tmp_path) == {
        "_bash_complete -o default -F _rdw"
    }
