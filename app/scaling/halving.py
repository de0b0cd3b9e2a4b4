"""Successive halving on epochs: most networks are trained a little, and the best of them go on.

Asynchronously (ASHA, Li et al., 2020): a network goes on as soon as it is among the best 1/eta of those that have
reached its rung, so that no worker waits for the others. Best is of two objectives, as by Schmucker et al. (2021):
by the front that a network is on, then by the area that it alone adds to that front. So networks are compared within a
rung only, and relative to cost: none is stopped for being cheap.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from app.scaling.dominance import ranks

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RungResult:
    """What a network (or its trial, by `id`) reached at a rung: accuracy from 0 to 1."""

    id: str
    flops: int
    accuracy: float


def rungs(epochs: int, eta: int, least: int) -> list[int]:
    """The epochs, rising, after which networks are compared; the last is `epochs`, at which they are done.

    Each is about `eta` times the one before it, and none is below `least`.

    Raises: ValueError where `epochs` or `least` is below 1, or `eta` below 2.
    """
    if epochs < 1 or least < 1 or eta < 2:
        raise ValueError("rungs need an epoch or more, a least of 1 or more, and an eta of 2 or more")
    found = [epochs]
    while found[0] >= least * eta:
        found.insert(0, round(found[0] / eta))
    return found


def promotable(results: Sequence[RungResult], promoted: Set[str], eta: int) -> list[str]:
    """The ids that go on from a rung now, the best first: of the best 1/eta of its results, those not yet `promoted`.

    What has no finite accuracy counts as a result, and never goes on.
    """
    known = [result for result in results if isfinite(result.accuracy)]
    best = _from_best(known)[: len(results) // eta]
    return [known[i].id for i in best if known[i].id not in promoted]


def _from_best(results: list[RungResult]) -> list[int]:
    """The indices by front, then by the area added to it, then by accuracy."""
    costs = np.log10(np.array([result.flops for result in results], float))
    accuracy = np.array([result.accuracy for result in results], float)
    of = ranks(costs, accuracy)
    added = np.zeros(len(results))
    for rank in range(int(of.max(initial=-1)) + 1):
        front = np.flatnonzero(of == rank)
        added[front] = _added(costs[front], accuracy[front])
    return np.lexsort((-accuracy, -added, of)).tolist()  # type: ignore[no-any-return]


def _added(costs: Array, accuracy: Array) -> Array:
    """The area that each network of a front alone dominates; infinite at its two ends, as in NSGA-II's crowding."""
    found = np.zeros(len(costs))
    _, first = np.unique(costs, return_index=True)  # of equals one stands for all
    found[first] = np.diff(costs[first], append=np.inf) * np.diff(accuracy[first], prepend=-np.inf)
    return found
