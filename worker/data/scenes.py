"""The data set `articles-on-photos`: scenes composed in memory from Fashion-MNIST's articles and a few photos."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from app.data.builtin_datasets import (
    FASHION_MNIST,
    PHOTOS,
    Dataset,
    Part,
    photo_folder,
    scene_samples_file,
    scenes_unavailable_reason,
)
from app.data.sample_choice import SAMPLES
from worker.atomic_files import replace_atomically
from worker.data.image_store import DataError, Images
from worker.data.loading import Splits, load

log = logging.getLogger("rdw.scenes")

_COMPOSITION_VERSION = 1  # increment when the same articles and photos are composed to other scenes
_SCENE_PX = 128
_COUNTS: dict[Part, int] = {"train": 3_060, "validation": 340, "test": 400}
_SEEDS: dict[Part, int] = {"train": 1, "validation": 2, "test": 3}
_MAX_ARTICLES = 5
_MIN_ARTICLE_PX, _MAX_ARTICLE_PX = 24, 64  # before articles are cropped to their ink
_PHOTO_PX = 384  # the shorter side to which photos are resized before they are cropped
_MIN_CROP_PX = 144
_OPAQUE_BRIGHTNESS = 64  # articles are opaque where they are at least this bright
_INK_OPACITY = 96  # pixels of at least this opacity belong to the article
_MAX_OVERLAP = 0.15  # of two boxes, as a share of the smaller one
_MAX_TRIES = 20

Grey = NDArray[np.uint8]
Colour = NDArray[np.uint8]
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Scenes:
    """Images as uint8 [n, 3, px, px] and their targets in torchvision's format.

    `boxes` are float32 [k, 4] in pixels: x1, y1, x2, y2, the last two exclusive. `labels` are int64 [k] from 1; 0 is
    the background.
    """

    pixels: Tensor
    targets: list[dict[str, Tensor]]

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def images(self) -> Images:
        """The images, each labelled with its number of articles."""
        return Images(self.pixels, torch.tensor([len(target["labels"]) for target in self.targets]))

    @property
    def digest(self) -> str:
        """The SHA-256 of pixels, boxes and labels."""
        digest = hashlib.sha256(self.pixels.numpy().tobytes())
        for target in self.targets:
            digest.update(target["boxes"].numpy().tobytes() + target["labels"].numpy().tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class SceneSplits:
    """Three parts without common articles or photos; `digest` is the data set's."""

    train: Scenes
    validation: Scenes
    test: Scenes
    num_classes: int
    digest: str
    classes: tuple[str, ...] = ()

    @property
    def parts(self) -> dict[Part, Scenes]:
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def provenance(self) -> dict[str, Any]:
        """Describe the scenes for a trial's result, as plain data."""
        return {"data_digest": self.digest, "images": {name: len(part) for name, part in self.parts.items()}}


def load_scenes(dataset: Dataset, data_dir: Path, limit: int | None = None) -> SceneSplits:
    """Compose the scenes, which takes seconds and always gives the same; keep the first `limit` for training.

    Raises: DataError if articles or photos are missing or differ from those of the data set.
    """
    if reason := scenes_unavailable_reason(data_dir):
        raise DataError(reason)
    articles = load(FASHION_MNIST, data_dir)
    if sources_digest(articles) != dataset.digest:
        raise DataError(
            f"The photos on this machine differ from those of {dataset.name!r}: reinstall Debian's mate-backgrounds "
            "(apt-get install -y --reinstall mate-backgrounds)."
        )
    parts = {name: _compose_part(name, part) for name, part in articles.parts.items()}
    train = parts["train"]
    _keep_samples(train, scene_samples_file(data_dir, dataset.digest))
    if limit is not None:
        parts["train"] = Scenes(train.pixels[:limit], train.targets[:limit])
    return SceneSplits(**parts, num_classes=dataset.num_classes, digest=dataset.digest, classes=dataset.classes)


def _keep_samples(scenes: Scenes, file: Path) -> None:
    """Write the first scenes to a file, from which the service shows them."""
    if file.exists():
        return
    targets = scenes.targets[:SAMPLES]
    try:
        with replace_atomically(file) as opened:
            np.savez(
                opened,
                pixels=scenes.pixels[:SAMPLES].numpy(),
                boxes=torch.cat([target["boxes"] for target in targets]).numpy(),
                labels=torch.cat([target["labels"] for target in targets]).numpy(),
                counts=np.array([len(target["labels"]) for target in targets]),
            )
    except OSError as error:
        log.warning("the service cannot show the scenes: %s", error.strerror)


def sources_digest(articles: Splits) -> str:
    """Return the SHA-256 of what determines the scenes: the version, the articles of each part, and the photos."""
    digest = hashlib.sha256(f"{_COMPOSITION_VERSION} {articles.split_digest}\n".encode())
    for part, names in PHOTOS.items():
        for name in names:
            digest.update(f"{part} {hashlib.sha256((photo_folder() / name).read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def paste(article: Grey, scene: Colour, left: int, top: int) -> None:
    """Draw an article [h, w] into a scene [px, px, 3]; its opacity follows its brightness, so black is transparent."""
    height, width = article.shape
    target = scene[top : top + height, left : left + width]
    opacity = _opacity(article)[:, :, None]
    grey = article.astype(np.int32)[:, :, None]
    target[:] = (grey * opacity + target.astype(np.int32) * (255 - opacity) + 127) // 255


def cut_out(article: Grey, side: int) -> Grey | None:
    """Resize a 28 px article to a side and crop it to its ink; None if it has no ink."""
    resized = np.asarray(Image.fromarray(article).resize((side, side), Image.Resampling.BICUBIC))
    ink = _opacity(resized) >= _INK_OPACITY
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    return resized[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if len(rows) else None


def _opacity(article: Grey) -> NDArray[np.int32]:
    return np.minimum(article.astype(np.int32) * 255 // _OPAQUE_BRIGHTNESS, 255)


def _compose_part(part: Part, articles: Images) -> Scenes:
    """Compose the scenes of a part; each article is used at most once."""
    rng = np.random.default_rng(_SEEDS[part])
    photos = [_read_photo(photo_folder() / name) for name in PHOTOS[part]]
    cut_outs = _shuffled_cut_outs(rng, articles)
    scenes = [_compose_scene(rng, _random_crop(rng, photos), cut_outs) for _ in range(_COUNTS[part])]
    return Scenes(
        torch.from_numpy(np.stack([image for image, _ in scenes]).transpose(0, 3, 1, 2).copy()),
        [target for _, target in scenes],
    )


def _shuffled_cut_outs(rng: np.random.Generator, articles: Images) -> Iterator[tuple[Grey, int]]:
    """Yield the articles with their labels, in random order and of random sizes."""
    for index in rng.permutation(len(articles)):
        side = int(rng.integers(_MIN_ARTICLE_PX, _MAX_ARTICLE_PX + 1))
        article = cut_out(articles.pixels[index : index + 1][0, 0].numpy(), side)
        if article is not None:
            yield article, int(articles.labels[index]) + 1


def _compose_scene(
    rng: np.random.Generator, background: Colour, cut_outs: Iterator[tuple[Grey, int]]
) -> tuple[Colour, dict[str, Tensor]]:
    """Paste articles on the background [px, px, 3] and return it with its target, skipping those that do not fit."""
    boxes: list[Box] = []
    labels: list[int] = []
    for _ in range(rng.integers(1, _MAX_ARTICLES + 1)):
        article, label = next(cut_outs)
        box = _find_place(rng, article.shape, boxes)
        if box is not None:
            paste(article, background, box[0], box[1])
            boxes.append(box)
            labels.append(label)
    return background, {"boxes": torch.tensor(boxes, dtype=torch.float32), "labels": torch.tensor(labels)}


def _find_place(rng: np.random.Generator, shape: tuple[int, ...], boxes: list[Box]) -> Box | None:
    """Return a random box of that shape that hardly overlaps the others; None if none was found."""
    height, width = shape
    for _ in range(_MAX_TRIES):
        left, top = int(rng.integers(_SCENE_PX - width + 1)), int(rng.integers(_SCENE_PX - height + 1))
        box = (left, top, left + width, top + height)
        if all(_overlap(box, other) <= _MAX_OVERLAP for other in boxes):
            return box
    return None


def _overlap(one: Box, other: Box) -> float:
    """Return the intersection of two boxes as a share of the smaller one."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return max(width, 0) * max(height, 0) / smaller


def _random_crop(rng: np.random.Generator, photos: list[Image.Image]) -> Colour:
    """Return a random square of a random photo, resized to a scene [px, px, 3] and flipped at random."""
    photo = photos[rng.integers(len(photos))]
    side = int(rng.integers(_MIN_CROP_PX, _PHOTO_PX + 1))
    left, top = int(rng.integers(photo.width - side + 1)), int(rng.integers(photo.height - side + 1))
    square = photo.resize((_SCENE_PX, _SCENE_PX), Image.Resampling.BILINEAR, (left, top, left + side, top + side))
    background = np.array(square)
    return background[:, ::-1].copy() if rng.integers(2) else background


def _read_photo(file: Path) -> Image.Image:
    """Read a photo and resize its shorter side to 384 px. Raises: DataError if it cannot be read."""
    try:
        with Image.open(file) as opened:
            photo = opened.convert("RGB")
    except OSError as error:
        raise DataError(f"{file.name} cannot be read as an image: reinstall Debian's mate-backgrounds.") from error
    scale = _PHOTO_PX / min(photo.size)
    size = (round(scale * photo.width), round(scale * photo.height))
    return photo.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
