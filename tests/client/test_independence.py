"""The client needs neither the server's packages nor torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.serving import RunningService

ROOT = Path(__file__).parents[2]

# An import hook that refuses everything but the client, httpx with its dependencies, and the standard library.
ALONE = """
import importlib.abc, sys

ALLOWED = set("rdw_client httpx httpcore h11 anyio certifi idna sniffio typing_extensions exceptiongroup".split())

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in ALLOWED and top not in sys.stdlib_module_names:
            raise ModuleNotFoundError(f"No module named {name!r} (refused)", name=name)

sys.meta_path.insert(0, Refuse())
import asyncio
from rdw_client import AsyncClient, Client

async def wait_asynchronously():
    async with AsyncClient() as rdw:
        return (await rdw.scale("efficientnet_b0", flops=200_000_000)).config["resolution"]

with Client() as rdw:
    print(rdw.scale("efficientnet_b0", flops=200_000_000).config["resolution"], asyncio.run(wait_asynchronously()))
"""


def test_client_works_without_other_packages(service: RunningService, tmp_path: Path) -> None:
    completed = subprocess.run(
        [sys.executable, "-c", ALONE],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        env={**service.environment, "PYTHONPATH": str(ROOT / "client")},
    )

    assert completed.stdout.split() == ["188", "188"], completed.stderr
