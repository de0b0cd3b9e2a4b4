"""Random networks under a FLOPs constraint: where the paper's method starts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from app.scaling.architecture import Architecture, Config
from app.scaling.errors import SpaceTooSmall, TargetOutOfRange
from app.scaling.rounding import round_resolution
from app.scaling.width_solver import Solution, solve

# Given up where, after the first thousand, fewer than one draw in a hundred is a new network.
_DRAWS_A_NETWORK, _NETWORKS_AHEAD = 100, 10

Range = tuple[float, float]


@dataclass(frozen=True)
class Space:
    """Where networks are drawn: ranges (least, most) of the multipliers, and of flops in multiply-adds."""

    r: Range
    d: Range
    w: Range
    flops: tuple[int, int]

    def holds(self, found: Solution) -> bool:
        """Whether the solved width and the discrete network's flops lie within their ranges."""
        least, most = self.flops
        return self.w[0] <= found.multipliers.w <= self.w[1] and least <= found.cost.flops <= most


def sample(architecture: Architecture, space: Space, n: int, seed: int) -> list[Solution]:
    """`n` different networks: r and d uniform, flops uniform over their logarithm, w solved. The same for a seed.

    Raises: SpaceTooSmall where the draws cease to give new networks before there are `n`.
    """
    random = np.random.default_rng(seed)
    found: dict[Config, Solution] = {}
    draws = 0
    while len(found) < n:
        if draws == _DRAWS_A_NETWORK * (len(found) + _NETWORKS_AHEAD):
            raise SpaceTooSmall(n, len(found))
        draws += 1
        drawn = _draw(architecture, space, random)
        if drawn is not None:
            found.setdefault(drawn.config, drawn)
    return list(found.values())


def _draw(architecture: Architecture, space: Space, random: np.random.Generator) -> Solution | None:
    r, d = random.uniform(*space.r), random.uniform(*space.d)
    target = round(np.exp(random.uniform(*np.log(np.maximum(1, space.flops)))))
    try:
        drawn = solve(architecture, r, d, target)
    except TargetOutOfRange:
        return None
    moved = drawn.config.resolution != round_resolution(architecture.baseline.resolution, r)
    return drawn if space.holds(drawn) and not moved else None
