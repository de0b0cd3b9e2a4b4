"""Estimates of training times from the throughput of completed trainings.

The time per image is a linear function of the network's flops, fitted to the measured throughput by relative error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from app.core.trials import EstimateError, TrialResult
from app.data.builtin_datasets import BUILT_IN, Dataset, Task
from app.data.recipes import Recipe
from app.db.unit_of_work import UnitOfWork

_MAX_TRAININGS = 50  # the number of latest trainings used in the fit
_DEFAULT_SECONDS = (7e-11, 1e-4)  # seconds per multiply-add and per image: small networks on one laptop core
_DEFAULT_SPREAD = 4.0  # the factor by which an estimate from one or two trainings may be off
_GUESS_SPREAD = 60.0  # the factor by which these defaults may be off on a machine that nothing is known of
_FIRST_USE_SECONDS = 10.0  # in which a worker that has not trained yet imports its libraries
_FIRST_USE_SPREAD = 3.0
_MIN_SPREAD = 1.15
_DEFAULT_IMAGES = 40_000  # images of `typefaces`, before they are rendered
_VALIDATION_SHARE = 0.1  # of the training images (worker/data/loading.py)


@dataclass(frozen=True)
class Estimate:
    """The estimated seconds of training, without validation and export, with a 90 % interval [low, high].

    `trainings` is the number of completed trainings that it is based on. `first_use_seconds` of it are the imports of a
    worker that has not trained yet.
    """

    seconds: float
    low: float
    high: float
    trainings: int
    first_use_seconds: float = 0.0

    @property
    def basis(self) -> str:
        """What the estimate is based on, as a sentence."""
        if self.trainings == 0:
            return "Nothing was trained here yet: a rough guess."
        return f"Based on {self.trainings} completed training{'s' if self.trainings > 1 else ''}."

    def with_first_use(self) -> Estimate:
        """Return the estimate with the imports of a worker that has not trained yet."""
        return Estimate(
            self.seconds + _FIRST_USE_SECONDS,
            self.low,
            self.high + _FIRST_USE_SPREAD * _FIRST_USE_SECONDS,
            self.trainings,
            _FIRST_USE_SECONDS,
        )

    def __add__(self, other: Estimate) -> Estimate:
        """Add the estimates of two trainings; their errors are assumed to be fully correlated."""
        return Estimate(
            self.seconds + other.seconds,
            self.low + other.low,
            self.high + other.high,
            min(self.trainings, other.trainings),
        )


@dataclass(frozen=True)
class ThroughputModel:
    """Seconds of training per multiply-add and per image; 90 % of trainings are within a factor of `spread`."""

    per_flop: float
    per_image: float
    spread: float
    trainings: int

    def estimate(self, flops: int, dataset: Dataset, recipe: Recipe) -> Estimate:
        """Estimate the training of a network with `flops` multiply-adds per image on one worker."""
        return self.estimate_from(
            recipe.epochs * images_per_epoch(dataset, recipe) * (self.per_flop * flops + self.per_image)
        )

    def estimate_from(self, seconds: float) -> Estimate:
        """Return an estimate of this many seconds with the model's spread."""
        return Estimate(seconds, seconds / self.spread, seconds * self.spread, self.trainings)


def fit_throughput(work: UnitOfWork, task: Task = "classification") -> ThroughputModel:
    """Fit the model to the latest completed trainings of a task; without any, return a default."""
    measured = [
        (flops, 1 / rate)
        for flops, rate in _throughputs(work, task)
        if rate is not None and math.isfinite(rate) and rate > 0
    ]
    if not measured:
        return ThroughputModel(*_DEFAULT_SECONDS, _GUESS_SPREAD, 0)
    flops, took = np.array(measured, float).T
    if len(measured) < 3 or flops.max() < 1.2 * flops.min():  # too similar to separate the two coefficients
        of_flops, of_image = (
            share * np.median(took / (_DEFAULT_SECONDS[0] * flops + _DEFAULT_SECONDS[1])) for share in _DEFAULT_SECONDS
        )
    else:
        of_flops, of_image = nnls(np.stack([flops / took, 1 / took], 1), np.ones(len(took)))[0]
    off = np.log(took / (of_flops * flops + of_image))
    spread = max(_MIN_SPREAD, math.exp(1.645 * float(np.sqrt((off**2).mean()))))
    return ThroughputModel(
        float(of_flops), float(of_image), spread if len(measured) >= 3 else _DEFAULT_SPREAD, len(measured)
    )


def _throughputs(work: UnitOfWork, task: Task) -> list[tuple[int, float | None]]:
    detection = [dataset.name for dataset in BUILT_IN.values() if dataset.task == "detection"]
    if task == "detection":
        return work.trials.throughputs(_MAX_TRAININGS, datasets=detection)
    return work.trials.throughputs(_MAX_TRAININGS, other_than=detection)


def images_per_epoch(dataset: Dataset, recipe: Recipe) -> int:
    """Return the number of training images per epoch."""
    total = _DEFAULT_IMAGES if dataset.train_images is None else dataset.train_images
    available = total - round(_VALIDATION_SHARE * total)
    return available if recipe.train_images is None else min(available, recipe.train_images)


def estimate_error(estimated: float, result: TrialResult) -> EstimateError:
    """Return the error of the estimate made before a training."""
    return EstimateError(estimated, estimated / max(float(result.seconds), 1e-9) - 1)
