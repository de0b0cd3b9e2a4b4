"""Loads data sets for classification: reads them, checks their digest, and splits them without duplicates."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from app.data import builtin_images, fonts
from app.data.builtin_datasets import Dataset, Part, fetch_hint, held_out
from app.data.folder_scan import FolderError
from app.data.image_checks import OnRead, PixelHashes, UnreadableImages
from app.scaling.resolution import sides_of
from worker.data.folders import read_folder
from worker.data.glyphs import read_rendered, render_and_cache
from worker.data.image_store import DataError, Images, UnreadableImage, digest_arrays

MEMORY_LIMIT = 2 * 10**9
_SPLIT_SEED = 0
_VALIDATION_SHARE = 0.1

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Splits:
    """Three parts without common images: validation is for model selection, test only for reporting.

    `digest` is the data set's; `duplicates` counts the images that were removed because another part has them.
    `classes` has the names of the classes by label.
    """

    train: Images
    validation: Images
    test: Images
    num_classes: int
    digest: str
    duplicates: int = 0
    classes: tuple[str, ...] = ()

    @property
    def parts(self) -> dict[Part, Images]:
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def provenance(self) -> dict[str, Any]:
        """Describe the images for a trial's result, as plain data."""
        return {
            "data_digest": self.digest,
            "split_digest": self.split_digest,
            "images": {**{name: len(part) for name, part in self.parts.items()}, "left_out": self.duplicates},
        }

    @cached_property
    def split_digest(self) -> str:
        """The SHA-256 of the pixel hashes and labels of each part, in order."""
        digest = hashlib.sha256()
        for part in self.parts.values():
            digest.update(f"{len(part)}\n".encode())
            digest.update(part.pixel_hashes().tobytes() + part.labels.numpy().tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class _RawParts:
    """A data set as it was read; a share of the training images is held out for each part that is None."""

    train: Images
    validation: Images | None = None
    test: Images | None = None
    classes: tuple[str, ...] = ()


def load(
    dataset: Dataset,
    data_dir: Path,
    limit: int | None = None,
    *,
    memory_limit: int = MEMORY_LIMIT,
    readers: int = 1,
    on_read: OnRead = lambda done, of: None,
) -> Splits:
    """Load a data set with at most `limit` training images, a balanced selection that is always the same.

    Without parts of its own, a balanced fifth is held out for test, and a tenth of the rest for validation. Images with
    identical pixels are kept in one part only: test first, then validation, then train. Images in files are read with
    `readers` threads, and kept in memory if all parts take at most `memory_limit` bytes.
    Raises: DataError; what `on_read` raises.
    """
    raw = _read(dataset, data_dir, readers, on_read)
    train, validation, test = raw.train, raw.validation, raw.test
    if test is None:
        test, train = _split(train, held_out(len(train)))
    if validation is None:
        validation, train = _split(train, round(_VALIDATION_SHARE * len(train)))
    total = len(train) + len(validation)
    validation = _remove_duplicates(validation, test.pixel_hashes())
    train = _remove_duplicates(train, np.concatenate([validation.pixel_hashes(), test.pixel_hashes()]))
    duplicates = total - len(train) - len(validation)
    _require_all_classes(dataset, train, validation)
    if limit is not None and limit < len(train):
        train, _ = _split(train, limit)
    parts = (train, validation, test)
    if sum(dataset.channels * prod(sides_of(part.resolution)) * len(part) for part in parts) <= memory_limit:
        train, validation, test = (part.read_into_memory(readers) for part in parts)
    return Splits(train, validation, test, dataset.num_classes, dataset.digest, duplicates, raw.classes)


def _split(images: Images, n: int) -> tuple[Images, Images]:
    """Return a balanced selection of `n` images, and the others."""
    selected, others = _balanced_indices(images.labels.numpy(), n)
    return images.select(selected), images.select(others)


def _remove_duplicates(images: Images, others: PixelHashes) -> Images:
    return images.select(np.flatnonzero(~np.isin(images.pixel_hashes(), others)))


def _require_all_classes(dataset: Dataset, train: Images, validation: Images) -> None:
    """Raise DataError if a class has no training images, or there are no validation images."""
    missing = set(range(dataset.num_classes)) - set(train.labels.tolist())
    if missing or not len(validation):
        raise DataError(
            f"{dataset.name!r} has too few images that are not also in its test part: {len(missing)} of its "
            f"{dataset.num_classes} classes have no training image, and {len(validation)} validation images are left."
        )


def _check_digest(dataset: Dataset, actual: str) -> None:
    """Raise DataError if the images read are not those of the data set."""
    if actual == dataset.digest:
        return
    remedy = "restore them, or register the folder under another name" if dataset.folder else fetch_hint(dataset.name)
    raise DataError(
        f"The images of {dataset.name!r} have changed (digest {actual[:12]}…, expected {dataset.digest[:12]}…): "
        f"{remedy}."
    )


def _balanced_indices(labels: Labels, n: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return `n` indices with the same shares of classes as all, and the others.

    The images of each class are spread evenly over one random order, whose first `n` are selected.
    """
    rng = np.random.default_rng(_SPLIT_SEED)
    position = np.empty(len(labels))
    for label in np.unique(labels):
        in_class = np.flatnonzero(labels == label)
        position[rng.permutation(in_class)] = (np.arange(len(in_class)) + rng.random()) / len(in_class)
    order = np.argsort(position, kind="stable")
    return np.sort(order[:n]), np.sort(order[n:])


def _read(dataset: Dataset, data_dir: Path, readers: int, on_read: OnRead) -> _RawParts:
    match dataset.kind:
        case "idx":
            return _read_idx_files(dataset, data_dir)
        case "digits":
            return _read_digits(dataset)
        case "typefaces":
            return _read_typefaces(dataset, data_dir)
        case "folder":
            return _read_image_folder(dataset, data_dir, readers, on_read)
        case "scenes":
            raise ValueError(f"{dataset.name} is loaded by worker.data.scenes")


def _read_idx_files(dataset: Dataset, data_dir: Path) -> _RawParts:
    try:
        train = builtin_images.read_fashion_mnist(data_dir, "train")
        test = builtin_images.read_fashion_mnist(data_dir, "test")
    except builtin_images.ImagesUnavailable as error:
        raise DataError(str(error)) from error
    _check_digest(dataset, digest_arrays(*train, *test))
    return _RawParts(_to_images(*train), test=_to_images(*test), classes=dataset.classes)


def _read_digits(dataset: Dataset) -> _RawParts:
    pixels, labels = builtin_images.read_digits()
    _check_digest(dataset, digest_arrays(pixels, labels))
    return _RawParts(_to_images(pixels, labels), classes=dataset.classes)


def _read_image_folder(dataset: Dataset, data_dir: Path, readers: int, on_read: OnRead) -> _RawParts:
    try:
        digest, classes, (train, validation, test) = read_folder(dataset, data_dir, readers, on_read)
    except UnreadableImages as error:
        if error.count == 1:
            raise UnreadableImage(f"{dataset.folder}/{error.files[0]}") from error
        raise DataError(str(error)) from error
    except FolderError as error:
        raise DataError(str(error)) from error
    _check_digest(dataset, digest)
    if train is None:
        raise DataError(f"{dataset.name!r} has no training images.")
    return _RawParts(train, validation, test, classes)


def _read_typefaces(dataset: Dataset, data_dir: Path) -> _RawParts:
    glyphs = read_rendered(dataset.digest, data_dir)
    if glyphs is None:
        if reason := fonts.unavailable_reason(dataset.digest):
            raise DataError(reason)
        try:
            glyphs = render_and_cache(fonts.find_installed(), data_dir)
        except fonts.FontsError as error:
            raise DataError(str(error)) from error
    train, validation, test = (_to_images(*glyphs.part(part)) for part in fonts.PARTS)
    return _RawParts(train, validation, test, tuple(fonts.CLASSES))


def _to_images(pixels: Pixels, labels: Labels) -> Images:
    return Images(torch.tensor(pixels), torch.tensor(labels))
