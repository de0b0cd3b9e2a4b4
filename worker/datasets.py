"""Image sets in memory: read, checked against their digest, split in three disjoint parts."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor

from app import image_folders, typefaces
from app.datasets import IDX_FILES, Dataset, fashion_mnist_folder, held_out
from worker.typefaces import drawn

_SPLIT_SEED = 0
_VALIDATION_SHARE = 0.1

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]


class DataError(Exception):
    """The images cannot be read, or are not those that the trial was asked for; the message says what to do."""


@dataclass(frozen=True)
class Images:
    """Images as uint8 [n, channels, px, px] and their classes as int64 [n]."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Splits:
    """Three disjoint parts: selection looks at validation, test is only reported."""

    train: Images
    validation: Images
    test: Images
    num_classes: int
    digest: str


@dataclass(frozen=True)
class _Whole:
    """A set as it is read; where it has no test or validation part of its own, a share is held out."""

    train: tuple[Pixels, Labels]
    test: tuple[Pixels, Labels] | None
    validation: tuple[Pixels, Labels] | None = None


def load(dataset: Dataset, data_dir: Path, limit: int | None = None) -> Splits:
    """Read a set; train on at most `limit` images, a balanced choice, the same each time.

    Validation is the set's own, or a balanced tenth of the training part; test its own, or a balanced fifth.
    Raises: DataError.
    """
    whole = _READERS[dataset.kind](dataset, data_dir)
    pixels, labels = whole.train
    test = whole.test
    if test is None:
        aside, rest = _balanced(labels, held_out(len(labels)))
        test, pixels, labels = (pixels[aside], labels[aside]), pixels[rest], labels[rest]
    validation = whole.validation
    if validation is None:
        aside, rest = _balanced(labels, round(_VALIDATION_SHARE * len(labels)))
        validation, pixels, labels = (pixels[aside], labels[aside]), pixels[rest], labels[rest]
    if limit is not None and limit < len(labels):
        chosen, _ = _balanced(labels, limit)
        pixels, labels = pixels[chosen], labels[chosen]
    return Splits(
        _images(pixels, labels),
        _images(*validation),
        _images(*test),
        dataset.num_classes,
        dataset.digest,
    )


def _check(dataset: Dataset, digest: str) -> None:
    """Raises: DataError where the images read are not those that the set stands for."""
    if digest == dataset.digest:
        return
    cure = "restore them, or register the folder under another name" if dataset.folder else _fetch(dataset)
    raise DataError(
        f"The images of {dataset.name!r} are not those the trial was asked for (digest {digest[:12]}…, "
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


def _read_idx(dataset: Dataset, data_dir: Path) -> _Whole:
    folder = fashion_mnist_folder(data_dir)
    if folder is None:
        raise DataError(f"{dataset.name} is not there: {_fetch(dataset)}.")
    train_pixels, train_labels, test_pixels, test_labels = (_idx(folder / name) for name in IDX_FILES)
    train = (train_pixels[:, None], train_labels.astype(np.int64))
    test = (test_pixels[:, None], test_labels.astype(np.int64))
    _check(dataset, _digest(*train, *test))
    return _Whole(train, test)


def _idx(file: Path) -> Pixels:
    """An idx file: two zero bytes, the type (8: uint8), the number of dimensions, their sizes, the values."""
    try:
        raw = gzip.decompress(file.read_bytes())
        shape = np.frombuffer(raw, ">u4", count=raw[3], offset=4)
        return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)
    except (OSError, EOFError, ValueError, IndexError, zlib.error) as error:
        raise DataError(f"{file.name} is damaged; fetch the set again.") from error


def _read_digits(dataset: Dataset, data_dir: Path) -> _Whole:
    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = digits.target.astype(np.int64)
    _check(dataset, _digest(pixels, labels))
    return _Whole((pixels, labels), None)


def _read_folder(dataset: Dataset, data_dir: Path) -> _Whole:
    try:
        place = image_folders.located(dataset.folder or "", data_dir)
    except image_folders.FolderError as error:
        raise DataError(str(error)) from error
    _check(dataset, image_folders.digest(place, dataset.native_px))
    train, test = image_folders.parts(place)
    classes = list(image_folders.images(train))
    root, px = image_folders.root(data_dir).resolve(), dataset.native_px
    return _Whole(_folder_part(train, classes, px, root), _folder_part(test, classes, px, root) if test else None)


def _read_typefaces(dataset: Dataset, data_dir: Path) -> _Whole:
    why_not = typefaces.missing(dataset.digest)
    if why_not:
        raise DataError(why_not)
    try:
        whole = drawn(typefaces.installed(), data_dir)
    except typefaces.FontsError as error:
        raise DataError(str(error)) from error
    return _Whole(whole.part("train"), whole.part("test"), whole.part("validation"))


def _folder_part(part: Path, classes: list[str], px: int, root: Path) -> tuple[Pixels, Labels]:
    listed = [(file, classes.index(name)) for name, files in image_folders.images(part).items() for file in files]
    pixels = np.stack([_decoded(file, px, root) for file, _ in listed])
    return pixels, np.array([label for _, label in listed], np.int64)


def _decoded(file: Path, px: int, root: Path) -> Pixels:
    """RGB [3, px, px]: the middle square, resized with antialiasing."""
    try:
        with Image.open(file) as opened:
            image = opened.convert("RGB")
    except image_folders.UNREADABLE as error:
        raise DataError(f"{file.relative_to(root)} is no image that can be read: mend or remove it.") from error
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    return np.asarray(square.resize((px, px), Image.Resampling.BICUBIC)).transpose(2, 0, 1)


def _digest(*arrays: NDArray[np.generic]) -> str:
    """SHA-256 over each array's type, shape and values."""
    summed = hashlib.sha256()
    for array in arrays:
        summed.update(f"{array.dtype.str}{array.shape}\n".encode())
        summed.update(np.ascontiguousarray(array).tobytes())
    return summed.hexdigest()


def _images(pixels: Pixels, labels: Labels) -> Images:
    return Images(torch.tensor(pixels), torch.tensor(labels))


_READERS = {"idx": _read_idx, "digits": _read_digits, "folder": _read_folder, "typefaces": _read_typefaces}
