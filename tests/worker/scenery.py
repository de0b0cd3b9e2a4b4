"""Scenes for tests: the real ones, and some of flat photos and made-up articles, where each pixel's origin is known."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from app import datasets
from app.datasets import ARTICLES_ON_PHOTOS, PHOTOS, Dataset, Part
from tests.support import absent
from worker import scenes
from worker.datasets import Splits
from worker.scenes import Scenes, ScenesInParts, load_scenes
from worker.stored import Images


def articles_on_photos() -> ScenesInParts:
    """The data set; the test skips where its sources are not installed."""
    if datasets.scenes_missing(Path("absent")):
        absent("Fashion-MNIST or photos (Debian's dataset-fashion-mnist and mate-backgrounds)")
    return _composed()


@cache
def _composed() -> ScenesInParts:
    return load_scenes(ARTICLES_ON_PHOTOS, Path("absent"))


def some(whole: ScenesInParts, n: int) -> ScenesInParts:
    """The first `n` scenes of each part."""
    parts = {name: Scenes(part.pixels[:n], part.targets[:n]) for name, part in whole.parts.items()}
    return ScenesInParts(**parts, num_classes=whole.num_classes, digest=f"{n} of {whole.digest}")


def made_up(monkeypatch: pytest.MonkeyPatch, folder: Path, counts: dict[Part, int]) -> Dataset:
    """From now on scenes are made of flat photos (`colour_of`) and of articles whose class is their part's: 0, 1, 2."""
    for part, names in PHOTOS.items():
        for n, name in enumerate(names):
            Image.new("RGB", (500, 400), colour_of(part, n)).save(folder / name, "PNG")
    splits = Splits(*(_articles(label) for label in range(3)), num_classes=10, digest="made up")
    for module in (datasets, scenes):
        monkeypatch.setattr(module, "photo_folder", lambda: folder)
    monkeypatch.setattr(datasets, "fashion_mnist_folder", lambda data_dir: folder)
    monkeypatch.setattr(scenes, "load", lambda dataset, data_dir: splits)
    monkeypatch.setattr(scenes, "_COUNTS", counts)
    return Dataset(**{**vars(ARTICLES_ON_PHOTOS), "digest": scenes.sources_digest(splits)})


def colour_of(part: Part, photo: int) -> tuple[int, int, int]:
    """Magenta of another shade for each photo: grey is never near."""
    return 255, 0, 255 - 10 * list(PHOTOS).index(part) - photo


def _articles(label: int) -> Images:
    """No two alike, ragged, with dark rims: 300 of one class."""
    random = np.random.default_rng(label)
    pixels = np.zeros((300, 1, 28, 28), np.uint8)
    for article in pixels[:, 0]:
        top, left = random.integers(1, 9, 2)
        bottom, right = random.integers(16, 27, 2)
        article[top:bottom, left:right] = random.integers(0, 256, (bottom - top, right - left))
    return Images(torch.from_numpy(pixels), torch.full((300,), label))
