"""The scan of a range of input sizes and depths for the places where a width meets the target.

At one size and depth the cost is a monotone step function of the width, so bisection finds the two widths around the
target. It runs for all sizes at once, which makes a whole range affordable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.scaling.cost.budget_unit import BudgetUnit
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

    `gaps` [depth, size] is the distance in the target's unit, infinity if no width is allowed. `is_between` [depth,
    size] says whether the target is between two allowed widths, where widths per stage come nearer still. `reachable`
    are the least and the greatest cost of the range; None if no network is allowed.
    """

    range: SearchRange
    gaps: Floats
    is_between: NDArray[np.bool_]
    reachable: tuple[int, int] | None
    is_complete: bool


def scan_range(
    batch: BatchCost, segments: slice, searched: SearchRange, constraints: Constraints, target: int, unit: BudgetUnit,
    mode: Mode, work: SearchWork,
) -> RangeScan:  # fmt: skip
    """Scan a range for a target, with the widths of these segments; stop where the work is exhausted."""
    sizes = np.array(searched.sizes, dtype=np.int64)
    first = segments.indices(batch.n)[0]
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
        if unit.name == "activation_bytes":
            work.count_peaks_at(batch, len(sizes))
        costs_at = partial(_costs_at, batch, unit, repeats, sizes, first)
        place = _Places(costs_at, constraints.largest_sizes(batch, repeats)[segments], sizes)
        if not place.has_any.any():
            continue
        gaps[i], is_between[i] = place.nearest(target, mode)
        least = min(least, float(place.least[place.has_any].min()))
        most = max(most, float(place.most[place.has_any].max()))
    else:
        return RangeScan(searched, gaps, is_between, (int(least), int(most)) if most else None, True)
    return RangeScan(searched, gaps, is_between, (int(least), int(most)) if most else None, False)


def _costs_at(
    batch: BatchCost, unit: BudgetUnit, repeats: Repeats, sizes: Indices, first: int, segments: Indices
) -> Floats:
    """Return the cost at each size of the network of a segment, counted from the first."""
    return batch.costs_at(unit, first + segments, repeats, sizes)


class _Places:
    """All sizes at one depth: the allowed networks at each, from the first to the last segment, and their costs."""

    def __init__(self, costs_at: Callable[[Indices], Floats], largest_sizes: Indices, sizes: Indices) -> None:
        self._costs_at = costs_at
        self._largest_sizes = largest_sizes
        self._sizes = sizes
        n = len(largest_sizes)
        self._first = np.searchsorted(np.maximum.accumulate(largest_sizes), sizes)
        self._end = n - np.searchsorted(np.maximum.accumulate(largest_sizes[::-1]), sizes)
        self.has_any = self._first < self._end
        self.least = self._costs(self._first)
        self.most = self._costs(self._end - 1)

    def nearest(self, target: int, mode: Mode) -> tuple[Floats, NDArray[np.bool_]]:
        """Return the gap to the target at each size, and whether the target is between two allowed widths."""
        low, high = self._first - 1, self._end
        while (is_open := high - low > 1).any():
            middle = (low + high) // 2
            is_below = self._costs(middle) <= target
            low, high = np.where(is_open & is_below, middle, low), np.where(is_open & ~is_below, middle, high)
        has_lower = self.has_any & (low >= self._first) & self._is_allowed(low)
        has_upper = self.has_any & (high < self._end) & self._is_allowed(high)
        costs = [(self._costs(low), has_lower), (self.most, self.has_any), (self.least, self.has_any)]
        costs.append((self._costs(high), has_upper))
        gaps = [
            np.where(exists & ((cost <= target) | (mode == "nearest")), np.abs(cost - target), np.inf)
            for cost, exists in costs
        ]
        return np.min(gaps, axis=0), has_lower & has_upper

    def _costs(self, segments: Indices) -> Floats:
        return self._costs_at(np.clip(segments, 0, len(self._largest_sizes) - 1))

    def _is_allowed(self, segments: Indices) -> NDArray[np.bool_]:
        inside = np.clip(segments, 0, len(self._largest_sizes) - 1)
        is_allowed: NDArray[np.bool_] = self._largest_sizes[inside] >= self._sizes
        return is_allowed
