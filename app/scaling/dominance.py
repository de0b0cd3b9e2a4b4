"""Which networks no other one beats in accuracy and cost, and which do so once those are put aside.

For two objectives a sweep by rising cost ranks n networks in n log n; comparing all pairs, as sorting for any number of
objectives does, takes n squared: minutes for a hundred thousand.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Values = Sequence[float] | NDArray[np.float64]


def ranks(costs: Values, accuracy: Values) -> NDArray[np.int64]:
    """Each network's front, [network]: 0 for what nothing dominates, 1 for what only those do, and so on.

    The ranks of non-dominated sorting (Deb et al., 2002). A network dominates another where it beats it in cost or in
    accuracy and equals or beats it in the other: equals in both share a rank.
    """
    cost, loss = np.asarray(costs, float), -np.asarray(accuracy, float)
    order = np.lexsort((loss, cost))
    found = np.zeros(len(order), np.int64)
    least: list[float] = []  # of each front, the least loss so far: it rises from front to front
    before: tuple[float, float] | None = None
    rank = 0
    for i, x, y in zip(order.tolist(), cost[order].tolist(), loss[order].tolist(), strict=True):
        if (x, y) != before:
            rank = bisect_right(least, y)
            least[rank : rank + 1] = [y]
            before = (x, y)
        found[i] = rank
    return found


def first_fronts(of: NDArray[np.int64], wanted: int) -> NDArray[np.int64]:
    """The indices of the first whole fronts that hold `wanted` networks or more (all, where there are fewer)."""
    if not len(of):
        return np.zeros(0, np.int64)
    enough = int(np.searchsorted(np.cumsum(np.bincount(of)), wanted))
    return np.flatnonzero(of <= enough)
