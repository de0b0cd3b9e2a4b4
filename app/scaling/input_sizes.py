"""The sizes of an input as the multiplier r grows: r scales both sides, and each is rounded as a square's side is."""

from __future__ import annotations

from functools import cached_property, lru_cache
from math import gcd, lcm

import numpy as np
from numpy.typing import NDArray

from app.scaling.resolution import Resolution, sides_of, to_resolution
from app.scaling.rounding import PX_NOISE, Floats, round_resolution, shortest_decimal

Indices = NDArray[np.int64]

MAX_RESOLUTION = 4096  # the longer side, px


def scale_resolution(baseline: Resolution, r: float) -> Resolution:
    """Return a baseline's resolution at multiplier r: each side multiplied and rounded by `round_resolution`."""
    if isinstance(baseline, int):
        return round_resolution(baseline, r)
    height, width = baseline
    unit = gcd(height, width)
    position = int(r * lcm(height, width) + PX_NOISE * min(height, width) / unit)
    return to_resolution((max(1, position * unit // width), max(1, position * unit // height)))


class InputSizes:
    """The sizes that a baseline's input has as r grows, numbered from the smallest, 1.

    Size n of a square has n px. Of another input one side or both get a px longer from size to size. The longer side
    has at most `MAX_RESOLUTION` px, at the `last` size. Size 0 has no px. `heights`, `widths` and `px`, the geometric
    mean of both, are arrays [size].
    """

    def __init__(self, baseline: Resolution) -> None:
        self.baseline = baseline
        self.is_square = isinstance(baseline, int)
        height, width = sides_of(baseline)
        self._unit = lcm(height, width)  # positions on the scale of r are multiples of 1 / unit
        self._per_row, self._per_column = self._unit // height, self._unit // width
        self._noise = PX_NOISE * min(self._per_row, self._per_column)
        px = np.arange(2, MAX_RESOLUTION + 2)
        ends = np.unique(np.concatenate([[0], px * self._per_row, px * self._per_column]))
        self._ends: Indices = ends[ends <= (MAX_RESOLUTION + 1) * min(self._per_row, self._per_column)]
        self._starts: Indices = np.concatenate([[0], self._ends[:-1]])
        self.heights, self.widths = self._to_sides(self._starts)
        self.heights[0] = self.widths[0] = 0
        self.px: Indices | Floats = self.heights if self.is_square else np.sqrt(self.heights * self.widths)
        self.last = len(self._ends) - 1

    def size_at(self, r: float) -> int:
        """Return the size at multiplier r, a number above `last` if it is larger than that."""
        if isinstance(self.baseline, int):
            return round_resolution(self.baseline, r)
        return int(self._ends.searchsorted(int(r * self._unit + self._noise), side="right"))

    def sizes_at(self, r: Floats) -> Indices:
        """Return the same as `size_at`, for many multipliers."""
        positions = self._positions(r)
        return np.maximum(1, positions) if self.is_square else self._ends.searchsorted(positions, side="right")

    def sides_at(self, r: Floats) -> tuple[Indices, Indices]:
        """Return heights and widths at many multipliers, also of sizes above `last`; of a square, one array twice."""
        if self.is_square:
            sides = self.sizes_at(r)
            return sides, sides
        return self._to_sides(self._positions(r))

    def _positions(self, r: Floats) -> Indices:
        return (self._unit * r + self._noise).astype(np.int64)

    def _to_sides(self, positions: Indices) -> tuple[Indices, Indices]:
        return np.maximum(1, positions // self._per_row), np.maximum(1, positions // self._per_column)

    @cached_property
    def starts(self) -> Floats:
        """The least r of each size, [size]."""
        starts: Floats = (self._starts - self._noise) / self._unit
        return starts

    @cached_property
    def middles(self) -> Floats:
        """The middle of each size's range of r, [size]."""
        middles: Floats = (self._starts + self._ends) / 2 / self._unit
        return middles

    def resolution(self, size: int) -> Resolution:
        """Return the resolution of a size, which is at most the last."""
        if self.is_square:
            return size
        return to_resolution((int(self.heights[size]), int(self.widths[size])))

    def find(self, resolution: Resolution) -> int | None:
        """Return the size of a resolution, or None if no size up to the last has it."""
        if self.is_square:
            return resolution if isinstance(resolution, int) and resolution <= self.last else None
        height, width = sides_of(resolution)
        first, end = self.heights.searchsorted(height), self.heights.searchsorted(height, side="right")
        size = int(first + self.widths[first:end].searchsorted(width))
        return size if size < end and self.widths[size] == width else None

    def sizes_within(self, low: float, high: float) -> tuple[int, int]:
        """Return the first and the last size of at least `low` and at most `high` px."""
        if self.is_square:
            return int(low), int(high)
        return int(self.px.searchsorted(low)), int(self.px.searchsorted(high, side="right")) - 1

    def short_multiplier(self, size: int, target: float) -> float:
        """Return an r near `target`, with few decimals, at which the input has this size."""
        if isinstance(side := self.baseline, int):
            low, high = size / side, (size + 1) / side
            return shortest_decimal(target, low, high, lambda r: round_resolution(side, r) == size)
        low, high = int(self._starts[size]) / self._unit, int(self._ends[size]) / self._unit
        return shortest_decimal(target, low, high, lambda r: self.size_at(r) == size)


@lru_cache(maxsize=32)
def input_sizes(baseline: Resolution) -> InputSizes:
    """Return the sizes of a baseline's input from a cache."""
    return InputSizes(baseline)
