"""The scan of a range of input sizes and depths for the places where a width meets the target.

At one size and depth the cost is a monotone step function of the width, so bisection finds the two widths around the
target. It runs for all sizes at once, which makes a whole range affordable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.scaling.input_sizes import Indices
from app.scaling.rounding import Floats
from app.scaling.solver.constraints import Constraints
from app.scaling.solver.cost_batch import BatchCost, Repeats
from app.scaling.solver.search_work import SearchWork

Mode = Literal["nearest", "at_most"]


@dataclass(frozen=True)
class SearchRange:
    """Depth multipliers with their repeats, and input sizes (`InputSizes`)."""

    depths: list[tuple[float, Repeats]]
    sizes: list[int]


@dataclass(frozen=True)
class RangeScan:
    """How near a single width comes to the target at each place of a range, within the constraints.

    `gaps` [depth, size] is the distance in multiply-adds, infinity if no width is allowed. `is_between` [depth, size]
    says whether the target is between two allowed widths, where widths per stage come nearer still. `reachable` are the
    fewest and the most multiply-adds of the range; None if no network is allowed.
    """

    range: SearchRange
    gaps: Floats
    is_between: NDArray[np.bool_]
    reachable: tuple[int, int] | None
    is_complete: bool


def scan_range(
    batch: BatchCost, segments: slice, searched: SearchRange, constraints: Constraints, target: int, mode: Mode,
    work: SearchWork,
) -> RangeScan:  # fmt: skip
    """Scan a range for a target, with the widths of these segments; stop where the work is exhausted."""
    sizes = np.array(searched.sizes, dtype=np.int64)
    pixels = batch.pixels[sizes]
    gaps = np.full((len(searched.depths), len(sizes)), np.inf)
    is_between = np.zeros(gaps.shape, bool)
    least, most = np.inf, 0.0
    if constraints.max_live_elements is not None:
        work.count_memory(batch, constraints.max_live_elements)
    for i, (_, repeats) in enumerate(searched.depths):
        if work.is_exhausted and i > 0:
            break
        work.count_depth(batch, repeats)
        work.count_sizes(len(sizes))
        place = _Places(
            batch.flops_by_level(repeats)[segments], constraints.largest_sizes(batch, repeats)[segments], sizes, pixels
        )
        if not place.has_any.any():
            continue
        gaps[i], is_between[i] = place.nearest(target, mode)
        least = min(least, float(place.least[place.has_any].min()))
        most = max(most, float(place.most[place.has_any].max()))
    else:
        return RangeScan(searched, gaps, is_between, (int(least), int(most)) if most else None, True)
    return RangeScan(searched, gaps, is_between, (int(least), int(most)) if most else None, False)


class _Places:
    """All sizes at one depth: the allowed networks at each, from the first to the last segment, and their costs."""

    def __init__(self, flops_by_level: Floats, largest_sizes: Indices, sizes: Indices, pixels: Floats) -> None:
        self._flops_by_level = flops_by_level
        self._largest_sizes = largest_sizes
        self._sizes = sizes
        self._pixels = pixels
        n = len(largest_sizes)
        self._first = np.searchsorted(np.maximum.accumulate(largest_sizes), sizes)
        self._end = n - np.searchsorted(np.maximum.accumulate(largest_sizes[::-1]), sizes)
        self.has_any = self._first < self._end
        self.least = self._flops(self._first)
        self.most = self._flops(self._end - 1)

    def nearest(self, target: int, mode: Mode) -> tuple[Floats, NDArray[np.bool_]]:
        """Return the gap to the target at each size, and whether the target is between two allowed widths."""
        low, high = self._first - 1, self._end
        while (is_open := high - low > 1).any():
            middle = (low + high) // 2
            is_below = self._flops(middle) <= target
            low, high = np.where(is_open & is_below, middle, low), np.where(is_open & ~is_below, middle, high)
        has_lower = self.has_any & (low >= self._first) & self._is_allowed(low)
        has_upper = self.has_any & (high < self._end) & self._is_allowed(high)
        costs = [(self._flops(low), has_lower), (self.most, self.has_any), (self.least, self.has_any)]
        costs.append((self._flops(high), has_upper))
        gaps = [
            np.where(exists & ((flops <= target) | (mode == "nearest")), np.abs(flops - target), np.inf)
            for flops, exists in costs
        ]
        return np.min(gaps, axis=0), has_lower & has_upper

    def _flops(self, segments: Indices) -> Floats:
        inside = np.clip(segments, 0, len(self._largest_sizes) - 1)
        flops: Floats = np.einsum("ij,ij->i", self._flops_by_level[inside], self._pixels)
        return flops

    def _is_allowed(self, segments: Indices) -> NDArray[np.bool_]:
        inside = np.clip(segments, 0, len(self._largest_sizes) - 1)
        is_allowed: NDArray[np.bool_] = self._largest_sizes[inside] >= self._sizes
        return is_allowed
