"""The rule `surrogate`: the network under the budget with the highest expected accuracy.

The search is on a grid of resolutions and depths within the range of the data, and only where a width within the data's
range meets the cost, as the surrogate extrapolates elsewhere. Among the best places it takes the one with the greatest
mean minus standard deviation, since the maximum of many uncertain predictions is biased upwards.
"""

from __future__ import annotations

from math import exp, log

import numpy as np
from numpy.typing import NDArray

from app.scaling.bounded_cache import BoundedCache
from app.scaling.network import Architecture
from app.scaling.predictors.network_features import features_at
from app.scaling.predictors.surrogate import Surrogate
from app.scaling.rules.scaling_curves import RuleTarget
from app.scaling.solver.constraints import Constraints
from app.scaling.solver.width_grid import get_width_grid

Array = NDArray[np.float64]

_MAX_SIZES, _DEPTHS = 64, 24
_COSTS = 12  # between the target and the cheapest network of the data
_SHORTLIST = 32


class _CandidateGrid:
    """Places (r, d), and the log c that the data's narrowest and widest widths reach there, [place] each."""

    def __init__(self, architecture: Architecture, surrogate: Surrogate, baseline: int, sizes: tuple[int, ...]) -> None:
        d, w = ([getattr(p, name) for p in surrogate.points] for name in ("d", "w"))
        depths = np.linspace(min(d), max(d), _DEPTHS)
        grid = get_width_grid(architecture)
        self.r = np.repeat(grid.sizes.middles[list(sizes)], _DEPTHS)  # rounds to exactly these sizes
        self.d = np.tile(depths, len(sizes))
        self.low, self.high = (
            np.log(grid.costs(self.r, self.d, np.full(len(self.r), limit))[1] / baseline) for limit in (min(w), max(w))
        )
        self.features = features_at(architecture, np.ones(len(self.r)), self.r, self.d)
        self.kernel = surrogate.place_kernel(self.features)


_grids: BoundedCache[tuple[Architecture, Surrogate, int, tuple[int, ...]], _CandidateGrid] = BoundedCache(
    "candidate_grids", lambda grid: grid.kernel.nbytes + 4 * grid.r.nbytes
)


def _candidate_grid(
    architecture: Architecture, surrogate: Surrogate, baseline: int, sizes: tuple[int, ...]
) -> _CandidateGrid:
    return _grids.get_or_compute(
        (architecture, surrogate, baseline, sizes), lambda: _CandidateGrid(architecture, surrogate, baseline, sizes)
    )


def _sizes_to_try(architecture: Architecture, surrogate: Surrogate, constraints: Constraints) -> tuple[int, ...]:
    """Return the input sizes to try: the allowed ones in the data's range, else the one nearest to it."""
    grid, r = get_width_grid(architecture), [p.r for p in surrogate.points]
    sizes, smallest = grid.sizes, grid.min_resolution
    lowest, highest = (min(max(sizes.size_at(limit), smallest), sizes.last) for limit in (min(r), max(r)))
    allowed = constraints.allowed_sizes(sizes, lowest, lowest, highest, smallest) or [lowest]
    indices = np.unique(np.linspace(0, len(allowed) - 1, _MAX_SIZES).astype(int))
    return tuple(allowed[i] for i in indices.tolist())


def maximize_expected_accuracy(
    architecture: Architecture, surrogate: Surrogate, target: int, baseline: int, constraints: Constraints
) -> RuleTarget:
    """Return r and d, and `flops` if less than the target should be spent.

    The whole target is spent unless a cheaper network's expected accuracy is higher by more than the noise of one
    measurement. `baseline` is the unscaled network's multiply-adds.
    """
    sizes = _sizes_to_try(architecture, surrogate, constraints)
    candidates = _candidate_grid(architecture, surrogate, baseline, sizes)
    log_c, lowest = log(target / baseline), log(surrogate.range[0])
    costs = np.linspace(log_c, lowest, _COSTS) if lowest < log_c else np.array([log_c])
    means = surrogate.predict_at_costs(costs, candidates.features, candidates.kernel)
    excess = np.maximum(candidates.low[:, None] - costs, costs - candidates.high[:, None]).clip(0.0)
    at_target = np.where(excess[:, 0] <= excess[:, 0].min(), means[:, 0], -np.inf)
    means[excess > 0] = -np.inf
    best = _most_certain(surrogate, candidates, at_target, log_c)
    index, cost = np.unravel_index(int(means.argmax()), means.shape)
    if means[index, cost] > at_target[best] + surrogate.noise_sd(float(at_target[best])):
        cheaper = round(exp(costs[cost]) * baseline)
        return RuleTarget(float(candidates.r[index]), float(candidates.d[index]), flops=cheaper)
    return RuleTarget(float(candidates.r[best]), float(candidates.d[best]))


def _most_certain(surrogate: Surrogate, candidates: _CandidateGrid, means: Array, log_c: float) -> int:
    """Return, among the best places at a cost, the one with the greatest mean minus standard deviation."""
    shortlist = np.argsort(-means, kind="stable")[: min(_SHORTLIST, int(np.isfinite(means).sum()))]
    features = candidates.features[shortlist]
    features[:, 0] = log_c
    sd = surrogate.pool_posterior(features).sd
    return int(shortlist[(means[shortlist] - sd).argmax()])
