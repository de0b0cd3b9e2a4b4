"""The cost of an architecture at every width.

cost(w) is a monotone step function, since channels are multiples of a divisor. Its steps and the costs of the networks
between them are computed once per architecture.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import replace
from functools import cached_property, lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from app.scaling import families
from app.scaling.bounded_cache import BoundedCache
from app.scaling.errors import InvalidNetwork
from app.scaling.input_sizes import Indices, input_sizes
from app.scaling.network import Architecture, Config, Head, Multipliers, Stage, Stem
from app.scaling.resolution import Resolution
from app.scaling.rounding import Channels, Floats, shortest_decimal, width_breakpoints
from app.scaling.solver.cost_batch import BatchCost, Repeats

MAX_WIDTH = 4.0  # multiplier
MAX_DEPTH = 10.0  # multiplier up to which steps are listed

_STEP_TOLERANCE = 1e-9  # a multiplier farther than this from a step is beyond it
_MAX_CACHED_STAGES = 4096
_BYTES_PER_STAGE = 500  # with its entry in the cache
_WORK_PER_STEP, _WORK_PER_DEPTH = 600, 2000  # of a stage, ns
_MAX_STEPS = 12_000  # of width, over all stages


class WidthGrid:
    """The networks of an architecture at every width: segment i contains the widths from edges[i] to edges[i + 1].

    `batch` has their costs, in the order of the widths, at each of the input's `sizes`. Below `min_resolution`, a size,
    no network can be built.

    Raises: InvalidNetwork if there would be too many of them.
    """

    def __init__(self, architecture: Architecture) -> None:
        check_steps(architecture)
        self.architecture = architecture
        self.sizes = input_sizes(architecture.baseline.resolution)
        self.edges = _width_edges(architecture)
        self.widths = _midpoints(self.edges)
        two_each = tuple(2 for _ in architecture.baseline.stages)
        self._networks = architecture.assemble(architecture.baseline.resolution, two_each, self.widths)
        self.batch = BatchCost(self._networks, len(self.widths))
        self.min_resolution = int(np.argmax((self.batch.pixels > 0).all(1)))
        self.changes, self.group_of_stage = self._channel_changes()
        self._depth_edges, self._depth_repeats = _depth_steps(architecture)
        self._short_widths: dict[int, float] = {}
        self._near_segments: dict[int, slice] = {}
        self._stages: dict[tuple[int, int, int], Stage] = {}

    @property
    def nbytes(self) -> int:
        """The memory in bytes, with the most that the caches of this grid may occupy."""
        steps_by_group = 8 * len(self.widths) * len(self.changes)
        return self.batch.nbytes + 4 * steps_by_group + _MAX_CACHED_STAGES * _BYTES_PER_STAGE

    def segment(self, width: float) -> int:
        """Return the segment that contains `width`."""
        return int(self.edges.searchsorted(width, side="right")) - 1

    def short_width(self, segment: int) -> float:
        """Return a width of the segment that has few decimals: 1, the baseline's, if it is in the segment."""
        width = self._short_widths.get(segment)
        if width is None:
            middle = 1.0 if segment == self.segment(1.0) else float(self.widths[segment])
            width = self._short_widths[segment] = self.short_width_near(middle, segment)
        return width

    def repeats(self, d: float) -> Repeats:
        """Return the same as `Architecture.repeats`, faster."""
        step = bisect_left(self._depth_edges, d)
        for edge in self._depth_edges[max(0, step - 1) : step + 1]:
            if abs(edge - d) < _STEP_TOLERANCE:  # half a repeat is rounded to even, which may match neither side
                return self.architecture.repeats(d)
        return self._depth_repeats[step] if d < MAX_DEPTH else self.architecture.repeats(d)

    def depths(self, d: float, radius: float) -> list[tuple[float, Repeats]]:
        """Return the distinct repeats within `radius` of d, each with its depth multiplier nearest to d."""
        target = self.repeats(d)
        depths = [(d, target)]
        low, high = max(d - radius, 0.0), d + radius
        edges = self._depth_edges
        for step in range(bisect_right(edges, low), bisect_left(edges, high) + 1):
            repeats = self._depth_repeats[step]
            if repeats != target:
                left = max(low, edges[step - 1] if step > 0 else 0.0)
                right = min(high, edges[step] if step < len(edges) else high)
                depths.append(
                    (min(max(d, left + _STEP_TOLERANCE), right - _STEP_TOLERANCE) if left < right else left, repeats)
                )
        return depths

    def segments_within_one_step(self, width: float) -> slice:
        """Return the segments in which no stage's channels are more than one step from those at `width`."""
        middle = min(self.segment(width), len(self.widths) - 1)
        near = self._near_segments.get(middle)
        if near is None:
            steps = np.cumsum(self.changes, axis=1)
            indices = np.flatnonzero((np.abs(steps - steps[:, middle : middle + 1]) <= 1).all(0))
            near = self._near_segments[middle] = slice(int(indices[0]), int(indices[-1]) + 1)
        return near

    def largest_equal_sizes(self, sizes: list[int], kept: int) -> list[int]:
        """Return, of increasing sizes whose feature maps are equal, only the largest, and `kept` if it is given."""
        runs = self._size_runs
        return [
            size
            for size, following in zip(sizes, [*sizes[1:], 0], strict=False)
            if size == kept or runs[size] != runs[following]
        ]

    def last_equal_size(self, size: int) -> int:
        """Return the largest size whose feature maps are the same."""
        runs = self._size_runs
        return bisect_right(runs, runs[size]) - 1

    @cached_property
    def _size_runs(self) -> list[int]:
        """A number for each size that is the same as that of the next size if the feature maps that cost FLOPs are."""
        costs_flops = self.batch.flops_by_level(tuple(2 for _ in self.architecture.baseline.stages)).any(0)
        is_new = (np.diff(self.batch.pixels[:, costs_flops], axis=0, prepend=-1) != 0).any(1)
        runs: list[int] = np.cumsum(is_new).tolist()
        return runs

    def short_width_near(self, width: float, segment: int) -> float:
        """Return `width`, or the nearest to it in the segment, with few decimals."""
        low, high = float(self.edges[segment]), float(self.edges[segment + 1])
        return shortest_decimal(width, low, high, lambda w: low + _STEP_TOLERANCE < w < high - _STEP_TOLERANCE)

    @property
    def depth_edges(self) -> list[float]:
        """The depths up to MAX_DEPTH at which the repeats change."""
        return self._depth_edges

    def costs(self, r: Floats, d: Floats, w: Floats) -> tuple[Indices, Floats, Floats]:
        """Return input sizes, multiply-adds and parameters for many multipliers, [network] each."""
        sizes = self.sizes.sizes_at(r)
        segments, is_found = self._segments_of(w)
        flops, params = np.empty(len(w)), np.empty(len(w))
        indices_by_repeats: dict[Repeats, list[int]] = {}
        for i, depth in enumerate(d.tolist()):
            indices_by_repeats.setdefault(self.repeats(depth), []).append(i)
        for repeats, indices in indices_by_repeats.items():
            flops[indices] = self.batch.flops_at(segments[indices], repeats, sizes[indices])
            params[indices] = self.batch.params(repeats)[segments[indices]]
        for i in np.flatnonzero(~is_found | (sizes > self.sizes.last)).tolist():
            config = self.architecture.scale(Multipliers(float(r[i]), float(d[i]), float(w[i])))
            cost = families.network_cost(config)
            flops[i], params[i] = cost.flops, cost.params
        return sizes, flops, params

    def _segments_of(self, w: Floats) -> tuple[Indices, NDArray[np.bool_]]:
        """Return the segments that contain the widths, and whether there are such; too wide ones have none.

        At an edge float noise decides which of its two segments has the network, so that the channels are compared.
        """
        last = len(self.widths) - 1
        segments = np.clip(self.edges.searchsorted(w, side="right") - 1, 0, last)
        near_edge = np.minimum(w - self.edges[segments], self.edges[segments + 1] - w) < _STEP_TOLERANCE
        is_found = ~near_edge
        at_edge = np.flatnonzero(near_edge & (w <= MAX_WIDTH))
        if len(at_edge):
            two_each = tuple(2 for _ in self.architecture.baseline.stages)
            base = self.architecture.baseline.resolution
            counts = _channel_counts(self.architecture.assemble(base, two_each, w[at_edge]), len(at_edge))
            of_segments = _channel_counts(self._networks, len(self.widths))
            for offset in (1, -1, 0):
                candidates = np.clip(segments[at_edge] + offset, 0, last)
                is_same = (of_segments[:, candidates] == counts).all(0)
                segments[at_edge[is_same]] = candidates[is_same]
                is_found[at_edge[is_same]] = True
        return segments, is_found

    def network(self, segments: Indices | tuple[int, ...], repeats: Repeats, resolution: Resolution) -> Config:
        """Return the network whose stages and head take their channels from these width segments, [stage, ...]."""
        template = self._networks
        stages = tuple(map(self._stage, range(len(repeats)), repeats, segments))
        return Config(
            template.family,
            resolution,
            Stem(_select(template.stem.channels, segments[0]), template.stem.kernel, template.stem.stride),
            stages,
            Head(_select(template.head.channels, segments[-1])),
            template.activation,
            template.in_chans,
            template.num_classes,
        )

    def _stage(self, index: int, repeats: int, segment: Indices | int) -> Stage:
        """Return the stage at that index; one of a single network comes from a cache."""
        if isinstance(segment, int):
            cached = self._stages.get((index, repeats, segment))
            if cached is not None:
                return cached
        template = self._networks.stages[index]
        channels, group_width = _select(template.channels, segment), _select(template.group_width, segment)
        stage = replace(template, repeats=repeats, channels=channels, group_width=group_width)
        if isinstance(segment, int):
            if len(self._stages) >= _MAX_CACHED_STAGES:
                self._stages.clear()
            self._stages[index, repeats, segment] = stage
        return stage

    def _channel_changes(self) -> tuple[NDArray[np.bool_], Indices]:
        """Return where a group's channels change, [group, width], and the group of each stage.

        Consecutive stages of equal channels are one group, as otherwise they would lose their shortcuts. The stem
        belongs to the first group; the head is the last.
        """
        template = self._networks
        stem, *counts = [
            np.broadcast_to(c, self.widths.shape)
            for c in (template.stem.channels, *(stage.channels for stage in template.stages), template.head.channels)
        ]
        is_new = [True, *(bool((a != b).any()) for a, b in pairwise(counts[:-1])), True]
        changes = np.diff(np.array(counts)[is_new], prepend=0) != 0
        changes[0] |= np.diff(stem, prepend=0) != 0
        return changes, np.cumsum(is_new) - 1


_grids: BoundedCache[Architecture, WidthGrid] = BoundedCache("width_grids", lambda grid: grid.nbytes)


def get_width_grid(architecture: Architecture) -> WidthGrid:
    """Return the architecture's grid from a cache."""
    return _grids.get_or_compute(architecture, lambda: WidthGrid(architecture))


def has_width_grid(architecture: Architecture) -> bool:
    """Whether the architecture's grid is in the cache."""
    return _grids.get(architecture) is not None


@lru_cache(maxsize=64)
def grid_work(architecture: Architecture) -> int:
    """Return the work of computing the architecture's grid, in nanoseconds (`search_work`)."""
    stages = architecture.baseline.stages
    depths = MAX_DEPTH * sum(
        {sum(stage.repeats for stage in joined) for joined in architecture.baseline.joined_stages()}
    )
    return int(len(stages) * (_WORK_PER_STEP * _count_steps(architecture) + _WORK_PER_DEPTH * depths))


def check_steps(architecture: Architecture) -> None:
    """Raises: InvalidNetwork if the channels have too many steps for a grid."""
    steps = _count_steps(architecture)
    if steps > _MAX_STEPS:
        min_divisor = math.ceil(steps * architecture.rules.divisor / _MAX_STEPS)
        raise InvalidNetwork(
            "/rules/divisor", f"for this number of channels the divisor must be at least {min_divisor}"
        )


def _count_steps(architecture: Architecture) -> float:
    return sum(architecture.scaled_channels()) * MAX_WIDTH / architecture.rules.divisor


def _width_edges(architecture: Architecture) -> Floats:
    """Return 0, the widths at which the network changes, and MAX_WIDTH."""
    divisor = architecture.rules.divisor
    steps = [width_breakpoints(c, divisor, MAX_WIDTH) for c in architecture.scaled_channels()]
    sorted_steps = np.unique(np.concatenate([[0.0], *steps, [MAX_WIDTH]]))
    edges = sorted_steps[np.diff(sorted_steps, append=np.inf) > _STEP_TOLERANCE]  # others differ by float noise
    network = architecture.assemble(1, architecture.repeats(1.0), _midpoints(edges))
    counts = [network.stem.channels, *(stage.channels for stage in network.stages), network.head.channels]
    changes = [np.diff(np.broadcast_to(count, len(edges) - 1)) != 0 for count in counts]
    return edges[[True, *np.any(changes, axis=0), True]]  # some steps of a floored head change nothing


def _depth_steps(architecture: Architecture) -> tuple[list[float], list[Repeats]]:
    """Return the depths up to MAX_DEPTH at which the repeats change, and the repeats before, between and after them."""
    half = 0.5 if architecture.rules.depth == "round" else 0.0
    totals = {sum(stage.repeats for stage in joined) for joined in architecture.baseline.joined_stages()}
    edges = sorted({(k + half) / n for n in totals for k in range(int(MAX_DEPTH * n) + 1) if k + half > 0})
    inside = [(left + right) / 2 for left, right in zip([0.0, *edges], [*edges, edges[-1] + 1], strict=True)]
    repeats = [architecture.repeats(d) for d in inside]
    changes = [i for i in range(len(edges)) if repeats[i] != repeats[i + 1]]
    return [edges[i] for i in changes], [repeats[0], *(repeats[i + 1] for i in changes)]


def _channel_counts(networks: Config, n: int) -> Indices:
    """Return the channels, and channels per group, of stem, stages and head of `n` networks, [part, network]."""
    stages = [count for stage in networks.stages for count in (stage.channels, stage.group_width)]
    return np.array([np.broadcast_to(c, n) for c in (networks.stem.channels, *stages, networks.head.channels)])


def _midpoints(edges: Floats) -> Floats:
    midpoints: Floats = (edges[:-1] + edges[1:]) / 2
    return midpoints


def _select(channels: Channels, segment: Indices | int) -> Channels:
    """Return the channels of a segment, or of several."""
    if isinstance(channels, int):
        return channels
    selected = channels[segment]
    return selected if isinstance(selected, np.ndarray) else int(selected)
