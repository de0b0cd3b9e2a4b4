"""Small networks, small image sets and short trainings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from app.core.trials import TrainingProgress, TrialResult
from app.data.builtin_datasets import DIGITS, FASHION_MNIST, fashion_mnist_folder
from app.data.recipes import Recipe
from app.scaling.network import Architecture, Config, Head, ScalingRules, Stage, Stem
from tests.support import DATA_DIR, skip_without
from worker.data.image_store import Images
from worker.data.loading import Splits, load
from worker.devices import Device
from worker.training.classification import Classification
from worker.training.loop import train
from worker.training.pretrained import Pretrained

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
"""Channels in multiples of 4, with stages of stride 1, unequal expansions, and squeeze-excite in some stages."""

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
    """Load Fashion-MNIST as Debian or `make demo` installed it; skip the test if it is missing."""
    if fashion_mnist_folder(DATA_DIR) is None:
        skip_without("Fashion-MNIST (python -m worker.data.fetch fashion-mnist)")
    return load(FASHION_MNIST, DATA_DIR, limit)


def link_datasets(data_dir: Path) -> None:
    """Make the downloaded data sets available in another data directory."""
    (data_dir / "datasets").symlink_to(DATA_DIR / "datasets")


def images(n: int, *, channels: int = 1, px: int = 8, classes: int = 10) -> Images:
    """Return random images and labels, the same ones each time."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (n, channels, px, px), generator=generator, dtype=torch.uint8)
    return Images(pixels, torch.arange(n) % classes)


def train_small(
    folder: Path,
    recipe: Recipe,
    *,
    config: Config = TINY,
    splits: Splits | None = None,
    seed: int = 0,
    on_progress: Callable[[TrainingProgress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    device: Device = CPU,
    loaders: int = 1,
    init: Pretrained | None = None,
    teacher: Pretrained | None = None,
) -> TrialResult:
    """Train a classifier, by default the tiny network on 200 digits."""
    splits = splits or digits(200)
    load_init = None if init is None else lambda: init
    task = Classification(config, recipe, splits, device, loaders, init=load_init, teacher=teacher)
    return train(
        task,
        recipe,
        seed,
        device=device,
        folder=folder,
        weights_file=folder / "weights.pt",
        on_progress=on_progress,
        should_stop=should_stop,
    )


def load_weights(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "weights.pt", weights_only=True)
