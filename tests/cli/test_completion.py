"""Completion, in the shells themselves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import absent

ROOT = Path(__file__).parents[2]

ASKED = [
    ("rdw sc", {"scale"}),
    ("rdw tri", {"trials"}),
    ("rdw trials ", {"list", "show", "cancel", "retry", "watch", "download"}),
    ("rdw scale efficientnet_b0 --fl", {"--flops"}),
    ("rdw scale efficientnet_b0 --flops 200M --rule d", {"dwr", "depth"}),
    ("rdw trials list --state c", {"completed", "cancelled"}),
    ("rdw study fro", {"front"}),
    ("rdw completion z", {"zsh"}),
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
    words = typed.split(" ")
    program = f"""{script("bash")}
complete -p rdw >/dev/null
COMP_WORDS=({" ".join(repr(word) for word in words)}); COMP_CWORD={len(words) - 1}
_rdw; printf '%s\\n' "${{COMPREPLY[@]}}" """

    assert offered("bash", program, tmp_path) == wanted


@pytest.mark.parametrize(("typed", "wanted"), ASKED)
def test_fish(typed: str, wanted: set[str], tmp_path: Path) -> None:
    assert offered("fish", f"{script('fish')}\ncomplete -C '{typed}'", tmp_path) == wanted


def test_zsh_takes_it(tmp_path: Path) -> None:
    """Loaded, and registered for the command; the words are those of bash."""
    program = f"{script('zsh')}\n[[ -n ${{_comps[rdw]}} ]] && _rdw_words 'rdw trials' | tr ' ' '\\n'"

    assert {"list", "watch", "download"} <= offered("zsh", program, tmp_path)
