"""A subset of points that represents all of them, since the cost of a Gaussian process is cubic in their number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from app.scaling.pareto import ranks

Array = NDArray[np.float64]

_FRONT_SHARE = 0.5  # maximum share of the front's layers; the rest covers the space around it
_MAX_CONSIDERED = 4000  # candidates outside the front: the search costs their number times the number selected
_SEED = 0


def select_subset(x: Array, cost: Array, accuracy: Array, size: int) -> NDArray[np.int64]:
    """Return the sorted indices of at most `size` of the points x [point, dimension]; the same for the same points.

    Half come from the first layers of the accuracy-cost front, where predictions matter most. The others are the
    farthest from the points selected so far (Gonzalez, 1985), with each dimension scaled by its spread.
    """
    if len(x) <= size:
        return np.arange(len(x))
    selected = np.lexsort((cost, ranks(cost, accuracy)))[: int(_FRONT_SHARE * size)]
    remaining = np.setdiff1d(np.arange(len(x)), selected)
    if len(remaining) > _MAX_CONSIDERED:
        remaining = np.sort(np.random.default_rng(_SEED).choice(remaining, _MAX_CONSIDERED, replace=False))
    scaled = x / np.where(x.std(0) > 0, x.std(0), 1.0)
    farthest = _pick_farthest(scaled[remaining], scaled[selected], size - len(selected))
    return np.sort(np.concatenate([selected, remaining[farthest]]))


def _pick_farthest(x: Array, reference: Array, n: int) -> list[int]:
    """Return the indices of n of the points x, each the farthest from `reference` and from those picked before it."""
    distance = cdist(x, reference, "sqeuclidean").min(1)
    picked: list[int] = []
    for _ in range(n):
        picked.append(int(distance.argmax()))
        np.minimum(distance, ((x - x[picked[-1]]) ** 2).sum(1), out=distance)
        distance[picked[-1]] = -1.0
    return picked
