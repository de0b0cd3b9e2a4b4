"""An architecture's cost at every width there is.

cost(w) is a monotone step function, since channels move in multiples of a divisor: its steps are listed once an
architecture, and what the networks between them cost.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from app.scaling import families
from app.scaling.architecture import Architecture, Config, Head, Multipliers, Stage, Stem
from app.scaling.cost_sheet import LARGEST, CostSheet, Indices, Repeats
from app.scaling.errors import InvalidNetwork
from app.scaling.rounding import Channels, Floats, short_decimal, width_breakpoints

WIDEST = 4.0  # the greatest width multiplier looked at
DEEPEST = 10.0  # the greatest depth multiplier whose steps are listed

_BESIDE = 1e-9  # a multiplier this far from a step lies beyond it
_MOST_TABLES, _MOST_STAGES = 32, 4096
_MOST_STEPS = 12_000  # of the width, over all stages


class CostTable:
    """The networks of an architecture at every width: segment i is what any width from edges[i] to edges[i + 1] gives.

    `sheet` has their costs, in the order of the widths.

    Raises: InvalidNetwork where there would be too many of them.
    """

    def __init__(self, architecture: Architecture) -> None:
        check_steps(architecture)
        self.architecture = architecture
        self.edges = _width_edges(architecture)
        self.widths = _middles(self.edges)
        twice = tuple(2 for _ in architecture.baseline.stages)
        self._networks = architecture.assembled(architecture.baseline.resolution, twice, self.widths)
        self.sheet = CostSheet(self._networks, len(self.widths))
        self.least_resolution = int(np.argmax((self.sheet.pixels > 0).all(1)))
        self.changes, self.group_of_stage = self._changes()
        self._depth_edges, self._depth_repeats = _depth_steps(architecture)
        self._short: dict[int, float] = {}
        self._stages: dict[tuple[int, int, int], Stage] = {}

    def segment(self, width: float) -> int:
        """The segment that `width` belongs to."""
        return int(self.edges.searchsorted(width, side="right")) - 1

    def short_width(self, segment: int) -> float:
        """A width of the segment that has few decimals."""
        found = self._short.get(segment)
        if found is None:
            low, high = float(self.edges[segment]), float(self.edges[segment + 1])
            found = short_decimal(float(self.widths[segment]), low, high, lambda w: low + _BESIDE < w < high - _BESIDE)
            self._short[segment] = found
        return found

    def repeats(self, d: float) -> Repeats:
        """What `Architecture.repeats` says, sooner."""
        step = bisect_left(self._depth_edges, d)
        for beside in self._depth_edges[max(0, step - 1) : step + 1]:
            if abs(beside - d) < _BESIDE:  # half a repeat goes to the even one: it may be neither side's
                return self.architecture.repeats(d)
        return self._depth_repeats[step] if d < DEEPEST else self.architecture.repeats(d)

    def depths(self, d: float, latitude: float) -> list[tuple[float, Repeats]]:
        """The different repeats within `latitude` of d, each with the depth multiplier nearest to d that gives it."""
        wanted = self.repeats(d)
        found = [(d, wanted)]
        low, high = max(d - latitude, 0.0), d + latitude
        edges = self._depth_edges
        for step in range(bisect_right(edges, low), bisect_left(edges, high) + 1):
            repeats = self._depth_repeats[step]
            if repeats != wanted:
                left = max(low, edges[step - 1] if step > 0 else 0.0)
                right = min(high, edges[step] if step < len(edges) else high)
                found.append((min(max(d, left + _BESIDE), right - _BESIDE) if left < right else left, repeats))
        return found

    def costs(self, r: Floats, d: Floats, w: Floats) -> tuple[Indices, Floats, Floats]:
        """Input sides in px, multiply-adds and parameters of the networks at many multipliers, [network] each."""
        base = self.architecture.baseline.resolution
        resolutions = np.maximum(1, (base * r).astype(np.int64))
        segments = np.minimum(self.edges.searchsorted(w, side="right") - 1, len(self.widths) - 1)
        flops, params = np.empty(len(w)), np.empty(len(w))
        of_repeats: dict[Repeats, list[int]] = {}
        for i, depth in enumerate(d.tolist()):
            of_repeats.setdefault(self.repeats(depth), []).append(i)
        for repeats, which in of_repeats.items():
            flops[which] = self.sheet.flops_at(segments[which], repeats, resolutions[which])
            params[which] = self.sheet.params(repeats)[segments[which]]
        beside = np.minimum(w - self.edges[segments], self.edges[segments + 1] - w) < _BESIDE  # on a step, or too wide
        for i in np.flatnonzero(beside | (resolutions > LARGEST)).tolist():
            config = self.architecture.scaled(Multipliers(float(r[i]), float(d[i]), float(w[i])))
            cost = families.network_cost(config)
            flops[i], params[i] = cost.flops, cost.params
        return resolutions, flops, params

    def network(self, segments: Indices | tuple[int, ...], repeats: Repeats, resolution: int) -> Config:
        """The network whose stages, and head, take their channels from these segments of the widths, [stage, ...]."""
        whole = self._networks
        stages = tuple(map(self._stage, range(len(repeats)), repeats, segments))
        return Config(
            whole.family,
            resolution,
            Stem(_taken(whole.stem.channels, segments[0]), whole.stem.kernel, whole.stem.stride),
            stages,
            Head(_taken(whole.head.channels, segments[-1])),
            whole.activation,
            whole.in_chans,
            whole.num_classes,
        )

    def _stage(self, index: int, repeats: int, segment: Indices | int) -> Stage:
        """The stage of that index; where it is a single one, made once."""
        if isinstance(segment, int):
            found = self._stages.get((index, repeats, segment))
            if found is not None:
                return found
        whole = self._networks.stages[index]
        channels, group_width = _taken(whole.channels, segment), _taken(whole.group_width, segment)
        stage = replace(whole, repeats=repeats, channels=channels, group_width=group_width)
        if isinstance(segment, int):
            if len(self._stages) >= _MOST_STAGES:
                self._stages.clear()
            self._stages[index, repeats, segment] = stage
        return stage

    def _changes(self) -> tuple[NDArray[np.bool_], Indices]:
        """Whether a group of stages has other channels than a segment before, [group, width]; the group of each stage.

        Stages of equal channels that follow each other are one group, lest their shortcuts go; the stem goes with the
        first, the head is the last.
        """
        whole = self._networks
        stem, *counts = [
            np.broadcast_to(c, self.widths.shape)
            for c in (whole.stem.channels, *(stage.channels for stage in whole.stages), whole.head.channels)
        ]
        is_new = [True, *(bool((a != b).any()) for a, b in pairwise(counts[:-1])), True]
        changes = np.diff(np.array(counts)[is_new], prepend=0) != 0
        changes[0] |= np.diff(stem, prepend=0) != 0
        return changes, np.cumsum(is_new) - 1


@lru_cache(maxsize=_MOST_TABLES)
def cost_table(architecture: Architecture) -> CostTable:
    """The architecture's table, made once."""
    return CostTable(architecture)


def check_steps(architecture: Architecture) -> None:
    """Raises: InvalidNetwork where the channels take too many steps for all of them to be listed."""
    steps = sum(architecture.scaled_channels()) * WIDEST / architecture.rules.divisor
    if steps > _MOST_STEPS:
        least = math.ceil(steps * architecture.rules.divisor / _MOST_STEPS)
        raise InvalidNetwork("/rules/divisor", f"with so many channels the divisor has to be {least} or more")


def _width_edges(architecture: Architecture) -> Floats:
    """0, the widths at which the network changes, and WIDEST."""
    divisor = architecture.rules.divisor
    steps = [width_breakpoints(c, divisor, WIDEST) for c in architecture.scaled_channels()]
    sorted_steps = np.unique(np.concatenate([[0.0], *steps, [WIDEST]]))
    edges = sorted_steps[np.diff(sorted_steps, append=np.inf) > _BESIDE]  # the others are equal but for float noise
    network = architecture.assembled(1, architecture.repeats(1.0), _middles(edges))
    counts = [network.stem.channels, *(stage.channels for stage in network.stages), network.head.channels]
    changes = [np.diff(np.broadcast_to(count, len(edges) - 1)) != 0 for count in counts]
    return edges[[True, *np.any(changes, axis=0), True]]  # a floored head has steps that change nothing


def _depth_steps(architecture: Architecture) -> tuple[list[float], list[Repeats]]:
    """The depths up to DEEPEST at which the repeats change, and the repeats before, between and after them."""
    half = 0.5 if architecture.rules.depth == "round" else 0.0
    totals = {sum(stage.repeats for stage in joined) for joined in architecture.baseline.joined()}
    edges = sorted({(k + half) / n for n in totals for k in range(int(DEEPEST * n) + 1) if k + half > 0})
    inside = [(left + right) / 2 for left, right in zip([0.0, *edges], [*edges, edges[-1] + 1], strict=True)]
    repeats = [architecture.repeats(d) for d in inside]
    changes = [i for i in range(len(edges)) if repeats[i] != repeats[i + 1]]
    return [edges[i] for i in changes], [repeats[0], *(repeats[i + 1] for i in changes)]


def _middles(edges: Floats) -> Floats:
    middles: Floats = (edges[:-1] + edges[1:]) / 2
    return middles


def _taken(channels: Channels, segment: Indices | int) -> Channels:
    """The channels of a segment, or of several."""
    if isinstance(channels, int):
        return channels
    taken = channels[segment]
    return taken if isinstance(taken, np.ndarray) else int(taken)
