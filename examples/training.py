"""The training of the other examples: a suggested network on scikit-learn's digits, with torch, in seconds.

It stands for what an AutoML tool already has: its own data, training loop and machines.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional

from worker.networks import build

# A small network like MobileNetV2; rdw suggests scaled versions of it.
BASELINE: dict[str, Any] = {
    "name": "digits-net",
    "baseline": {
        "family": "efficientnet",
        "resolution": 16,
        "in_chans": 1,
        "num_classes": 10,
        "stem": {"channels": 8},
        "stages": [
            {"block": "ds", "repeats": 1, "channels": 8},
            {"block": "ir", "repeats": 2, "channels": 16, "stride": 2, "expansion": 3},
            {"block": "ir", "repeats": 2, "channels": 32, "expansion": 3},
        ],
        "head": {"channels": 64},
        "activation": "relu",
    },
    "rules": {"divisor": 4},
}
SPACE = {"r": [0.5, 1.3], "d": [0.5, 1.6], "w": [0.4, 1.8], "ratio": [0.1, 1.0]}

_HELD_OUT = 397
_BATCH_SIZE = 50


class Diverged(Exception):
    """The loss became NaN or infinite, so the network has no accuracy."""


def train_and_evaluate(config: dict[str, Any], epochs: int, seed: int = 0) -> float:
    """Train the network of a response's `config` and return its accuracy on the held-out digits.

    Raises: Diverged.
    """
    torch.set_num_threads(1)  # more threads slow down networks as small as these
    torch.manual_seed(seed)
    images, labels = _load_digits(config["resolution"])
    network = build(config)
    optimizer = torch.optim.AdamW(network.parameters(), lr=4e-3)
    batches = math.ceil((len(images) - _HELD_OUT) / _BATCH_SIZE)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 8e-3, total_steps=epochs * batches)
    for _ in range(epochs):
        for indices in (_HELD_OUT + torch.randperm(len(images) - _HELD_OUT)).chunk(batches):
            loss = functional.cross_entropy(network(images[indices]), labels[indices])
            if not loss.isfinite():
                raise Diverged("the loss became NaN or infinite")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
    with torch.inference_mode():
        is_correct = network.eval()(images[:_HELD_OUT]).argmax(1) == labels[:_HELD_OUT]
    return float(is_correct.float().mean())


@cache
def _load_digits(px: int) -> tuple[Tensor, Tensor]:
    """Return the digits in a fixed random order, resized to the network's input."""
    digits = load_digits()
    order = torch.randperm(len(digits.target), generator=torch.Generator().manual_seed(0))
    images = torch.tensor(digits.images, dtype=torch.float32)[order, None] / 8 - 1
    return functional.interpolate(images, size=(px, px), mode="bilinear"), torch.tensor(digits.target)[order]
