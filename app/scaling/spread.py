"""Fewer points that stand for many: a Gaussian process costs the cube of their number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from app.scaling.dominance import ranks

Array = NDArray[np.float64]

_FRONT_SHARE = 0.5  # of those chosen, at most, for the front's layers; the others for the space around it
_LOOKED_AT = 4000  # of the others, at most: picking the farthest again and again costs their number times those chosen
_SEED = 0


def representatives(x: Array, cost: Array, accuracy: Array, most: int) -> NDArray[np.int64]:
    """The indices, rising, of at most `most` of the points x [point, dimension]; the same for the same points.

    First the layers of the accuracy-cost front, where answers are looked for; then those farthest from what was chosen
    (Gonzalez, 1985), each dimension on a scale of its own.
    """
    if len(x) <= most:
        return np.arange(len(x))
    chosen = np.lexsort((cost, ranks(cost, accuracy)))[: int(_FRONT_SHARE * most)]
    left = np.setdiff1d(np.arange(len(x)), chosen)
    if len(left) > _LOOKED_AT:
        left = np.sort(np.random.default_rng(_SEED).choice(left, _LOOKED_AT, replace=False))
    scaled = x / np.where(x.std(0) > 0, x.std(0), 1.0)
    return np.sort(np.concatenate([chosen, left[_farthest(scaled[left], scaled[chosen], most - len(chosen))]]))


def _farthest(x: Array, near: Array, n: int) -> list[int]:
    """The indices of n of the points x, each the farthest from `near` and from those picked before it."""
    distance = cdist(x, near, "sqeuclidean").min(1)
    picked: list[int] = []
    for _ in range(n):
        picked.append(int(distance.argmax()))
        np.minimum(distance, ((x - x[picked[-1]]) ** 2).sum(1), out=distance)
        distance[picked[-1]] = -1.0
    return picked
