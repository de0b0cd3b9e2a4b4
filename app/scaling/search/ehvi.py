"""Expected hypervolume improvement for two objectives of which the cost is known exactly.

A network of log cost x and accuracy y adds to the area below the front, within a corner (a maximum cost and a minimum
accuracy), the integral over costs t from x to the maximum of max(0, y - front(t)). Here front(t) is the best accuracy
at cost t or less. With normal y the expectation is a sum over the steps of the front: each one's length beyond x times
a one-dimensional expected improvement over its height. With two uncertain objectives the sum would be over cells
(Emmerich et al., 2011; Daulton et al., 2020).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from app.scaling.pareto import ranks

Array = NDArray[np.float64]


def expected_improvement(
    x: Array, mean: Array, sd: Array, front: tuple[Array, Array], corner: tuple[float, float]
) -> Array:
    """Return the expected improvements of candidates [m], in cost times accuracy.

    `x` are their (log) costs, `mean` and `sd` their accuracies. `front` has the costs and accuracies of observed
    networks, dominated or not; `corner` is the maximum cost and the minimum accuracy.
    """
    edges, heights = _steps(*front, corner)
    lengths = np.maximum(0.0, edges[1:] - np.maximum(edges[:-1], x[:, None]))
    gain_of_mean = mean[:, None] - heights
    spread = np.maximum(sd, 1e-12)[:, None]
    z = gain_of_mean / spread
    expected_gain = gain_of_mean * ndtr(z) + spread * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    improvement: Array = (lengths * expected_gain).sum(1)
    return improvement


def _steps(costs: Array, accuracy: Array, corner: tuple[float, float]) -> tuple[Array, Array]:
    """Return where the front's steps begin and the last one ends, [k + 2], and how high they are, [k + 1]."""
    max_cost, min_accuracy = corner
    inside = (costs < max_cost) & (accuracy > min_accuracy)
    costs, accuracy = costs[inside], accuracy[inside]
    front_indices = np.flatnonzero(ranks(costs, accuracy) == 0)
    front_indices = front_indices[np.argsort(costs[front_indices])]
    edges = np.concatenate([[-np.inf], costs[front_indices], [max_cost]])
    return edges, np.concatenate([[min_accuracy], accuracy[front_indices]])
