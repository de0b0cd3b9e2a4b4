"""A file is written beside its place and then renamed: whole, or not there."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def target(to: str | Path, file: str) -> Path:
    """Where a file of that name goes: `to` may be a folder."""
    path = Path(to)
    return path / file if path.is_dir() else path


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """To be written; nothing is left where that fails."""
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as opened:
            yield opened
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
