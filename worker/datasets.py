"""Image sets: read, checked against their digest, split in three parts that have no image in common."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from app import image_folders, typefaces
from app.datasets import IDX_FILES, Dataset, Part, fashion_mnist_folder, held_out
from worker import folders
from worker.folders import OnRead
from worker.stored import DataError, Images, Marks, digest
from worker.typefaces import drawn

HOLD_BYTES = 2 * 10**9
_SPLIT_SEED = 0
_VALIDATION_SHARE = 0.1

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Splits:
    """Three parts that have no image in common: selection looks at validation, test is only reported.

    `digest` is the data set's; `left_out` counts the images that were taken out of one part since another has them.
    """

    train: Images
    validation: Images
    test: Images
    num_classes: int
    digest: str
    left_out: int = 0

    @property
    def parts(self) -> dict[Part, Images]:
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def provenance(self) -> dict[str, Any]:
        """Which images a result was obtained with, as plain data."""
        return {
            "data_digest": self.digest,
            "split_digest": self.split_digest,
            "images": {**{name: len(part) for name, part in self.parts.items()}, "left_out": self.left_out},
        }

    @cached_property
    def split_digest(self) -> str:
        """SHA-256 over the parts: each image's mark and class, in order."""
        summed = hashlib.sha256()
        for part in self.parts.values():
            summed.update(f"{len(part)}\n".encode())
            summed.update(part.marks().tobytes() + part.labels.numpy().tobytes())
        return summed.hexdigest()


@dataclass(frozen=True)
class _Whole:
    """A set as it is read; where it has no test or validation part of its own, a share is held out."""

    train: Images
    validation: Images | None
    test: Images | None


@dataclass(frozen=True)
class _Reading:
    """What to read, and how."""

    dataset: Dataset
    data_dir: Path
    readers: int
    on_read: OnRead


def load(
    dataset: Dataset,
    data_dir: Path,
    limit: int | None = None,
    *,
    hold_bytes: int = HOLD_BYTES,
    readers: int = 1,
    on_read: OnRead = lambda done, of: None,
) -> Splits:
    """Read a set; train on at most `limit` images, a balanced choice, the same each time.

    Validation is the set's own, or a balanced tenth of the training part; test its own, or a balanced fifth. An image
    that is in two parts is left out of validation for test, and of training for both: pixel by pixel, whatever its
    file is called. Images in files are read by `readers` threads and held where all parts take at most `hold_bytes`.
    Raises: DataError; what `on_read` raises.
    """
    whole = _READERS[dataset.kind](_Reading(dataset, data_dir, readers, on_read))
    train, validation, test = whole.train, whole.validation, whole.test
    if test is None:
        test, train = _parted(train, held_out(len(train)))
    if validation is None:
        validation, train = _parted(train, round(_VALIDATION_SHARE * len(train)))
    there = len(train) + len(validation)
    validation = _apart(validation, test.marks())
    train = _apart(train, np.concatenate([validation.marks(), test.marks()]))
    left_out = there - len(train) - len(validation)
    _check_left(dataset, train, validation)
    if limit is not None and limit < len(train):
        train, _ = _parted(train, limit)
    parts = [train, validation, test]
    if sum(3 * part.px**2 * len(part) for part in parts) <= hold_bytes:
        parts = [part.in_memory(readers) for part in parts]
    return Splits(*parts, dataset.num_classes, dataset.digest, left_out)


def _parted(images: Images, n: int) -> tuple[Images, Images]:
    """A balanced choice of `n`, and the others."""
    chosen, others = _balanced(images.labels.numpy(), n)
    return images.only(chosen), images.only(others)


def _apart(images: Images, others: Marks) -> Images:
    """Without those that are among the others."""
    return images.only(np.flatnonzero(~np.isin(images.marks(), others)))


def _check_left(dataset: Dataset, train: Images, validation: Images) -> None:
    """Raises: DataError where there is nothing left to learn from, or to select by."""
    lacking = set(range(dataset.num_classes)) - set(train.labels.tolist())
    if lacking or not len(validation):
        raise DataError(
            f"{dataset.name!r} has too few images that are not in its test part as well: of {len(lacking)} of its "
            f"{dataset.num_classes} classes none is left to train on, and {len(validation)} to validate on."
        )


def _check(dataset: Dataset, found: str) -> None:
    """Raises: DataError where the images read are not those that the set stands for."""
    if found == dataset.digest:
        return
    cure = "restore them, or register the folder under another name" if dataset.folder else _fetch(dataset)
    raise DataError(
        f"The images of {dataset.name!r} are not those the trial was asked for (digest {found[:12]}…, "
        f"wanted {dataset.digest[:12]}…): {cure}."
    )


def _fetch(dataset: Dataset) -> str:
    return f"run `python -m worker.fetch {dataset.name}` on the worker's machine"


def _balanced(labels: Labels, n: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """`n` indices with the classes' own shares, and the others: each class dealt out evenly along one random order."""
    random = np.random.default_rng(_SPLIT_SEED)
    place = np.empty(len(labels))
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        place[random.permutation(of_class)] = (np.arange(len(of_class)) + random.random()) / len(of_class)
    order = np.argsort(place, kind="stable")
    return np.sort(order[:n]), np.sort(order[n:])


def _read_idx(reading: _Reading) -> _Whole:
    dataset = reading.dataset
    folder = fashion_mnist_folder(reading.data_dir)
    if folder is None:
        raise DataError(f"{dataset.name} is not there: {_fetch(dataset)}.")
    train_pixels, train_labels, test_pixels, test_labels = (_idx(folder / name) for name in IDX_FILES)
    train = (train_pixels[:, None], train_labels.astype(np.int64))
    test = (test_pixels[:, None], test_labels.astype(np.int64))
    _check(dataset, digest(*train, *test))
    return _Whole(_images(*train), None, _images(*test))


def _idx(file: Path) -> Pixels:
    """An idx file: two zero bytes, the type (8: uint8), the number of dimensions, their sizes, the values."""
    try:
        raw = gzip.decompress(file.read_bytes())
        shape = np.frombuffer(raw, ">u4", count=raw[3], offset=4)
        return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)
    except (OSError, EOFError, ValueError, IndexError, zlib.error) as error:
        raise DataError(f"{file.name} is damaged; fetch the set again.") from error


def _read_digits(reading: _Reading) -> _Whole:
    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = digits.target.astype(np.int64)
    _check(reading.dataset, digest(pixels, labels))
    return _Whole(_images(pixels, labels), None, None)


def _read_folder(reading: _Reading) -> _Whole:
    try:
        found, (train, validation, test) = folders.read(
            reading.dataset, reading.data_dir, reading.readers, reading.on_read
        )
    except image_folders.FolderError as error:
        raise DataError(str(error)) from error
    _check(reading.dataset, found)
    if train is None:
        raise DataError(f"{reading.dataset.name!r} has no images to train on.")
    return _Whole(train, validation, test)


def _read_typefaces(reading: _Reading) -> _Whole:
    why_not = typefaces.missing(reading.dataset.digest)
    if why_not:
        raise DataError(why_not)
    try:
        whole = drawn(typefaces.installed(), reading.data_dir)
    except typefaces.FontsError as error:
        raise DataError(str(error)) from error
    return _Whole(*(_images(*whole.part(part)) for part in typefaces.PARTS))


def _images(pixels: Pixels, labels: Labels) -> Images:
    return Images(torch.tensor(pixels), torch.tensor(labels))


_READERS = {"idx": _read_idx, "digits": _read_digits, "folder": _read_folder, "typefaces": _read_typefaces}
