"""Random networks under a FLOPs constraint, with which the paper's method starts."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from app.scaling.errors import SpaceTooSmall
from app.scaling.families import flops_of
from app.scaling.network import Architecture
from app.scaling.search.candidates import Candidate, find_candidates
from app.scaling.search.observations import NetworkKey
from app.scaling.solver.width_grid import get_width_grid
from app.scaling.solver.width_solver import Solution

# Sampling stops when, after the first thousand draws, fewer than one in a hundred gives a new network.
_BLOCK, _DRAWS_PER_NETWORK, _NETWORKS_AHEAD = 100, 100, 10
_MAX_WORK = 8e9  # multiplications: about a second of one core; only networks of very many widths reach it

Range = tuple[float, float]


@dataclass(frozen=True)
class Space:
    """A space of networks: ranges (min, max) of the multipliers and of flops in multiply-adds."""

    r: Range
    d: Range
    w: Range
    flops: tuple[int, int]

    def contains(self, w: float, flops: int) -> bool:
        """Return whether a network's width and flops are within their ranges."""
        return self.w[0] <= w <= self.w[1] and self.flops[0] <= flops <= self.flops[1]


@dataclass(frozen=True)
class SearchSpace:
    """A study's search space: ranges (min, max) of r, d and w, and of flops relative to the baseline's."""

    r: Range = (0.4, 1.2)
    d: Range = (0.4, 1.4)
    w: Range = (0.2, 2.0)
    ratio: Range = (0.1, 1.0)

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> SearchSpace:
        return cls(**{name: (lower, upper) for name, (lower, upper) in plain.items()})

    def to_json(self) -> dict[str, Any]:
        return {name: list(limits) for name, limits in vars(self).items()}

    def for_architecture(self, architecture: Architecture) -> Space:
        """Return the space for this baseline, with flops in multiply-adds."""
        baseline_flops = flops_of(architecture)
        lower, upper = self.ratio
        return Space(self.r, self.d, self.w, (int(lower * baseline_flops), int(upper * baseline_flops)))


def sample(architecture: Architecture, space: Space, n: int, seed: int) -> list[Solution]:
    """Return `n` different networks: r and d uniform, flops log-uniform, w solved; deterministic for a seed.

    Raises: SpaceTooSmall if the draws stop giving new networks before there are `n`.
    """
    work_per_draw = get_width_grid(architecture).batch.work_per_point
    max_draws = max(_BLOCK, int(_MAX_WORK // work_per_draw))
    random = np.random.default_rng(seed)
    candidates: dict[NetworkKey, Candidate] = {}
    draws = 0
    while len(candidates) < n:
        if draws >= min(max_draws, _DRAWS_PER_NETWORK * (len(candidates) + _NETWORKS_AHEAD)):
            raise SpaceTooSmall(n, len(candidates))
        draws += _BLOCK
        for candidate in _draw(architecture, space, random):
            candidates.setdefault(candidate.key, candidate)
    return [candidate.build(architecture) for candidate in islice(candidates.values(), n)]


def _draw(architecture: Architecture, space: Space, random: np.random.Generator) -> list[Candidate]:
    """Return the networks of the space among one block of draws."""
    log_flops = np.log(np.maximum(1, space.flops))
    lower, upper = (np.array([space.r[i], space.d[i], log_flops[i]]) for i in (0, 1))
    points = random.uniform(lower, upper, (_BLOCK, 3))
    points[:, 2] = np.round(np.exp(points[:, 2]))
    candidates = find_candidates(architecture, points, reachable_only=True)
    return [c for c in candidates if c is not None and space.contains(c.w, c.flops)]
