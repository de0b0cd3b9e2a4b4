"""The client is a distribution of its own: neither the server's packages nor torch are needed."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

from tests.serving import Served

ROOT = Path(__file__).parents[2]

# An import hook that refuses all but the client, httpx with what it stands on, and the standard library.
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

async def likewise():
    async with AsyncClient() as rdw:
        return (await rdw.scale("efficientnet_b0", flops=200_000_000)).config["resolution"]

with Client() as rdw:
    print(rdw.scale("efficientnet_b0", flops=200_000_000).config["resolution"], asyncio.run(likewise()))
"""


def test_it_works_without_everything_else(service: Served, tmp_path: Path) -> None:
    asked = subprocess.run(
        [sys.executable, "-c", ALONE],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        env={**service.environment, "PYTHONPATH": str(ROOT / "client")},
    )

    assert asked.stdout.split() == ["188", "188"], asked.stderr


def test_both_distributions_have_it_with_its_types() -> None:
    own = tomllib.loads((ROOT / "client" / "pyproject.toml").read_text())
    whole = tomllib.loads((ROOT / "pyproject.toml").read_text())

    assert own["project"]["dependencies"] == [d for d in whole["project"]["dependencies"] if d.startswith("httpx")]
    assert own["project"]["version"] == whole["project"]["version"]
    assert own["tool"]["setuptools"]["package-data"]["rdw_client"] == ["py.typed"]
    assert whole["tool"]["setuptools"]["package-data"]["rdw_client"] == ["py.typed"]
    assert (ROOT / "client" / "rdw_client" / "py.typed").is_file()
