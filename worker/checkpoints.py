"""A training's state on disk: a whole file or none."""

from __future__ import annotations

import logging
import os
import zipfile
from pathlib import Path
from typing import Any

import torch

log = logging.getLogger("rdw.worker")


def save(file: Path, state: dict[str, Any]) -> None:
    """Write beside, then rename: a kill at any moment leaves this state or the one before."""
    file.parent.mkdir(parents=True, exist_ok=True)
    half = file.with_suffix(f".{os.getpid()}.half")
    try:
        with half.open("wb") as opened:
            torch.save(state, opened)
            opened.flush()
            os.fsync(opened.fileno())
        os.replace(half, file)
    finally:
        half.unlink(missing_ok=True)


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
