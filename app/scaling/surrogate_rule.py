"""The rule `surrogate`: where, under the budget, the surrogate expects most accuracy.

Looked for on a grid of resolutions and depths within the range of the data, and only where a width that was among the
data's, too, meets the cost: elsewhere the surrogate guesses. Of the places expected to be best the one is taken whose
accuracy, less its standard deviation, is greatest: the best of many guesses is rather the luckiest.
"""

from __future__ import annotations

from functools import lru_cache
from math import exp, log

import numpy as np
from numpy.typing import NDArray

from app.scaling.architecture import Architecture
from app.scaling.constraints import Constraints
from app.scaling.cost_table import cost_table
from app.scaling.rounding import round_resolution
from app.scaling.rules import Wanted
from app.scaling.surrogate import Surrogate

Array = NDArray[np.float64]

_MOST_PX, _DEPTHS = 64, 24
_COSTS = 12  # that are tried, from the target down to the cheapest network of the data
_SHORTLIST = 32


class _Grid:
    """Places (r, d), and the log c that the data's widths reach there, [place] each."""

    def __init__(self, architecture: Architecture, surrogate: Surrogate, baseline: int, px: tuple[int, ...]) -> None:
        d, w = ([getattr(p, name) for p in surrogate.points] for name in ("d", "w"))
        depths = np.linspace(min(d), max(d), _DEPTHS)
        self.r = np.repeat((np.array(px) + 0.5) / architecture.baseline.resolution, _DEPTHS)  # rounds to that many px
        self.d = np.tile(depths, len(px))
        self.low, self.high = (
            np.log(cost_table(architecture).costs(self.r, self.d, np.full(len(self.r), limit))[1] / baseline)
            for limit in (min(w), max(w))
        )
        self.near = surrogate.near(self.r, self.d)


@lru_cache(maxsize=8)
def _grid(architecture: Architecture, surrogate: Surrogate, baseline: int, px: tuple[int, ...]) -> _Grid:
    return _Grid(architecture, surrogate, baseline, px)


def _allowed_px(architecture: Architecture, surrogate: Surrogate, constraints: Constraints) -> tuple[int, ...]:
    """The input sides to look at: in the data's range those that the constraints allow, else the nearest to it."""
    base, needed = architecture.baseline.resolution, cost_table(architecture).least_resolution
    r = [p.r for p in surrogate.points]
    least, most = (max(round_resolution(base, limit), needed) for limit in (min(r), max(r)))
    allowed = constraints.resolutions(least, least, most, needed) or [least]
    picked = np.unique(np.linspace(0, len(allowed) - 1, _MOST_PX).astype(int))
    return tuple(allowed[i] for i in picked.tolist())


def best_expected(
    architecture: Architecture, surrogate: Surrogate, target: int, baseline: int, constraints: Constraints
) -> Wanted:
    """r and d, with `flops` where it is less than the target that is to be spent.

    The target is spent, but where of a cheaper network more accuracy is expected, by more than the noise of one
    measurement. `baseline` is the unscaled network's multiply-adds.
    """
    grid = _grid(architecture, surrogate, baseline, _allowed_px(architecture, surrogate, constraints))
    log_c, least = log(target / baseline), log(surrogate.range[0])
    costs = np.linspace(log_c, least, _COSTS) if least < log_c else np.array([log_c])
    means = surrogate.along(costs, grid.near)
    beyond = np.maximum(grid.low[:, None] - costs, costs - grid.high[:, None]).clip(0.0)
    spent = np.where(beyond[:, 0] <= beyond[:, 0].min(), means[:, 0], -np.inf)
    means[beyond > 0] = -np.inf
    best = _surest(surrogate, grid, spent, log_c)
    place, cost = np.unravel_index(int(means.argmax()), means.shape)
    if means[place, cost] > spent[best] + surrogate.noise_sd(float(spent[best])):
        cheaper = round(exp(costs[cost]) * baseline)
        return Wanted(float(grid.r[place]), float(grid.d[place]), flops=cheaper)
    return Wanted(float(grid.r[best]), float(grid.d[best]))


def _surest(surrogate: Surrogate, grid: _Grid, means: Array, log_c: float) -> int:
    """Of the places expected to be best at a cost, the one whose mean less its standard deviation is greatest."""
    first = np.argsort(-means, kind="stable")[: min(_SHORTLIST, int(np.isfinite(means).sum()))]
    sd = surrogate.belief(np.full(len(first), exp(log_c)), grid.r[first], grid.d[first]).sd
    return int(first[(means[first] - sd).argmax()])
