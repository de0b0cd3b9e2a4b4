"""The data set `articles-on-photos`: scenes composed in memory of Fashion-MNIST's articles and a few photos."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from app.datasets import FASHION_MNIST, PHOTOS, Dataset, Part, photo_folder, scenes_missing
from worker.datasets import DataError, Splits, load
from worker.stored import Images

_RECIPE = 1  # count up where other scenes are composed of the same articles and photos
_SIDE = 128  # of a scene, px
_COUNTS: dict[Part, int] = {"train": 3_060, "validation": 340, "test": 400}
_SEEDS: dict[Part, int] = {"train": 1, "validation": 2, "test": 3}
_MOST_ARTICLES = 5
_ARTICLE_SIDES = (24, 64)  # px, before what is dark is cut off
_PHOTO_SIDE = 384  # a photo's shorter side, brought down before crops are taken
_LEAST_CROP = 144
_OPAQUE_FROM = 64  # an article's brightness from which nothing shines through
_INK_FROM = 96  # opacity from which a pixel counts as the article's
_MOST_COVERED = 0.15  # of the smaller of two articles' boxes
_TRIES = 20

Grey = NDArray[np.uint8]
Colour = NDArray[np.uint8]
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Scenes:
    """Images as uint8 [n, 3, px, px]; of each its targets as torchvision has them.

    `boxes` are float32 [k, 4]: x1, y1, x2, y2, px, the last two exclusive. `labels` are int64 [k], from 1: 0 is the
    background.
    """

    pixels: Tensor
    targets: list[dict[str, Tensor]]

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def images(self) -> Images:
        """The pixels alone, with how many articles each has for a label."""
        return Images(self.pixels, torch.tensor([len(target["labels"]) for target in self.targets]))

    @property
    def digest(self) -> str:
        """SHA-256 over pixels, boxes and labels."""
        summed = hashlib.sha256(self.pixels.numpy().tobytes())
        for target in self.targets:
            summed.update(target["boxes"].numpy().tobytes() + target["labels"].numpy().tobytes())
        return summed.hexdigest()


@dataclass(frozen=True)
class ScenesInParts:
    """Three parts without an article or a photo in common; `digest` is the data set's."""

    train: Scenes
    validation: Scenes
    test: Scenes
    num_classes: int
    digest: str

    @property
    def parts(self) -> dict[Part, Scenes]:
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def provenance(self) -> dict[str, Any]:
        """Which scenes a result was obtained with, as plain data."""
        return {"data_digest": self.digest, "images": {name: len(part) for name, part in self.parts.items()}}


def load_scenes(dataset: Dataset, data_dir: Path, limit: int | None = None) -> ScenesInParts:
    """Compose the scenes, the same each time; train on the first `limit` of them. Takes seconds.

    Raises: DataError where articles or photos are not there, or are others than the set stands for.
    """
    if why_not := scenes_missing(data_dir):
        raise DataError(why_not)
    articles = load(FASHION_MNIST, data_dir)
    if sources_digest(articles) != dataset.digest:
        raise DataError(
            f"The photos on this machine are not those that {dataset.name!r} is composed of: install Debian's "
            "mate-backgrounds anew (apt-get install -y --reinstall mate-backgrounds)."
        )
    parts = {name: _composed(name, part) for name, part in articles.parts.items()}
    train = parts["train"]
    if limit is not None:
        parts["train"] = Scenes(train.pixels[:limit], train.targets[:limit])
    return ScenesInParts(**parts, num_classes=dataset.num_classes, digest=dataset.digest)


def sources_digest(articles: Splits) -> str:
    """SHA-256 over what decides the scenes: the recipe's number, the articles in their parts, the photos' content."""
    summed = hashlib.sha256(f"{_RECIPE} {articles.split_digest}\n".encode())
    for part, names in PHOTOS.items():
        for name in names:
            summed.update(f"{part} {hashlib.sha256((photo_folder() / name).read_bytes()).hexdigest()}\n".encode())
    return summed.hexdigest()


def pasted(article: Grey, onto: Colour, left: int, top: int) -> None:
    """Draw an article [h, w] into a scene [px, px, 3], as opaque as it is bright: its black ground is not seen."""
    height, width = article.shape
    under = onto[top : top + height, left : left + width]
    opacity = _opacity(article)[:, :, None]
    grey = article.astype(np.int32)[:, :, None]
    under[:] = (grey * opacity + under.astype(np.int32) * (255 - opacity) + 127) // 255


def cut_out(article: Grey, side: int) -> Grey | None:
    """A 28 px article brought to a side, cropped to its ink; none where it has none."""
    sized = np.asarray(Image.fromarray(article).resize((side, side), Image.Resampling.BICUBIC))
    ink = _opacity(sized) >= _INK_FROM
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    return sized[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if len(rows) else None


def _opacity(article: Grey) -> NDArray[np.int32]:
    return np.minimum(article.astype(np.int32) * 255 // _OPAQUE_FROM, 255)


def _composed(part: Part, articles: Images) -> Scenes:
    """Each article is used once at the most."""
    random = np.random.default_rng(_SEEDS[part])
    photos = [_photo(photo_folder() / name) for name in PHOTOS[part]]
    cut_outs = _cut_outs(random, articles)
    scenes = [_scene(random, _crop(random, photos), cut_outs) for _ in range(_COUNTS[part])]
    return Scenes(
        torch.from_numpy(np.stack([picture for picture, _ in scenes]).transpose(0, 3, 1, 2).copy()),
        [target for _, target in scenes],
    )


def _cut_outs(random: np.random.Generator, articles: Images) -> Iterator[tuple[Grey, int]]:
    """The articles in random order and at random sides, with their labels."""
    for index in random.permutation(len(articles)):
        side = int(random.integers(_ARTICLE_SIDES[0], _ARTICLE_SIDES[1] + 1))
        article = cut_out(articles.pixels[index : index + 1][0, 0].numpy(), side)
        if article is not None:
            yield article, int(articles.labels[index]) + 1


def _scene(
    random: np.random.Generator, ground: Colour, cut_outs: Iterator[tuple[Grey, int]]
) -> tuple[Colour, dict[str, Tensor]]:
    """The ground [px, px, 3] with articles on it, and where which are; one for which no place is found is left out."""
    boxes: list[Box] = []
    labels: list[int] = []
    for _ in range(random.integers(1, _MOST_ARTICLES + 1)):
        article, label = next(cut_outs)
        box = _place(random, article.shape, boxes)
        if box is not None:
            pasted(article, ground, box[0], box[1])
            boxes.append(box)
            labels.append(label)
    return ground, {"boxes": torch.tensor(boxes, dtype=torch.float32), "labels": torch.tensor(labels)}


def _place(random: np.random.Generator, shape: tuple[int, ...], boxes: list[Box]) -> Box | None:
    """Somewhere inside where it covers little of the others, nor they of it; none where that was not found."""
    height, width = shape
    for _ in range(_TRIES):
        left, top = int(random.integers(_SIDE - width + 1)), int(random.integers(_SIDE - height + 1))
        box = (left, top, left + width, top + height)
        if all(_covered(box, other) <= _MOST_COVERED for other in boxes):
            return box
    return None


def _covered(one: Box, other: Box) -> float:
    """What two boxes have in common, as a share of the smaller one."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return max(width, 0) * max(height, 0) / smaller


def _crop(random: np.random.Generator, photos: list[Image.Image]) -> Colour:
    """A random square of one of the photos, mirrored at random, as a scene's ground [px, px, 3]."""
    photo = photos[random.integers(len(photos))]
    side = int(random.integers(_LEAST_CROP, _PHOTO_SIDE + 1))
    left, top = int(random.integers(photo.width - side + 1)), int(random.integers(photo.height - side + 1))
    square = photo.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR, (left, top, left + side, top + side))
    ground = np.array(square)
    return ground[:, ::-1].copy() if random.integers(2) else ground


def _photo(file: Path) -> Image.Image:
    """Brought down to the side that crops are taken from. Raises: DataError where it is no image."""
    try:
        with Image.open(file) as opened:
            photo = opened.convert("RGB")
    except OSError as error:
        raise DataError(f"{file.name} is no photo that can be read: install mate-backgrounds anew.") from error
    scale = _PHOTO_SIDE / min(photo.size)
    size = (round(scale * photo.width), round(scale * photo.height))
    return photo.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
