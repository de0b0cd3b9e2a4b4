"""Reads image folders: their images stay in their files until they are needed."""

from __future__ import annotations

from pathlib import Path

import torch

from app.data import image_folders
from app.data.builtin_datasets import Dataset
from app.data.image_checks import OnRead
from app.data.labelled_images import PARTS
from worker.data.image_store import FileImages, Images


def read_folder(
    dataset: Dataset, data_dir: Path, readers: int, on_read: OnRead
) -> tuple[str, tuple[str, ...], list[Images | None]]:
    """Return the folder's digest, its classes, and its training, validation and test images; None for a missing part.

    All files are read and decoded unless that was done before, at its registration for example, and no name, size or
    time has changed since.
    Raises: FolderError; what `on_read` raises.
    """
    folder = dataset.folder or ""
    labelled = image_folders.list_images(folder, data_dir, dataset.layout)
    digest, channels, hashes = image_folders.check(
        folder, data_dir, labelled, dataset.native_px, dataset.background, readers, on_read, dataset.channels
    )
    path = image_folders.locate(folder, data_dir)
    all_images = FileImages(
        path, folder, labelled.paths, dataset.native_px, dataset.background, hashes.pixels, channels
    )
    parts: list[Images | None] = []
    for part in PARTS:
        indices = torch.from_numpy(labelled.indices(part))
        labels = torch.from_numpy(labelled.labels[labelled.indices(part)]).long()
        parts.append(Images(all_images.select(indices), labels) if len(indices) else None)
    return digest, labelled.classes, parts
