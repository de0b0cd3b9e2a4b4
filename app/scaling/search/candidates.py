"""Candidates: the networks of an architecture that are nearest to some costs, found in bulk.

Both samplers and the solver accept the same input sizes, so that a candidate is exactly the network that is trained.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from app.scaling import families
from app.scaling.errors import InvalidNetwork
from app.scaling.network import Architecture
from app.scaling.predictors.single_thread_blas import limit_blas_to_one_thread
from app.scaling.resolution import Resolution
from app.scaling.search.observations import NetworkKey
from app.scaling.solver.constraints import Constraints
from app.scaling.solver.width_grid import WidthGrid, get_width_grid
from app.scaling.solver.width_solver import Solution, solve

Array = NDArray[np.float64]

_POINTS_AT_ONCE = 64  # bounds the memory
_REACHABILITY_SLACK = 0.005  # relative, as in the solver
_NO_CONSTRAINTS = Constraints()


@dataclass(frozen=True)
class Candidate:
    """A network with one width for all stages: r, d, the width's segment and value, the cost and the key."""

    r: float
    d: float
    segment: int
    w: float
    flops: int
    key: NetworkKey

    @property
    def resolution(self) -> Resolution:
        return self.key[0]

    def build(self, architecture: Architecture) -> Solution:
        """Return the network with all its costs."""
        only = Constraints(fixed_resolution=self.resolution)
        return solve(architecture, self.r, self.d, self.flops, width=self.w, constraints=only)


def find_candidates(architecture: Architecture, coordinates: Array, *, reachable_only: bool) -> list[Candidate | None]:
    """Return the networks that are nearest in cost to points [point, (r, d, multiply-adds)].

    A point's candidate is None if its network cannot be built. With `reachable_only` it is also None if all widths cost
    more, or all cost less, than the point.
    """
    limit_blas_to_one_thread()
    grid = get_width_grid(architecture)
    candidates: list[Candidate | None] = [None] * len(coordinates)
    can_be_built = cache(lambda repeats: _can_be_built(grid, repeats))
    valid = [
        (i, size, repeats)
        for i, (r, d) in enumerate(coordinates[:, :2].tolist())
        if _is_allowed(grid, size := grid.sizes.size_at(r)) and can_be_built(repeats := grid.repeats(d))
    ]
    for start in range(0, len(valid), _POINTS_AT_ONCE):
        points = valid[start : start + _POINTS_AT_ONCE]
        indices = np.array([i for i, _, _ in points])
        sizes = np.array([size for _, size, _ in points])
        repeats_of_each = np.array([repeats for *_, repeats in points])
        flops, targets = grid.batch.flops_by_point(repeats_of_each, sizes), coordinates[indices, 2]
        segments = np.abs(flops - targets).argmin(0)
        nearest = flops[segments, np.arange(len(points))]
        params = grid.batch.params_at(segments, repeats_of_each)
        slack = _REACHABILITY_SLACK * targets
        reachable = (flops.min(0) - slack <= targets) & (targets <= flops.max(0) + slack)
        for i, size, segment, cost, parameters, is_reachable in zip(
            indices.tolist(), sizes.tolist(), segments.tolist(), nearest.tolist(), params.tolist(),
            reachable.tolist(), strict=True,
        ):  # fmt: skip
            if is_reachable or not reachable_only:
                r, d = float(coordinates[i, 0]), float(coordinates[i, 1])
                key = grid.sizes.resolution(size), int(cost), int(parameters)
                candidates[i] = Candidate(r, d, segment, grid.short_width(segment), int(cost), key)
    return candidates


def _is_allowed(grid: WidthGrid, size: int) -> bool:
    """Return whether the solver accepts this input size unchanged if there are no constraints."""
    is_built = grid.min_resolution <= size <= grid.sizes.last
    return is_built and _NO_CONSTRAINTS.allows(grid.sizes.resolution(size))


def _can_be_built(grid: WidthGrid, repeats: tuple[int, ...]) -> bool:
    """Return whether the family can build networks with these repeats."""
    resolution = grid.sizes.resolution(_NO_CONSTRAINTS.every_size(grid.sizes, grid.min_resolution)[0])
    try:
        families.check(grid.network((0,) * (len(repeats) + 1), repeats, resolution))
    except InvalidNetwork:
        return False
    return True
