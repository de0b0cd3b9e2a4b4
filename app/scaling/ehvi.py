"""Expected hypervolume improvement, where of the two objectives the cost is known exactly.

A network of log cost x and accuracy y adds to the area below the front, within a worst corner (a most cost and a least
accuracy), the integral over costs t from x to the most of max(0, y - front(t)); front(t) is the best accuracy at cost t
or less. With y normal the expectation is a sum over the steps of the front: each one's length beyond x times a
one-dimensional expected improvement over its height. For both objectives uncertain the sum is over cells (Emmerich et
al., 2011; Daulton et al., 2020); here one dimension of each has become a length.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from app.scaling.dominance import ranks

Array = NDArray[np.float64]


def expected_improvement(
    x: Array, mean: Array, sd: Array, front: tuple[Array, Array], worst: tuple[float, float]
) -> Array:
    """Of candidates [m], in cost times accuracy: their (log) costs x, and their accuracies' means and deviations.

    `front` has costs and accuracies of networks seen, dominated ones or not; `worst` the most cost and least accuracy.
    """
    edges, heights = _steps(*front, worst)
    lengths = np.maximum(0.0, edges[1:] - np.maximum(edges[:-1], x[:, None]))
    above = mean[:, None] - heights
    spread = np.maximum(sd, 1e-12)[:, None]
    z = above / spread
    gain = above * ndtr(z) + spread * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    found: Array = (lengths * gain).sum(1)
    return found


def _steps(costs: Array, accuracy: Array, worst: tuple[float, float]) -> tuple[Array, Array]:
    """Where the front's steps begin and the last one ends, [k + 2], and how high they are, [k + 1]."""
    most, least = worst
    within = (costs < most) & (accuracy > least)
    costs, accuracy = costs[within], accuracy[within]
    first = np.flatnonzero(ranks(costs, accuracy) == 0)
    first = first[np.argsort(costs[first])]
    return np.concatenate([[-np.inf], costs[first], [most]]), np.concatenate([[least], accuracy[first]])
