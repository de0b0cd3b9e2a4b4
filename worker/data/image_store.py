"""Stored images, either in memory or read from their files when they are needed."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.data.builtin_datasets import Channels
from app.data.folder_scan import Paths
from app.data.image_checks import PixelHashes, hash_pixels, name_location, read_location
from app.data.image_decoding import UNREADABLE, decode_cropped
from app.scaling.resolution import Resolution, mean_px, sides_of, to_resolution


class DataError(Exception):
    """The images cannot be read or differ from those of the trial's data set; the message says what to do."""


class UnreadableImage(DataError):
    """A file cannot be read as an image; the message names its path below the data root."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} cannot be read as an image: repair or remove it.")


@dataclass(frozen=True)
class FileImages:
    """Images uint8 [n, channels, height, width] in a folder, read when indexed (`app.data.image_decoding`).

    `name` is the folder's path below the data root, for messages.
    """

    folder: Path
    name: str
    paths: Paths
    resolution: Resolution
    background: str
    hashes: PixelHashes
    channels: Channels

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, indices: Tensor | slice) -> Tensor:
        """Read these images. Raises: UnreadableImage."""
        numbers = range(*indices.indices(len(self))) if isinstance(indices, slice) else indices.tolist()
        return torch.stack([self._read(number) for number in numbers])

    def select(self, indices: Tensor) -> FileImages:
        numbers = indices.numpy()
        return replace(self, paths=self.paths.select(numbers), hashes=self.hashes[numbers])

    def read_all(self, readers: int) -> Tensor:
        """Read all images with this number of threads. Raises: UnreadableImage."""
        images = torch.empty((len(self), self.channels, *sides_of(self.resolution)), dtype=torch.uint8)

        def read(index: int) -> None:
            images[index] = self._read(index)

        with ThreadPoolExecutor(readers) as pool:
            for _ in pool.map(read, range(len(self))):
                pass
        return images

    def _read(self, index: int) -> Tensor:
        location = self.paths[index]
        try:
            content = BytesIO(read_location(self.folder, location))
            return torch.tensor(decode_cropped(content, self.resolution, self.background, self.channels))
        except UNREADABLE as error:
            raise UnreadableImage(f"{self.name}/{name_location(location)}") from error


@dataclass(frozen=True)
class Images:
    """Images as uint8 [n, channels, height, width] and their labels as int64 [n]."""

    pixels: Tensor | FileImages
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def resolution(self) -> Resolution:
        """The resolution of the stored images."""
        return self.pixels.resolution if isinstance(self.pixels, FileImages) else to_resolution(self.pixels.shape[-2:])

    @property
    def px(self) -> float:
        """The side of the stored images, the geometric mean if they are not square."""
        return mean_px(self.resolution)

    @property
    def is_in_memory(self) -> bool:
        return isinstance(self.pixels, Tensor)

    def select(self, indices: NDArray[np.intp] | Tensor) -> Images:
        indices = torch.as_tensor(indices)
        pixels = self.pixels.select(indices) if isinstance(self.pixels, FileImages) else self.pixels[indices]
        return Images(pixels, self.labels[indices])

    def pixel_hashes(self) -> PixelHashes:
        if isinstance(self.pixels, FileImages):
            return self.pixels.hashes
        return np.array([hash_pixels(image) for image in self.pixels.numpy()], "S16")

    def read_into_memory(self, readers: int) -> Images:
        """Return the images in memory; files are read with this number of threads. Raises: UnreadableImage."""
        return Images(self.pixels.read_all(readers), self.labels) if isinstance(self.pixels, FileImages) else self


def digest_arrays(*arrays: NDArray[np.generic]) -> str:
    """Return the SHA-256 of each array's type, shape and values."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
