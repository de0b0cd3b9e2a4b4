"""Atomic file writes: after a crash at any moment, a file has either its new content or its previous one."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replace_atomically(file: Path, *, previous: Path | None = None) -> Iterator[BinaryIO]:
    """Open a temporary file beside `file` for writing, and rename it to `file` at the end.

    If `previous` is given, the replaced content is kept there, in case the new content is damaged later.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(f".{uuid.uuid4().hex}.tmp")  # process ids repeat in containers
    try:
        with temporary.open("wb") as opened:
            yield opened
            opened.flush()
            os.fsync(opened.fileno())
        if previous is not None and file.exists():
            os.replace(file, previous)
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)
