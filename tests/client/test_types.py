"""A program that uses the client passes a strict type checker."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from tests.support import skip_without

ROOT = Path(__file__).parents[2]

PROGRAM = """\
import asyncio
from dataclasses import dataclass

from rdw_client import AsyncClient, Client, Recommendation


@dataclass
class Network:
    r: float = 1.0


def at_once() -> int:
    with Client() as rdw:
        found = rdw.scale("efficientnet_b0", ratio=0.5)
        same = rdw.cost("efficientnet_b0", multipliers=found.multipliers)
        return same.cost.flops + rdw.cost("efficientnet_b0", multipliers=Network()).cost.flops


async def side_by_side() -> list[Recommendation]:
    async with AsyncClient() as rdw:
        first = asyncio.create_task(rdw.scale("efficientnet_b0", ratio=0.5))
        async with asyncio.TaskGroup() as group:
            second = group.create_task(rdw.scale("efficientnet_b0", ratio=0.25))
        return [await first, second.result(), *await asyncio.gather(rdw.scale("efficientnet_b0", ratio=0.1))]


print(at_once(), asyncio.run(side_by_side()))
"""


def test_async_methods_are_typed_as_coroutines(tmp_path: Path) -> None:
    if find_spec("mypy") is None:
        skip_without("mypy")
    (tmp_path / "program.py").write_text(PROGRAM)
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "program.py"],
        capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "MYPYPATH": str(ROOT / "client")},
    )  # fmt: skip

    assert checked.returncode == 0, checked.stdout + checked.stderr
