"""Files are written beside their destination and then renamed, so that they are complete or do not exist."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def destination(to: str | Path, name: str) -> Path:
    """Return the path of a file called `name`; `to` is that path itself, or the folder to put it in."""
    path = Path(to)
    return path / name if path.is_dir() else path


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing; if the block raises, nothing is left behind."""
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            yield file
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write(file: BinaryIO, chunk: bytes) -> None:
    file.write(chunk)


async def async_write(file: BinaryIO, chunk: bytes) -> None:
    """Write in a thread, since a slow disk would block the event loop."""
    await asyncio.to_thread(file.write, chunk)
