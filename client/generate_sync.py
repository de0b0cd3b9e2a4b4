"""Generates the synchronous client from the asynchronous one: `python client/generate_sync.py`.

`async_client.py` becomes `client.py`, and `async_transport.py` becomes `transport.py`. `tests/client/test_generated.py`
checks that they are up to date.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from unasync import Rule, unasync_files

PACKAGE = Path(__file__).parent / "rdw_client"
GENERATED = {"async_client.py": "client.py", "async_transport.py": "transport.py"}
NAMES = {
    "AbstractAsyncContextManager": "AbstractContextManager",
    "AsyncClient": "Client",
    "AsyncTransport": "Transport",
    "aclose": "close",
    "aiter_bytes": "iter_bytes",
    "aiter_lines": "iter_lines",
    "aread": "read",
    "async_transport": "transport",
    "async_write": "write",
    "asyncio": "time",  # for `from asyncio import sleep`
}


def generate(source: str, folder: Path) -> str:
    """Generate the synchronous form of a module in `folder`, and return it."""
    shutil.copy(PACKAGE / source, folder)
    unasync_files([str(folder / source)], [Rule(source, GENERATED[source], NAMES)])
    generated = folder / GENERATED[source]
    lines = generated.read_text().splitlines(keepends=True)
    lines[0] = f'"""The synchronous form of `{source}`, generated from it by `generate_sync.py`: do not edit."""\n'
    generated.write_text("".join(lines))
    ruff = [sys.executable, "-m", "ruff"]
    config = ["--config", str(Path(__file__).parents[1] / "pyproject.toml"), str(generated)]
    subprocess.run([*ruff, "check", "--quiet", "--fix", "--unsafe-fixes", "--select", "I,UP028", *config], check=True)
    subprocess.run([*ruff, "format", "--quiet", *config], check=True)
    return generated.read_text()


def main() -> None:
    for source, target in GENERATED.items():
        with tempfile.TemporaryDirectory() as folder:
            (PACKAGE / target).write_text(generate(source, Path(folder)))


if __name__ == "__main__":
    main()
