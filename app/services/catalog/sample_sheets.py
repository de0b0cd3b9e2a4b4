"""Sheets of sample images: training images of a data set with their labels, as they enter a network."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.core.errors import Conflict
from app.data.builtin_datasets import Dataset
from app.data.builtin_images import ImagesUnavailable
from app.data.sample_images import read_samples
from app.data.sample_sheets import draw_sheet
from app.db.unit_of_work import UnitOfWork
from app.scaling.resolution import Resolution, sides_of, to_resolution
from app.services.catalog import datasets

_VERSION = 1  # increment when the same images give another sheet


@dataclass(frozen=True)
class SampleSheet:
    """What decides a sheet: the data set, its samples if it is a folder, and the size of the images."""

    dataset: Dataset
    chosen: list[dict[str, Any]]
    size: Resolution

    @property
    def tag(self) -> str:
        return hashlib.sha256(f"{_VERSION} {self.dataset.digest} {self.size}".encode()).hexdigest()[:32]

    def draw(self, data_dir: Path) -> bytes:
        """Return the sheet as PNG. Raises: Conflict if the images are not on this machine, or have changed."""
        try:
            return draw_sheet(read_samples(self.dataset, self.chosen, data_dir), self.size)
        except ImagesUnavailable as error:
            raise Conflict(str(error)) from error


def find(work: UnitOfWork, name: str, px: int | None) -> SampleSheet:
    """Return the sheet of a data set with images of this longer side in px, by default that of its images.

    Raises: UnknownDataset; Conflict if its images are being checked for the first time, or an earlier version did.
    """
    dataset = datasets.find(work, name)
    row = work.datasets.get(dataset.name)
    chosen = (row.report or {}).get("samples", []) if row else []
    if dataset.kind == "folder" and not chosen:
        raise Conflict(f"An earlier version registered {dataset.name!r} without samples: refresh the data set.")
    return SampleSheet(dataset, chosen, dataset.native_px if px is None else _resize(dataset.native_px, px))


def _resize(resolution: Resolution, px: int) -> Resolution:
    """Return the resolution of the same aspect whose longer side has this many px."""
    height, width = sides_of(resolution)
    longer = max(height, width)
    return to_resolution([max(1, round(side * px / longer)) for side in (height, width)])
