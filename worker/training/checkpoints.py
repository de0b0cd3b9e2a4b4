"""The state of a training on disk; a checkpoint is either complete or absent."""

from __future__ import annotations

import logging
import zipfile
from pathlib import Path
from typing import Any

import torch

from worker.atomic_files import replace_atomically

log = logging.getLogger("rdw.worker")


def save(file: Path, state: dict[str, Any], *, keep_previous: bool = False) -> None:
    with replace_atomically(file, previous=_previous(file) if keep_previous else None) as opened:
        torch.save(state, opened)


def load(file: Path) -> dict[str, Any] | None:
    """Return the state, or the previous one if the file is damaged or missing; None if there is neither.

    Only tensors and plain values are loaded.
    """
    return _read(file) or _read(_previous(file))


def _previous(file: Path) -> Path:
    return file.with_suffix(f".before{file.suffix}")


def _read(file: Path) -> dict[str, Any] | None:
    if not file.exists():
        return None
    try:
        with zipfile.ZipFile(file) as members:  # torch does not verify the checksums that it writes
            if damaged := members.testzip():
                raise zipfile.BadZipFile(damaged)
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling garbage raises any kind of error
        log.warning("the checkpoint %s is damaged and ignored: %s", file.name, error)
        return None
    return state
