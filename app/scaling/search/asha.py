"""Successive halving on epochs: most networks are trained briefly, and the best of them continue.

It is asynchronous (ASHA, Li et al., 2020): a network continues as soon as it is among the best 1/eta of those that have
reached its rung, so that no worker waits for the others. Networks are ranked by two objectives, as by Schmucker et al.
(2021): by front, then by the area that a network alone adds to its front. The comparison is within a rung and relative
to cost, so that no network is stopped for being cheap. Nor does one continue for being the cheapest alone: a front has
a margin of cost, and networks far below the accuracy that the trend gives the cheapest come last.

The accuracies compared are expectations (`expect_results`), if learning curves allow one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.scaling.network import Architecture
from app.scaling.pareto import LOG_COST_MARGIN, ranks
from app.scaling.predictors.learning_curves import estimate_accuracies, highest_common_epoch
from app.scaling.predictors.surrogate import to_accuracy, to_log_error
from app.scaling.search.observations import Observation, to_curves

Array = NDArray[np.float64]

_MIN_COSTS = 3  # different, for a trend
_MAX_TREND_RESULTS = 300
_NORMAL_MAD = 1.4826  # standard deviations in a median absolute deviation
_FLOOR_SDS, _MIN_TREND_SPREAD = 2.0, 0.02


@dataclass(frozen=True)
class Halving:
    """One in `eta` networks continues from each rung; the first rung is after at least `min_epochs`.

    Raises: ValueError if `min_epochs` is below 1, or `eta` below 2.
    """

    eta: int = 3
    min_epochs: int = 1

    def __post_init__(self) -> None:
        if self.min_epochs < 1 or self.eta < 2:
            raise ValueError("min_epochs must be at least 1 and eta at least 2")

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Halving:
        return cls(**plain)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def rungs(self, epochs: int) -> list[int]:
        """Return the increasing epochs after which networks are compared; the last is `epochs`, when they are finished.

        Each is about `eta` times the previous one, and none is below `min_epochs`.

        Raises: ValueError if `epochs` is below 1.
        """
        if epochs < 1:
            raise ValueError("there must be at least one epoch")
        rungs = [epochs]
        while rungs[0] >= self.min_epochs * self.eta:
            rungs.insert(0, round(rungs[0] / self.eta))
        return rungs


@dataclass(frozen=True)
class RungResult:
    """The accuracy, from 0 to 1, that a network (identified by its trial's `id`) reached at a rung."""

    id: str
    flops: int
    accuracy: float


def promotable(results: Sequence[RungResult], promoted: Set[str], eta: int) -> list[str]:
    """Return the ids to promote from a rung, best first: those of the best 1/eta results that are not yet `promoted`.

    A result without a finite accuracy counts as a result but is never promoted.
    """
    finite = [result for result in results if isfinite(result.accuracy)]
    ranked = _sort_best_first(finite)[: len(results) // eta]
    return [finite[i].id for i in ranked if finite[i].id not in promoted]


def may_continue(results: Sequence[RungResult], result_id: str, eta: int) -> bool:
    """Return whether a training that cannot wait continues at a rung: every one does before there are `eta` results."""
    return len(results) < eta or result_id in promotable(results, frozenset(), eta)


def expect_results(architecture: Architecture, trainings: Mapping[str, Observation], rung: int) -> list[RungResult]:
    """Return the results to compare at a rung: of each training, by id, that has reached it (`curve`).

    Once enough networks have reached a later epoch, the accuracies are those after it, measured or estimated from the
    learning curves; before, or if there is no estimate for one of them, those at the rung.
    """
    at_rung = {id: accuracy for id, o in trainings.items() if (accuracy := dict(o.curve).get(rung)) is not None}
    finite = [id for id, accuracy in at_rung.items() if isfinite(accuracy)]
    curves = to_curves(architecture, [trainings[id] for id in finite])
    later = highest_common_epoch(curves) or rung
    points = estimate_accuracies(curves, later) if later > rung else []
    expected = [p.accuracy for p in points if p is not None and p.accuracy is not None]
    if len(expected) == len(finite):
        at_rung |= dict(zip(finite, expected, strict=True))
    return [RungResult(id, trainings[id].flops, accuracy) for id, accuracy in at_rung.items()]


def _sort_best_first(results: list[RungResult]) -> list[int]:
    """Return the indices sorted by front, then by the area added to it, then by accuracy."""
    costs = np.log10(np.array([result.flops for result in results], float))
    accuracy = np.array([result.accuracy for result in results], float)
    floor = _accuracy_floor(costs, accuracy)
    front_ranks = ranks(costs, accuracy, LOG_COST_MARGIN)
    areas = np.zeros(len(results))
    for rank in range(int(front_ranks.max(initial=-1)) + 1):
        front = np.flatnonzero(front_ranks == rank)
        areas[front] = _exclusive_areas(costs[front], accuracy[front], floor)
    order: list[int] = np.lexsort((-accuracy, -areas, front_ranks, accuracy <= floor)).tolist()
    return order


def _accuracy_floor(costs: Array, accuracy: Array) -> float:
    """Return the accuracy up to which a result is worse than its cost explains, even were it the cheapest.

    It is at least the lowest accuracy of all. From three different costs on it is at least two robust standard
    deviations below the trend (Theil and Sen) of -log(1 - accuracy) on log cost at the lowest cost.
    """
    lowest = float(accuracy.min(initial=1.0))
    if len(np.unique(costs)) < _MIN_COSTS:
        return lowest
    from scipy.stats import theilslopes

    indices = np.unique(np.linspace(0, len(costs) - 1, _MAX_TREND_RESULTS).astype(int))  # there are pairs of all
    y = to_log_error(accuracy)
    with np.errstate(invalid="ignore"):  # the interval that it also computes is undefined for many equal values
        slope = max(0.0, float(theilslopes(y[indices], costs[indices])[0]))
    residuals = y - slope * costs
    level = float(np.median(residuals))
    spread = _NORMAL_MAD * float(np.median(np.abs(residuals - level)))
    floor = level + slope * float(costs.min()) - _FLOOR_SDS * max(spread, _MIN_TREND_SPREAD)
    return max(lowest, float(to_accuracy(np.array(floor))))


def _exclusive_areas(costs: Array, accuracy: Array, floor: float) -> Array:
    """Return the area above the floor that each network of a front alone dominates; infinite for the most accurate."""
    areas = np.zeros(len(costs))
    _, first = np.unique(costs, return_index=True)  # one represents all equal ones
    widths = np.diff(costs[first], append=costs[first[-1]])
    areas[first] = widths * np.maximum(np.diff(accuracy[first], prepend=floor), 0.0)
    areas[first[-1]] = np.inf
    return areas
