"""An architecture's cost at every width, depth and input size there is: the many networks, costed together.

cost(w) is a monotone step function, since channels move in multiples of a divisor. Its steps are listed once an
architecture, with what a pixel of each level costs in each part at each of them; the cost of any candidate is then a
small product.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from app.scaling import families
from app.scaling.architecture import Architecture, Config
from app.scaling.cost import BIAS, BYTES, OPERATORS, Booked, Cost, Ledger
from app.scaling.rounding import Channels, Floats, short_decimal, width_breakpoints

WIDEST = 4.0  # the greatest width multiplier looked at
DEEPEST = 10.0  # the greatest depth multiplier whose steps are listed
LARGEST = 4096  # the greatest input side, px

Repeats = tuple[int, ...]

_ALL = slice(None)
_MOST_KEPT = 512  # depths that a table remembers
_COUNTED = (*OPERATORS, BIAS)


class CostTable:
    """The cost of an architecture at every width there is, as arrays over the widths."""

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture
        self.edges = _width_edges(architecture)
        self.widths = _middles(self.edges)
        base = architecture.baseline
        self._network = architecture.assembled(base.resolution, tuple(2 for _ in base.stages), self.widths)
        ledger = families.ledger(self._network)
        self._of_stage = [part.of_stage for part in ledger.parts]
        self.pixels = np.stack([np.broadcast_to(s, LARGEST + 1) for s in ledger.sides(np.arange(LARGEST + 1))], 1) ** 2.0
        self.least_resolution = int(np.argmax((self.pixels > 0).all(1)))
        booked = [part.booked() for part in ledger.parts]
        self._params = np.stack([self._over_widths(b.params) for b in booked], axis=1)
        n = len(self.widths)
        counts = [[*(_of(b, counted) for counted in _COUNTED), [*b.activations.items()]] for b in booked]
        spread = np.stack([[self._spread(c, n) for c in of_part] for of_part in counts])
        self._counts = spread.transpose(3, 1, 0, 2).copy()
        self._flops = self.flops_per_pixel(ledger, n).transpose(1, 2, 0).copy()
        alive = [self._spread([(level, c) for c, level in maps], n) for b in booked for maps in b.alive]
        self._alive = np.stack(alive).transpose(2, 0, 1).copy()
        self._part_of_alive = np.repeat(np.arange(len(ledger.parts)), [len(b.alive) for b in booked])
        self._depth_edges, self._depth_repeats = _depth_steps(architecture)
        self.changes, self.group_of_stage = self._changes()
        self.between: dict[int, object] = {}  # what `stage_widths` made for it
        self._short: dict[int, float] = {}
        self._flops_of: dict[Repeats, Floats] = {}

    def flops(self, repeats: Repeats, resolutions: Floats | list[int] | slice, widths: slice = _ALL) -> Floats:
        """Multiply-adds, [px, width]: exact, since whole numbers below 2^53 are."""
        of_levels = self._flops_of.get(repeats)
        if of_levels is None:
            if len(self._flops_of) >= _MOST_KEPT:
                self._flops_of.clear()
            of_levels = self._flops_of[repeats] = np.tensordot(self.times(repeats), self._flops, 1)
        flops: Floats = self.pixels[resolutions] @ of_levels[:, widths]
        return flops

    def params(self, repeats: Repeats, widths: slice = _ALL) -> Floats:
        """Learnable parameters, [width]."""
        params: Floats = self._params[widths] @ self.times(repeats)
        return params

    def peaks(self, repeats: Repeats, resolutions: list[int], widths: slice = _ALL) -> Floats:
        """Peak activation bytes, [px, width]."""
        there = self.times(repeats)[self._part_of_alive] > 0
        peaks: Floats = BYTES * (self._alive[widths][:, there] @ self.pixels[resolutions].T).max(1).T
        return peaks

    def short_width(self, segment: int) -> float:
        """A width with few decimals that belongs to this entry of `widths`."""
        found = self._short.get(segment)
        if found is None:
            low, high = float(self.edges[segment]), float(self.edges[segment + 1])
            found = short_decimal(float(self.widths[segment]), low, high, lambda w: low + _BESIDE < w < high - _BESIDE)
            self._short[segment] = found
        return found

    def segment(self, width: float) -> int:
        """The entry of `widths` that gives the same network as `width`."""
        return int(np.searchsorted(self.edges, width, side="right")) - 1

    def cost(self, repeats: Repeats, resolution: int, width: int) -> Cost:
        """What `families.network_cost` says of the network, an order of magnitude sooner."""
        times, pixels = self.times(repeats), self.pixels[resolution]
        *counted, activations = ((self._counts[width] @ pixels) @ times).tolist()
        alive = (self._alive[width] @ pixels)[times[self._part_of_alive] > 0]
        return Cost(
            {operator: int(count) for operator, count in zip(OPERATORS, counted, strict=False)},
            int(self._params[width] @ times),
            int(activations),
            BYTES * int(alive.max()),
            int(counted[-1]),
        )

    def depths(self, d: float, latitude: float) -> list[tuple[float, Repeats]]:
        """The different repeats within `latitude` of d, each with the depth multiplier nearest to d that gives it."""
        wanted = self.architecture.repeats(d)
        found = [(d, wanted)]
        low, high = max(d - latitude, 0.0), d + latitude
        edges = self._depth_edges
        first, last = bisect_right(edges, low), bisect_left(edges, high)
        for step in range(first, last + 1):
            repeats = self._depth_repeats[step]
            if repeats != wanted:
                left = max(low, edges[step - 1] if step > 0 else 0.0)
                right = min(high, edges[step] if step < len(edges) else high)
                found.append((min(max(d, left + _BESIDE), right - _BESIDE) if left < right else left, repeats))
        return found

    def times(self, repeats: Repeats) -> Floats:
        """How often each part runs, [part]."""
        return np.array([1.0 if of is None else repeats[of] - 1.0 for of in self._of_stage])

    def network(self, columns: NDArray[np.int64] | tuple[int, ...], repeats: Repeats | None = None, resolution: int = 1) -> Config:
        """The network whose stages, and head, take their channels from these segments of the widths, [stage, ...]."""
        whole = self._network
        stages = tuple(
            replace(
                stage,
                channels=_taken(stage.channels, column),
                group_width=_taken(stage.group_width, column),
                repeats=stage.repeats if repeats is None else repeats[i],
            )
            for i, (stage, column) in enumerate(zip(whole.stages, columns, strict=False))
        )
        return replace(
            whole,
            resolution=resolution,
            stem=replace(whole.stem, channels=_taken(whole.stem.channels, columns[0])),
            stages=stages,
            head=replace(whole.head, channels=_taken(whole.head.channels, columns[-1])),
        )

    def flops_per_pixel(self, ledger: Ledger, n: int) -> Floats:
        """Multiply-adds that `n` networks' ledger has, [network, part, level]."""
        booked = [
            [(level, c) for (operator, level), c in part.booked().counts.items() if operator in ("conv", "linear")]
            for part in ledger.parts
        ]
        return np.stack([self._spread(counts, n) for counts in booked]).transpose(2, 0, 1).copy()

    def _changes(self) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Whether a group of stages has other channels than a segment before, [group, width]; the group of each stage.

        Stages of equal channels that follow each other are one group, lest their shortcuts go; the stem goes with the
        first, the head is the last.
        """
        whole = self._network
        stem, *counts = [
            self._over_widths(c)
            for c in (whole.stem.channels, *(stage.channels for stage in whole.stages), whole.head.channels)
        ]
        is_new = [True, *(bool((a != b).any()) for a, b in pairwise(counts[:-1])), True]
        changes = np.diff(np.array(counts)[is_new], prepend=0) != 0
        changes[0] |= np.diff(stem, prepend=0) != 0
        return changes, np.cumsum(is_new) - 1

    def _spread(self, per_level: Iterable[tuple[int, Channels]], n: int) -> Floats:
        """[level, network]; levels in the order of `Ledger.sides`, the pooled one last."""
        spread = np.zeros((self.pixels.shape[1], n))
        for level, per_pixel in per_level:
            spread[level] += per_pixel
        return spread

    def _over_widths(self, count: Channels) -> NDArray[np.int64]:
        return np.broadcast_to(count, self.widths.shape)


@lru_cache(maxsize=128)
def cost_table(architecture: Architecture) -> CostTable:
    """The architecture's table, made once."""
    return CostTable(architecture)


_BESIDE = 1e-9  # a multiplier this far from a step lies beyond it


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


def _taken(channels: Channels, column: NDArray[np.int64] | int) -> Channels:
    """The channels of a segment, or of several; a number where that is one."""
    if isinstance(channels, int):
        return channels
    taken = channels[column]
    return taken if taken.ndim else int(taken)


def _middles(edges: Floats) -> Floats:
    middles: Floats = (edges[:-1] + edges[1:]) / 2
    return middles


def _of(booked: Booked, operator: str) -> list[tuple[int, Channels]]:
    """What a part books for an operator: (level, operations a pixel)."""
    return [(level, per_pixel) for (of, level), per_pixel in booked.counts.items() if of == operator]
