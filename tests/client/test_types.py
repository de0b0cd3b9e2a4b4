"""What a strict type checker says to a program that uses the client."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from tests.support import absent

ROOT = Path(__file__).parents[2]

PROGRAM = """\
import asyncio

from rdw_client import AsyncClient, Client, Recommendation


def at_once() -> int:
    with Client() as rdw:
        return rdw.scale("efficientnet_b0", ratio=0.5).cost.flops


async def side_by_side() -> list[Recommendation]:
    async with AsyncClient() as rdw:
        first = asyncio.create_task(rdw.scale("efficientnet_b0", ratio=0.5))
        async with asyncio.TaskGroup() as group:
            second = group.create_task(rdw.scale("efficientnet_b0", ratio=0.25))
        return [await first, second.result(), *await asyncio.gather(rdw.scale("efficientnet_b0", ratio=0.1))]


print(at_once(), asyncio.run(side_by_side()))
"""


def test_its_calls_are_coroutines_of_their_answers(tmp_path: Path) -> None:
    if find_spec("mypy") is None:
        absent("mypy")
    (tmp_path / "program.py").write_text(PROGRAM)
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "program.py"],
        capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "MYPYPATH": str(ROOT / "client")},
    )  # fmt: skip

    assert checked.returncode == 0, checked.stdout + checked.stderr
