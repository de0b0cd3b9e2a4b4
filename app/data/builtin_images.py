"""Reads the images of built-in data sets from their files: those of Fashion-MNIST and the digits."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.data.builtin_datasets import FASHION_MNIST, IDX_FILES, fashion_mnist_folder, fetch_hint

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]


class ImagesUnavailable(Exception):
    """The images are not on this machine, or damaged; the message says what to do."""


def read_fashion_mnist(
    data_dir: Path, part: Literal["train", "test"], limit: int | None = None
) -> tuple[Pixels, Labels]:
    """Return the images [n, 1, px, px] of a part and their labels [n]; with a limit, the first ones.

    Raises: ImagesUnavailable.
    """
    folder = fashion_mnist_folder(data_dir)
    if folder is None:
        raise ImagesUnavailable(f"{FASHION_MNIST.name} is not on this machine: {fetch_hint(FASHION_MNIST.name)}.")
    first = 0 if part == "train" else 2
    pixels, labels = (_read_idx_file(folder / name, limit) for name in IDX_FILES[first : first + 2])
    return pixels[:, None], labels.astype(np.int64)


def _read_idx_file(file: Path, limit: int | None) -> Pixels:
    """Read an idx file: two zero bytes, the type (8: uint8), the number of dimensions, their sizes, the values."""
    try:
        with gzip.open(file) as opened:
            dimensions = opened.read(4)[3]
            total, *shape = np.frombuffer(opened.read(4 * dimensions), ">u4").tolist()
            count = total if limit is None else min(total, limit)
            values = opened.read(-1 if limit is None else count * math.prod(shape))
        return np.frombuffer(values, np.uint8).reshape(count, *shape)
    except (OSError, EOFError, ValueError, IndexError, OverflowError, zlib.error) as error:
        raise ImagesUnavailable(f"{file.name} is damaged; fetch the data set again.") from error


def read_digits() -> tuple[Pixels, Labels]:
    """Return the images [n, 1, px, px] of the digits, which come with scikit-learn, and their labels [n]."""
    from sklearn.datasets import load_digits  # takes long to import

    digits = load_digits()
    return np.rint(digits.images * (255 / 16)).astype(np.uint8)[:, None], digits.target.astype(np.int64)
