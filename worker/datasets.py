"""Image sets in memory: read, checked against their digest, split in three disjoint parts."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor

from app import image_folders
from app.datasets import Dataset, fashion_mnist_folders

IDX_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
_SPLIT_SEED = 0
_VALIDATION_SHARE, _TEST_SHARE = 0.1, 0.2

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
    """A set as it is read; where it has no test part of its own, a share is held out."""

    train: tuple[Pixels, Labels]
    test: tuple[Pixels, Labels] | None


def load(dataset: Dataset, data_dir: Path, limit: int | None = None) -> Splits:
    """Read a set; train on at most `limit` images, a balanced choice, the same each time.

    Validation is a balanced tenth of the training part; test the set's own, or a balanced fifth.
    Raises: DataError.
    """
    whole, digest = _READERS[dataset.kind](dataset, data_dir)
    if digest != dataset.digest:
        raise DataError(
            f"The images of {dataset.name!r} are not those the trial was asked for (digest {digest[:12]}…, "
            f"wanted {dataset.digest[:12]}…): restore them, or register the folder anew under another name."
        )
    pixels, labels = whole.train
    test = whole.test
    if test is None:
        held_out, rest = _balanced(labels, round(_TEST_SHARE * len(labels)))
        test, pixels, labels = (pixels[held_out], labels[held_out]), pixels[rest], labels[rest]
    validation, rest = _balanced(labels, round(_VALIDATION_SHARE * len(labels)))
    chosen = rest if limit is None or limit >= len(rest) else rest[_balanced(labels[rest], limit)[0]]
    return Splits(
        _images(pixels[chosen], labels[chosen]),
        _images(pixels[validation], labels[validation]),
        _images(*test),
        dataset.num_classes,
        digest,
    )


def _balanced(labels: Labels, n: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """`n` indices with the classes' own shares, and the others: each class dealt out evenly along one random order."""
    random = np.random.default_rng(_SPLIT_SEED)
    place = np.empty(len(labels))
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        place[random.permutation(of_class)] = (np.arange(len(of_class)) + random.random()) / len(of_class)
    order = np.argsort(place, kind="stable")
    return np.sort(order[:n]), np.sort(order[n:])


def _read_idx(dataset: Dataset, data_dir: Path) -> tuple[_Whole, str]:
    for folder in fashion_mnist_folders(data_dir):
        if all((folder / name).is_file() for name in IDX_FILES):
            break
    else:
        raise DataError(f"{dataset.name} is not on this machine: run `python -m worker.fetch {dataset.name}` there.")
    train_pixels, train_labels, test_pixels, test_labels = (_idx(folder / name) for name in IDX_FILES)
    train = (train_pixels[:, None], train_labels.astype(np.int64))
    test = (test_pixels[:, None], test_labels.astype(np.int64))
    return _Whole(train, test), _digest(*train, *test)


def _idx(file: Path) -> Pixels:
    """An idx file: two zero bytes, the type (8: uint8), the number of dimensions, their sizes, the values."""
    try:
        raw = gzip.decompress(file.read_bytes())
        shape = np.frombuffer(raw, ">u4", count=raw[3], offset=4)
        return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)
    except (OSError, EOFError, ValueError, IndexError) as error:
        raise DataError(f"{file.name} is damaged; fetch the set again.") from error


def _read_digits(dataset: Dataset, data_dir: Path) -> tuple[_Whole, str]:
    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = digits.target.astype(np.int64)
    return _Whole((pixels, labels), None), _digest(pixels, labels)


def _read_folder(dataset: Dataset, data_dir: Path) -> tuple[_Whole, str]:
    try:
        place = image_folders.located(dataset.folder or "", data_dir)
        train, test = image_folders.parts(place)
        digest = image_folders.digest(place)
        classes = image_folders.images(train)
        whole = _folder_part(classes, list(classes), dataset.native_px, place)
        held_out = image_folders.images(test) if test else None
    except image_folders.FolderError as error:
        raise DataError(str(error)) from error
    if held_out is None:
        return _Whole(whole, None), digest
    return _Whole(whole, _folder_part(held_out, list(classes), dataset.native_px, place)), digest


def _folder_part(files: dict[str, list[Path]], classes: list[str], px: int, place: Path) -> tuple[Pixels, Labels]:
    listed = [(file, classes.index(name)) for name, of_class in files.items() for file in of_class]
    pixels = np.stack([_decoded(file, px, place) for file, _ in listed])
    return pixels, np.array([label for _, label in listed], np.int64)


def _decoded(file: Path, px: int, place: Path) -> Pixels:
    """RGB [3, px, px]: the middle square, resized with antialiasing."""
    try:
        with Image.open(file) as opened:
            image = opened.convert("RGB")
    except OSError as error:
        raise DataError(f"{file.relative_to(place.parent)} is no image that can be read: mend or remove it.") from error
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.resize((px, px), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
    return np.asarray(square).transpose(2, 0, 1)


def _digest(*arrays: NDArray[np.generic]) -> str:
    """SHA-256 over each array's type, shape and values."""
    summed = hashlib.sha256()
    for array in arrays:
        summed.update(f"{array.dtype.str}{array.shape}\n".encode())
        summed.update(np.ascontiguousarray(array).tobytes())
    return summed.hexdigest()


def _images(pixels: Pixels, labels: Labels) -> Images:
    return Images(torch.from_numpy(np.ascontiguousarray(pixels).copy()), torch.from_numpy(labels.copy()))


_READERS = {"idx": _read_idx, "digits": _read_digits, "folder": _read_folder}
