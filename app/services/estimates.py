"""What a training would take, from what trainings took.

The time for an image is a share that grows with the network's flops and one that does not: both are fitted, on relative
errors, to the throughput that finished trainings measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import nnls

from app.datasets import Dataset, Task
from app.db.unit_of_work import UnitOfWork
from app.recipes import Recipe

_LATEST = 50  # trainings that the fit looks at
_BEFORE_ANY = (7e-11, 1e-4)  # seconds a multiply-add and an image: small networks on a core of a laptop
_GUESS = 4.0  # the factor by which that may be off
_LEAST_SPREAD = 1.15
_NOT_COUNTED = 40_000  # images, until typefaces are drawn
_VALIDATION_SHARE = 0.1  # of the training images (worker/datasets.py)


@dataclass(frozen=True)
class Estimate:
    """Seconds of training (validation and export come on top), within [low, high] nine times in ten.

    `trainings` is how many finished ones the figure comes from.
    """

    seconds: float
    low: float
    high: float
    trainings: int

    def __add__(self, other: Estimate) -> Estimate:
        """Of both trainings, one after the other; what is off is off for both."""
        return Estimate(
            self.seconds + other.seconds,
            self.low + other.low,
            self.high + other.high,
            min(self.trainings, other.trainings),
        )


@dataclass(frozen=True)
class Calibration:
    """Seconds a multiply-add and an image, in training; `spread` is the factor by which nine in ten are off at most."""

    per_flop: float
    per_image: float
    spread: float
    trainings: int

    def estimate(self, flops: int, dataset: Dataset, recipe: Recipe) -> Estimate:
        """Of a network of so many multiply-adds an image, on one worker."""
        return self.around(recipe.epochs * images(dataset, recipe) * (self.per_flop * flops + self.per_image))

    def around(self, seconds: float) -> Estimate:
        return Estimate(seconds, seconds / self.spread, seconds * self.spread, self.trainings)


def calibration(work: UnitOfWork, task: Task = "classification") -> Calibration:
    """Fitted to the latest trainings of a task that completed; before there are any, a guess."""
    measured = [
        (flops, 1 / rate)
        for flops, rate in work.trials.throughputs(_LATEST, task)
        if rate is not None and math.isfinite(rate) and rate > 0
    ]
    if not measured:
        return Calibration(*_BEFORE_ANY, _GUESS, 0)
    flops, took = np.array(measured, float).T
    if len(measured) < 3 or flops.max() < 1.2 * flops.min():  # too alike to tell the two shares apart
        of_flops, of_image = (
            share * np.median(took / (_BEFORE_ANY[0] * flops + _BEFORE_ANY[1])) for share in _BEFORE_ANY
        )
    else:
        of_flops, of_image = nnls(np.stack([flops / took, 1 / took], 1), np.ones(len(took)))[0]
    off = np.log(took / (of_flops * flops + of_image))
    spread = max(_LEAST_SPREAD, math.exp(1.645 * float(np.sqrt((off**2).mean()))))
    return Calibration(float(of_flops), float(of_image), spread if len(measured) >= 3 else _GUESS, len(measured))


def images(dataset: Dataset, recipe: Recipe) -> int:
    """How many images an epoch trains on."""
    whole = _NOT_COUNTED if dataset.train_images is None else dataset.train_images
    there = whole - round(_VALIDATION_SHARE * whole)
    return there if recipe.train_images is None else min(there, recipe.train_images)


def outcome(estimated: float, result: dict[str, Any]) -> dict[str, float]:
    """What was estimated before a training, and the signed relative error that it had."""
    return {"seconds": estimated, "error": estimated / max(float(result["seconds"]), 1e-9) - 1}
