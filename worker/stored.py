"""Images as they are stored: held in memory, or left in their files until they are asked for."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from app.image_folders import FORMATS, UNREADABLE, refuse_but_files

Marks = NDArray[np.bytes_]
"""Of each image 16 bytes that only images of the same pixels share."""

_FINER = 2  # how much finer than wanted a JPEG is decoded at least, before it is brought down


class DataError(Exception):
    """The images cannot be read, or are not those that the trial was asked for; the message says what to do."""


class Unreadable(DataError):
    """A file, named by its place below the data root, is no image."""

    def __init__(self, place: str) -> None:
        super().__init__(f"{place} is no image that can be read: mend or remove it.")


@dataclass(frozen=True)
class Files:
    """RGB images uint8 [n, 3, px, px] in files below `root`, read when asked for: the middle square, antialiased."""

    root: Path
    names: NDArray[np.bytes_]  # places below the root, as the file system spells them
    px: int
    marks: Marks

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, chosen: Tensor | slice) -> Tensor:
        """The chosen images, read now. Raises: Unreadable."""
        names = self.names[chosen if isinstance(chosen, slice) else chosen.numpy()]
        return torch.stack([self._read(name) for name in names])

    def only(self, chosen: Tensor) -> Files:
        return Files(self.root, self.names[chosen.numpy()], self.px, self.marks[chosen.numpy()])

    def held(self, readers: int) -> Tensor:
        """All of them, read by so many threads. Raises: Unreadable."""
        whole = torch.empty((len(self), 3, self.px, self.px), dtype=torch.uint8)

        def read(at: int) -> None:
            whole[at] = self._read(self.names[at])

        with ThreadPoolExecutor(readers) as pool:
            for _ in pool.map(read, range(len(self))):
                pass
        return whole

    def _read(self, name: bytes) -> Tensor:
        place = os.fsdecode(bytes(name))
        try:
            refuse_but_files(self.root / place)
            return torch.tensor(decoded(self.root / place, self.px))
        except UNREADABLE as error:
            raise Unreadable(place) from error


@dataclass(frozen=True)
class Images:
    """Images as uint8 [n, channels, px, px] and their classes as int64 [n]."""

    pixels: Tensor | Files
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def px(self) -> int:
        """The side that they are stored at."""
        return self.pixels.px if isinstance(self.pixels, Files) else self.pixels.shape[-1]

    @property
    def held(self) -> bool:
        """Whether they are in memory."""
        return isinstance(self.pixels, Tensor)

    def only(self, chosen: NDArray[np.intp] | Tensor) -> Images:
        """The images of these indices."""
        chosen = torch.as_tensor(chosen)
        pixels = self.pixels.only(chosen) if isinstance(self.pixels, Files) else self.pixels[chosen]
        return Images(pixels, self.labels[chosen])

    def marks(self) -> Marks:
        """Equal where pixels are."""
        if isinstance(self.pixels, Files):
            return self.pixels.marks
        return np.array([mark(image) for image in self.pixels.numpy()], "S16")

    def in_memory(self, readers: int) -> Images:
        """Held; what is in files is read by so many threads. Raises: Unreadable."""
        return Images(self.pixels.held(readers), self.labels) if isinstance(self.pixels, Files) else self


def digest(*arrays: NDArray[np.generic]) -> str:
    """SHA-256 over each array's type, shape and values."""
    summed = hashlib.sha256()
    for array in arrays:
        summed.update(f"{array.dtype.str}{array.shape}\n".encode())
        summed.update(np.ascontiguousarray(array).tobytes())
    return summed.hexdigest()


def mark(pixels: NDArray[np.uint8]) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(pixels).tobytes(), digest_size=16).digest()


def decoded(file: Path | BytesIO, px: int) -> NDArray[np.uint8]:
    """RGB [3, px, px]: upright as the camera marked it, the middle square, resized with antialiasing.

    Raises what PIL raises (`UNREADABLE`).
    """
    with Image.open(file, formats=FORMATS) as opened:
        opened.draft("RGB", (_FINER * px, _FINER * px))
        image = _upright(opened).convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    return np.asarray(square.resize((px, px), Image.Resampling.BICUBIC)).transpose(2, 0, 1)


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # what a camera wrote beside the picture may be garbage of any kind; the picture is not
        return image
