"""Non-dominated sorting of networks by accuracy and cost.

With two objectives, a sweep by decreasing accuracy ranks n networks in O(n log n). The usual comparison of all pairs,
which works for any number of objectives, takes O(n^2): minutes for a hundred thousand networks.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LOG_COST_MARGIN = math.log10(1.01)  # networks whose costs differ by less than 1 % cost the same

Values = Sequence[float] | NDArray[np.float64]


def ranks(costs: Values, accuracy: Values, cost_margin: float = 0.0, accuracy_margin: float = 0.0) -> NDArray[np.int64]:
    """Return the front of each network, [network]: 0 if nothing dominates it, 1 if only rank 0 does, and so on.

    These are the ranks of non-dominated sorting (Deb et al., 2002). A network dominates another if it is better in cost
    or accuracy and at least equal in the other. It also does if its accuracy is higher by more than `accuracy_margin`
    and its cost is higher by at most `cost_margin`. Networks that are equal in both share a rank.
    """
    cost, loss = np.asarray(costs, float), -np.asarray(accuracy, float)
    order = np.lexsort((cost, loss))
    result = np.zeros(len(order), np.int64)
    sweep = list(zip(order.tolist(), cost[order].tolist(), loss[order].tolist(), strict=True))
    at_least_equal, clearly_better = list[float](), list[float]()
    position, previous, rank = 0, None, 0
    for i, x, y in sweep:
        while sweep[position][2] < y - accuracy_margin:
            better, its_cost, _ = sweep[position]
            _insert(clearly_better, int(result[better]), its_cost)
            position += 1
        if (x, y) != previous:
            rank = max(bisect_right(at_least_equal, x), bisect_right(clearly_better, x + cost_margin))
            _insert(at_least_equal, rank, x)
            previous = x, y
        result[i] = rank
    return result


def _insert(min_costs: list[float], rank: int, cost: float) -> None:
    """Add a network to the lowest costs of the networks of each rank or a higher one, which increase with the rank."""
    while rank >= len(min_costs):
        min_costs.append(math.inf)
    while rank >= 0 and min_costs[rank] > cost:
        min_costs[rank] = cost
        rank -= 1


def first_fronts(front_ranks: NDArray[np.int64], min_count: int) -> NDArray[np.int64]:
    """Return the indices of the fewest whole fronts with at least `min_count` networks in total, or of all networks."""
    if not len(front_ranks):
        return np.zeros(0, np.int64)
    last = int(np.searchsorted(np.cumsum(np.bincount(front_ranks)), min_count))
    return np.flatnonzero(front_ranks <= last)
