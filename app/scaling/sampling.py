"""Random networks under a FLOPs constraint (paper, section 3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from app.scaling.architecture import Architecture, Config
from app.scaling.errors import SpaceTooSmall, TargetOutOfRange
from app.scaling.width_solver import Solution, solve

_DRAWS_A_NETWORK = 100

Range = tuple[float, float]


@dataclass(frozen=True)
class Space:
    """Where networks are drawn: ranges [least, most] of the multipliers and of flops."""

    r: Range
    d: Range
    w: Range
    flops: tuple[int, int]

    def holds(self, found: Solution) -> bool:
        least, most = self.flops
        return self.w[0] <= found.multipliers.w <= self.w[1] and least <= found.cost.flops <= most


def sample(architecture: Architecture, space: Space, n: int, seed: int) -> list[Solution]:
    """`n` different networks: r and d uniform, flops uniform over their logarithm, w solved. The same for a seed.

    Raises: SpaceTooSmall where a hundred draws a network do not find as many.
    """
    random = np.random.default_rng(seed)
    found: dict[Config, Solution] = {}
    for _ in range(_DRAWS_A_NETWORK * n):
        r, d = random.uniform(*space.r), random.uniform(*space.d)
        target = round(np.exp(random.uniform(*np.log(space.flops))))
        try:
            drawn = solve(architecture, r, d, target)
        except TargetOutOfRange:
            continue
        if space.holds(drawn):
            found.setdefault(drawn.config, drawn)
        if len(found) == n:
            return list(found.values())
    raise SpaceTooSmall(n, len(found))
