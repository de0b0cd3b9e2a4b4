"""A training's state on disk: a whole file or none."""

from __future__ import annotations

import logging
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch

log = logging.getLogger("rdw.worker")


@contextmanager
def whole(file: Path) -> Iterator[BinaryIO]:
    """Opened beside, renamed at the end: a kill at any moment leaves this content or the one before."""
    file.parent.mkdir(parents=True, exist_ok=True)
    half = file.with_suffix(f".{os.getpid()}.half")
    try:
        with half.open("wb") as opened:
            yield opened
            opened.flush()
            os.fsync(opened.fileno())
        os.replace(half, file)
    finally:
        half.unlink(missing_ok=True)


def save(file: Path, state: dict[str, Any]) -> None:
    with whole(file) as opened:
        torch.save(state, opened)


def load(file: Path) -> dict[str, Any] | None:
    """The state, or None where there is none or the file is damaged. Only tensors and plain values are read."""
    if not file.exists():
        return None
    try:
        with zipfile.ZipFile(file) as members:  # torch does not look at the checksums that it writes
            if damaged := members.testzip():
                raise zipfile.BadZipFile(damaged)
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # what was meant for a pickle and is garbage raises anything
        log.warning("the checkpoint %s is damaged (%s); the training starts anew", file.name, error)
        return None
    return state
