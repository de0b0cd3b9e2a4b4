"""How the examples train a network that rdw suggested: with torch, on scikit-learn's digits, in seconds.

It stands for what an AutoML tool has already: its own data, its own loop, its own machines.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional as F

from worker.networks import build

# A small MobileNetV2-like baseline; what is suggested are its shrunk and grown versions.
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
_BATCH = 50


class Diverged(Exception):
    """The loss is no number any more: no accuracy stands for this network."""


def accuracy_of(config: dict[str, Any], epochs: int, seed: int = 0) -> float:
    """Of the network that a suggestion's `config` names, on the held-out digits.

    Raises: Diverged.
    """
    torch.set_num_threads(1)  # networks as small as these wait for threads longer than they compute
    torch.manual_seed(seed)
    images, labels = _digits(config["resolution"])
    network = build(config)
    optimizer = torch.optim.AdamW(network.parameters(), lr=4e-3)
    batches = math.ceil((len(images) - _HELD_OUT) / _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 8e-3, total_steps=epochs * batches)
    for _ in range(epochs):
        for chosen in (_HELD_OUT + torch.randperm(len(images) - _HELD_OUT)).chunk(batches):
            loss = F.cross_entropy(network(images[chosen]), labels[chosen])
            if not loss.isfinite():
                raise Diverged("its loss is no number any more")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    with torch.inference_mode():
        right = network.eval()(images[:_HELD_OUT]).argmax(1) == labels[:_HELD_OUT]
    return float(right.float().mean())


@cache
def _digits(px: int) -> tuple[Tensor, Tensor]:
    """Shuffled once for all, enlarged to the network's input."""
    digits = load_digits()
    order = torch.randperm(len(digits.target), generator=torch.Generator().manual_seed(0))
    images = torch.tensor(digits.images, dtype=torch.float32)[order, None] / 8 - 1
    return F.interpolate(images, size=(px, px), mode="bilinear"), torch.tensor(digits.target)[order]
