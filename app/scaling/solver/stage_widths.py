"""Widths per stage: networks between two widths, in which some stages have taken their next step and others have not.

A single width moves all channels together, and between two of its steps a network's cost jumps by some percent. If
stages may differ by a few steps, there are hundreds of networks around any width, all within rounding of it. That is
enough to meet a budget without moving resolution or depth.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod

import numpy as np

from app.scaling.bounded_cache import BoundedCache
from app.scaling.input_sizes import Indices
from app.scaling.network import Architecture
from app.scaling.solver.cost_batch import BatchCost
from app.scaling.solver.width_grid import WidthGrid

_MAX_NETWORKS = 256
_MAX_STEPS = 8  # up and down


@dataclass(frozen=True)
class PerStageCandidates:
    """The networks between two neighbouring segments of a grid's widths, and a few steps beyond.

    `segments` [network, stage] are the width segments that the stages take their channels from. The stem shares the
    first stage's segment, the head's comes last, and consecutive stages of equal channels share one.
    `uniformity_distance` [network] counts the steps to the nearest network with a single width, which has 0. `batch`
    has their costs.
    """

    segments: Indices
    uniformity_distance: Indices
    batch: BatchCost

    @cached_property
    def span(self) -> tuple[Indices, Indices]:
        """Each network's lowest and highest segment, [network]."""
        return self.segments.min(1), self.segments.max(1)


_candidates: BoundedCache[tuple[Architecture, int], PerStageCandidates] = BoundedCache(
    "stage_widths", lambda candidates: candidates.batch.nbytes + 2 * candidates.segments.nbytes
)


def candidates_around(grid: WidthGrid, low: int) -> PerStageCandidates:
    """Return the networks from this segment of the grid to the next, including both, from a cache."""
    return _candidates.get_or_compute((grid.architecture, low), lambda: _compute_candidates(grid, low))


def _compute_candidates(grid: WidthGrid, low: int) -> PerStageCandidates:
    middle = min(max(low, 0), max(0, len(grid.widths) - 2))
    low, high = middle, min(middle + 1, len(grid.widths) - 1)
    runs = _channel_runs(grid, middle, low, high)
    for side in (-1, 1) * _MAX_STEPS:  # alternate steps down and up until there are too many networks
        next_low, next_high = (low - 1, high) if side < 0 else (low, high + 1)
        if next_low < 0 or next_high == len(grid.widths):
            break
        wider = _channel_runs(grid, middle, next_low, next_high)
        if prod(map(len, wider)) > _MAX_NETWORKS:
            break
        low, high, runs = next_low, next_high, wider
    nearest = [[min(max(middle, start), end) for start, end in group_runs] for group_runs in runs]
    segments = np.array(list(product(*nearest)), dtype=np.int64)
    uniformity_distance = _uniformity_distance(grid, segments, low, high)
    segments = segments[:, grid.group_of_stage]
    two_each = tuple(2 for _ in grid.architecture.baseline.stages)
    networks = grid.network(segments.T, two_each, grid.architecture.baseline.resolution)
    return PerStageCandidates(segments, uniformity_distance, BatchCost(networks, len(segments), grid.batch.pixels))


def _channel_runs(grid: WidthGrid, middle: int, low: int, high: int) -> list[list[tuple[int, int]]]:
    """Return each group's runs of segments between `low` and `high` in which its channels are constant.

    They are at most one step away from the channels that a single width would give the group.
    """
    runs_by_group = []
    for changes in grid.changes[:, low + 1 : high + 1]:
        starts = [low, *(low + 1 + np.flatnonzero(changes)).tolist()]
        runs = list(zip(starts, [*(start - 1 for start in starts[1:]), high], strict=True))
        index, next_index = (bisect_right(starts, segment) - 1 for segment in (middle, middle + 1))
        runs_by_group.append(runs[max(0, index - 1) : next_index + 2])
    return runs_by_group


def _uniformity_distance(grid: WidthGrid, segments: Indices, low: int, high: int) -> Indices:
    """Return how many steps, summed over all groups, each network is away from the nearest one with a single width."""
    steps = np.cumsum(grid.changes[:, low : high + 1], axis=1)  # steps of a group up to each segment
    own_steps = np.stack([group_runs[segment - low] for group_runs, segment in zip(steps, segments.T, strict=True)])
    distance: Indices = np.abs(own_steps[:, :, np.newaxis] - steps[:, np.newaxis, :]).sum(0).min(1)
    return distance
