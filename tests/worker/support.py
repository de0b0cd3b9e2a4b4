"""Small networks, small image sets and short trainings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from app.datasets import DIGITS, FASHION_MNIST, IDX_FILES
from app.recipes import Recipe
from app.scaling.architecture import Architecture, Config, Head, ScalingRules, Stage, Stem
from tests.support import FASHION_MNIST as FASHION_MNIST_FOLDER
from tests.support import absent
from worker.classification import Classification
from worker.datasets import Splits, load
from worker.devices import Device
from worker.stored import Images
from worker.training import Progress, Result, train

SMALL = Architecture(
    "small",
    Config(
        family="efficientnet",
        resolution=16,
        stem=Stem(8),
        stages=(
            Stage("ds", 1, 8, kernel=3),
            Stage("ir", 2, 12, kernel=3, stride=2, expansion=3, se_ratio=0.25),
            Stage("ir", 2, 20, kernel=5, stride=1, expansion=2.5),
            Stage("ir", 1, 28, kernel=3, stride=2, expansion=6, se_ratio=0.5),
        ),
        head=Head(48),
        activation="relu",
        in_chans=1,
        num_classes=10,
    ),
    ScalingRules(divisor=4),
)
"""Channels in fours, stages of stride 1, unequal expansions, squeeze-excite here and there."""

TINY = Config(
    family="efficientnet",
    resolution=8,
    stem=Stem(8),
    stages=(Stage("ds", 1, 8), Stage("ir", 1, 16, stride=2, expansion=3)),
    head=Head(32),
    in_chans=1,
    num_classes=10,
)
"""Learns the digits in about a second."""


CPU = Device()


def digits(limit: int | None = None) -> Splits:
    return load(DIGITS, Path("absent"), limit)


def fashion_mnist(limit: int | None = None) -> Splits:
    """Fashion-MNIST as Debian installs it; the test skips where it is not."""
    if not all((FASHION_MNIST_FOLDER / name).is_file() for name in IDX_FILES):
        absent("Fashion-MNIST (Debian's dataset-fashion-mnist)")
    return load(FASHION_MNIST, Path("absent"), limit)


def images(n: int, *, channels: int = 1, px: int = 8, classes: int = 10) -> Images:
    """Random images and labels, the same each time."""
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (n, channels, px, px), generator=random, dtype=torch.uint8)
    return Images(pixels, torch.arange(n) % classes)


def trained(
    folder: Path,
    recipe: Recipe,
    *,
    config: Config = TINY,
    splits: Splits | None = None,
    seed: int = 0,
    on_progress: Callable[[Progress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    device: Device = CPU,
    loaders: int = 1,
) -> Result:
    """A training of the tiny network on 200 digits, unless told otherwise."""
    splits = splits or digits(200)
    task = Classification(config, recipe, splits, device, loaders)
    return train(task, recipe, seed, device=device, folder=folder, on_progress=on_progress, should_stop=should_stop)


def weights(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "weights.pt", weights_only=True)
