"""Scenes for tests: the real ones, and synthetic ones in which the origin of each pixel is known."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from app.data import builtin_datasets
from app.data.builtin_datasets import ARTICLES_ON_PHOTOS, PHOTOS, Dataset, Part
from tests.support import DATA_DIR, skip_without
from worker.data import scenes
from worker.data.image_store import Images
from worker.data.loading import Splits
from worker.data.scenes import Scenes, SceneSplits, load_scenes


def articles_on_photos() -> SceneSplits:
    """Return the data set; skip the test if its sources are missing."""
    skip_without_scenes()
    return _load_all()


def skip_without_scenes() -> None:
    missing = builtin_datasets.scenes_unavailable_reason(DATA_DIR)
    if missing:
        skip_without(f"the sources of the scenes ({missing})")


@cache
def _load_all() -> SceneSplits:
    return load_scenes(ARTICLES_ON_PHOTOS, DATA_DIR)


def first_scenes(whole: SceneSplits, n: int) -> SceneSplits:
    """Return the first `n` scenes of each part."""
    parts = {name: Scenes(part.pixels[:n], part.targets[:n]) for name, part in whole.parts.items()}
    return SceneSplits(**parts, num_classes=whole.num_classes, digest=f"{n} of {whole.digest}")


def synthetic_scenes(monkeypatch: pytest.MonkeyPatch, folder: Path, counts: dict[Part, int]) -> Dataset:
    """Make scenes consist of uniform photos (`colour_of`) and articles whose label is the index of their part."""
    for part, names in PHOTOS.items():
        for n, name in enumerate(names):
            Image.new("RGB", (500, 400), colour_of(part, n)).save(folder / name, "PNG")
    splits = Splits(*(_articles(label) for label in range(3)), num_classes=10, digest="synthetic")
    for module in (builtin_datasets, scenes):
        monkeypatch.setattr(module, "photo_folder", lambda: folder)
    monkeypatch.setattr(builtin_datasets, "fashion_mnist_folder", lambda data_dir: folder)
    monkeypatch.setattr(scenes, "load", lambda dataset, data_dir: splits)
    monkeypatch.setattr(scenes, "_COUNTS", counts)
    return Dataset(**{**vars(ARTICLES_ON_PHOTOS), "digest": scenes.sources_digest(splits)})


def colour_of(part: Part, photo: int) -> tuple[int, int, int]:
    """Return a shade of magenta for each photo, far from any grey."""
    return 255, 0, 255 - 10 * list(PHOTOS).index(part) - photo


def _articles(label: int) -> Images:
    """Return 300 distinct articles of one class with ragged, dark edges."""
    rng = np.random.default_rng(label)
    pixels = np.zeros((300, 1, 28, 28), np.uint8)
    for article in pixels[:, 0]:
        top, left = rng.integers(1, 9, 2)
        bottom, right = rng.integers(16, 27, 2)
        article[top:bottom, left:right] = rng.integers(0, 256, (bottom - top, right - left))
    return Images(torch.from_numpy(pixels), torch.full((300,), label))
