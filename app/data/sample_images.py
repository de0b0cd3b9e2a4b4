"""Reads sample images of a data set where its images are on this machine, with a bound on the work.

Those of a folder were chosen when it was checked. `typefaces` has them once a worker has rendered the glyphs, and the
scenes for detection once a worker has composed them.
"""

from __future__ import annotations

import hashlib
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.data import fonts, image_folders
from app.data.builtin_datasets import TYPEFACES, Dataset, scene_samples_file
from app.data.builtin_images import ImagesUnavailable, Labels, Pixels, read_digits, read_fashion_mnist
from app.data.folder_scan import FolderError
from app.data.image_checks import name_location, read_location, size_of_location
from app.data.image_decoding import FORMATS, UNREADABLE, decode_cropped
from app.data.sample_choice import choose_spread, location_of
from app.data.sample_sheets import Box, Sample

_MAX_FILE_BYTES = 1 << 26
_MAX_PIXELS = 1 << 24  # of an image
_MAX_PIXELS_IN_ALL = 1 << 26
_JPEG_SHARE = 4  # by which JPEGs are cheaper to decode than others, since they are decoded at a smaller size
_FIRST_IMAGES = 4096  # of a built-in set, from which the samples are chosen


def read_samples(dataset: Dataset, chosen: list[dict[str, Any]], data_dir: Path) -> list[Sample]:
    """Return the samples of a data set; `chosen` are those of a folder, from its report.

    Raises: ImagesUnavailable.
    """
    match dataset.kind:
        case "folder":
            return _read_folder(dataset, chosen, data_dir)
        case "idx":
            return _choose(*read_fashion_mnist(data_dir, "train", _FIRST_IMAGES), dataset.classes)
        case "digits":
            pixels, labels = read_digits()
            return _choose(pixels[:_FIRST_IMAGES], labels[:_FIRST_IMAGES], dataset.classes)
        case "typefaces":
            return _choose(*_read_glyphs(dataset, data_dir), dataset.classes)
        case "scenes":
            return _read_scenes(dataset, data_dir)


def _choose(pixels: Pixels, labels: Labels, classes: tuple[str, ...]) -> list[Sample]:
    return [Sample(pixels[index], _name(classes, int(labels[index]))) for index in choose_spread(labels)]


def _name(classes: tuple[str, ...], label: int) -> str:
    """Return the name of a class with its number, which tells apart names that the font cannot show."""
    name = classes[label]
    return name if name == str(label) else f"{label} {name}"


class _PixelBudget:
    """Says from their headers which images are small enough to be decoded."""

    def __init__(self) -> None:
        self._left = _MAX_PIXELS_IN_ALL

    def take(self, image: Image.Image) -> bool:
        pixels = image.width * image.height // (_JPEG_SHARE if image.format == "JPEG" else 1)
        if pixels > min(_MAX_PIXELS, self._left):
            return False
        self._left -= pixels
        return True


def _read_folder(dataset: Dataset, chosen: list[dict[str, Any]], data_dir: Path) -> list[Sample]:
    try:
        folder = image_folders.locate(dataset.folder or "", data_dir)
    except FolderError as error:
        raise ImagesUnavailable(str(error)) from error
    budget = _PixelBudget()
    return [
        Sample(_read_image(dataset, folder, sample, budget), _name(dataset.classes, sample["label"]))
        for sample in chosen
    ]


def _read_image(
    dataset: Dataset, folder: Path, sample: dict[str, Any], budget: _PixelBudget
) -> NDArray[np.uint8] | None:
    """Return an image as it is decoded for a training; None if it is too large for a request."""
    location = location_of(sample)
    try:
        if size_of_location(folder, location) > _MAX_FILE_BYTES:
            return None
        content = read_location(folder, location)
        if hashlib.sha256(content).hexdigest() != sample["sha256"]:
            raise OSError("its content has changed")
        with Image.open(BytesIO(content), formats=FORMATS) as opened:
            if not budget.take(opened):
                return None
            return decode_cropped(opened, dataset.native_px, dataset.background, dataset.channels)
    except UNREADABLE as error:
        raise ImagesUnavailable(
            f"The image {name_location(location)!r} of {dataset.folder!r} has changed since it was checked: refresh "
            "the data set."
        ) from error


def _read_glyphs(dataset: Dataset, data_dir: Path) -> tuple[Pixels, Labels]:
    """Return the first glyphs of the training part, without reading the others."""
    file = fonts.glyph_cache_file(data_dir, dataset.digest)
    try:
        with np.load(file, allow_pickle=False) as arrays:
            labels, family = arrays["labels"][:_FIRST_IMAGES], arrays["family"][:_FIRST_IMAGES]
            families = arrays["families"]
        is_train = np.array([fonts.part_of(str(name)) == "train" for name in families])[family]
        with zipfile.ZipFile(file) as archive, archive.open("pixels.npy") as opened:
            np.lib.format.read_magic(opened)
            (_, *shape), _, dtype = np.lib.format.read_array_header_1_0(opened)
            values = opened.read(len(labels) * int(np.prod(shape)))
        pixels = np.frombuffer(values, dtype).reshape(len(labels), *shape)
    except Exception as error:  # missing; or damaged, which raises many kinds of errors
        raise ImagesUnavailable(
            f"The images of {dataset.name!r} are not on this machine yet: the first training on it renders them, or "
            f"`python -m worker.data.fetch {TYPEFACES}` does."
        ) from error
    return pixels[is_train], labels[is_train]


def _read_scenes(dataset: Dataset, data_dir: Path) -> list[Sample]:
    try:
        with np.load(scene_samples_file(data_dir, dataset.digest), allow_pickle=False) as arrays:
            pixels, boxes, labels, counts = (arrays[name] for name in ("pixels", "boxes", "labels", "counts"))
    except Exception as error:  # missing; or damaged, which raises many kinds of errors
        raise ImagesUnavailable(
            f"The images of {dataset.name!r} are not on this machine yet: a training on it composes them."
        ) from error
    ends = np.cumsum(counts)
    samples = []
    for image, start, end in zip(pixels, ends - counts, ends, strict=True):
        inside = tuple(
            Box(tuple(corners), dataset.classes[label - 1])
            for corners, label in zip(boxes[start:end].tolist(), labels[start:end].tolist(), strict=True)
        )
        samples.append(Sample(image, ", ".join(box.label for box in inside), inside))
    return samples
