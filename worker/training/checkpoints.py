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
def whole(file: Path, *, keep_before: bool = False) -> Iterator[BinaryIO]:
    """Opened beside, renamed at the end: a kill at any moment leaves this content or the one before.

    With `keep_before` the one before stays as well, for the case that this one is found damaged.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    half = file.with_suffix(f".{os.getpid()}.half")
    try:
        with half.open("wb") as opened:
            yield opened
            opened.flush()
            os.fsync(opened.fileno())
        if keep_before and file.exists():
            os.replace(file, _before(file))
        os.replace(half, file)
    finally:
        half.unlink(missing_ok=True)


def save(file: Path, state: dict[str, Any], *, keep_before: bool = False) -> None:
    with whole(file, keep_before=keep_before) as opened:
        torch.save(state, opened)


def load(file: Path) -> dict[str, Any] | None:
    """The state, or the one kept from before it where the file is damaged or not there; else None.

    Only tensors and plain values are read.
    """
    return _read(file) or _read(_before(file))


def _before(file: Path) -> Path:
    return file.with_suffix(f".before{file.suffix}")


def _read(file: Path) -> dict[str, Any] | None:
    if not file.exists():
        return None
    try:
        with zipfile.ZipFile(file) as members:  # torch does not look at the checksums that it writes
            if damaged := members.testzip():
                raise zipfile.BadZipFile(damaged)
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # what was meant for a pickle and is garbage raises anything
        log.warning("the checkpoint %s is damaged (%s)", file.name, error)
        return None
    return state
