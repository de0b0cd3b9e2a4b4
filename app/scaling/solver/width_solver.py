"""The solver meets a budget by width and, if a gap remains, by a few px and repeats.

The width is solved on the cost of the discrete network. The closed form w = sqrt(c / (d r^2)) is wrong by a factor of
up to 1.65, since stem and head do not scale. If a single width for all stages leaves a gap, stages may differ by a few
channels (`stage_widths`). If that is not enough, px and repeats move as little as necessary: within a radius or, if
constraints put the target out of reach there, over the whole documented range.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from app.scaling.cost.budget_unit import FLOPS, BudgetUnit
from app.scaling.cost.ledger import BYTES_PER_ELEMENT, Cost
from app.scaling.errors import ScalingError
from app.scaling.input_sizes import scale_resolution
from app.scaling.network import Architecture, Config, Multipliers
from app.scaling.resolution import Resolution, mean_px
from app.scaling.rounding import Floats, shortest_decimal
from app.scaling.solver.constraints import Constraints
from app.scaling.solver.cost_batch import BatchCost, Repeats
from app.scaling.solver.range_scan import Mode, RangeScan, SearchRange, scan_range
from app.scaling.solver.search_work import SearchWork
from app.scaling.solver.stage_widths import PerStageCandidates, candidates_around
from app.scaling.solver.width_grid import get_width_grid

BUDGET_TOLERANCE = 5e-4  # relative error below which the least displacement decides
MAX_GRID_POINTS = 2048  # pairs of input size and repeats tried, the nearest first
MAX_RANGE_DEPTH = 4.0  # d up to which the documented range goes; it begins at one block per stage
_REACHABILITY_SLACK = 0.005  # a target this close (relative) to the reachable range is reachable
_MEMORY_STEP = 0.02  # relative: about how much more peak memory the next larger feature maps take
_MEMORY_SLACK = 0.05  # relative: the width of the rule is kept if the peak memory is this close to the target
_STAGE_WIDTHS_REACH = 0.05  # relative: how far beyond a single width widths per stage are tried
_MAX_NEAREST_POINTS = 128  # tried where no single width meets the target


@dataclass(frozen=True)
class SearchRadius:
    """How far px and d may move from the rule's values, and whether stages may have their own widths.

    `blocks` also limits how many blocks are added or removed. If it `extends`, px and d may move over the whole
    documented range to satisfy a constraint.
    """

    px: int = 0
    depth: float = 0.0
    stages: bool = False
    extends: bool = False
    blocks: int | None = None


@dataclass(frozen=True)
class Displacement:
    """The distance of the network from the rule's values, in px, in d and the blocks it adds, and in w.

    `px` counts from the largest px within reach that costs the same as the rule's, which `origin` has. `w` is None if
    the rule leaves the width to be solved.
    """

    px: float
    depth: float
    blocks: int = 0
    w: float | None = None
    origin: Resolution = field(default=0, compare=False)


@dataclass(frozen=True)
class Solution:
    """A network, its multipliers, the interval of all single widths that give it, and its displacement.

    `is_off_curve` says that some channels are more than one step from the rule's width. `is_truncated` says that the
    search was cut: a nearer network may exist.
    """

    multipliers: Multipliers
    w_interval: tuple[float, float] | None
    config: Config
    cost: Cost
    displacement: Displacement
    is_off_curve: bool = False
    is_truncated: bool = False


class TargetOutOfRange(ScalingError):
    """The budget is not reachable.

    `minimum` and `maximum` bound what is reachable in the unit (0 and 0 if the constraints allow no network): at the r
    and d for this target or, if these may move, over the whole documented range. `constraints` are in the way: without
    any one of them or, if none alone is enough, without all of them the target could be met. `nearest` is the nearest
    network; if the constraints allow none, it is the smallest network, which violates them.
    """

    def __init__(
        self,
        target: int,
        minimum: int,
        maximum: int,
        constraints: Sequence[str] = (),
        nearest: Solution | None = None,
        reason: str | None = None,
        unit: BudgetUnit = FLOPS,
    ) -> None:
        if reason is None:
            span = f"from {minimum:,} to {maximum:,}" if minimum < maximum else f"only {maximum:,}"
            reason = f"at the r and d for this target {span} are reachable."
        super().__init__(f"{target:,} {unit.label} cannot be met: {reason}")
        self.target = target
        self.minimum = minimum
        self.maximum = maximum
        self.constraints = list(constraints)
        self.nearest = nearest
        self.unit = unit


class _GridPoint(NamedTuple):
    """An input size and repeats, and their distance from the rule's, relative to the search radius."""

    distance: float
    size: int
    depth: float
    repeats: Repeats


class _Candidate(NamedTuple):
    """A network at a grid point, with its width segment and, for a width per stage, its index in the candidates."""

    point: _GridPoint
    cost: int  # in the unit of the target
    segment: int
    per_stage: tuple[PerStageCandidates, int] | None = None


def solve(
    architecture: Architecture,
    r: float,
    d: float,
    target: int,
    *,
    unit: BudgetUnit = FLOPS,
    width: float | None = None,
    curve_width: float | None = None,
    radius: SearchRadius = SearchRadius(),
    constraints: Constraints = Constraints(),
    mode: Mode = "nearest",
    tolerance: float = BUDGET_TOLERANCE,
    work: SearchWork | None = None,
) -> Solution:
    """Return the network at or near (r, d) that costs `target` in the unit (`at_most`: never more).

    Among the networks within `tolerance` (relative) of the target it is the one that moves least from (r, d), and one
    width for all stages is preferred to a width per stage. If no network is within it, the result is the nearest in
    cost. At most `MAX_GRID_POINTS` pairs of input size and repeats are tried, and no more when `work` is exhausted: the
    result is then the best so far. A given `width` is fixed: only px and depth may move. The channels stay within one
    step of those at `curve_width` unless the target is then missed.

    Raises: TargetOutOfRange if the target is not reachable.
    """
    search = _Search(
        architecture, r, d, target, unit, width, radius, constraints, mode, tolerance * target, work or SearchWork()
    )
    if curve_width is not None:
        search.hold_width(curve_width)
    best = search.best(mode)
    if curve_width is not None and not search.is_met(best):
        search.release_width()
        if not search.is_near(best):
            best = search.best(mode)
    if not search.is_near(best) and search.extends:
        best = search.best_in_range(best)
    if not search.is_met(best):
        search.check_reachable(best)
    assert best is not None
    return search.solution(best)


class _Search:
    """The search for a target near the r and d of a rule."""

    def __init__(
        self,
        architecture: Architecture,
        r: float,
        d: float,
        target: int,
        unit: BudgetUnit,
        width: float | None,
        radius: SearchRadius,
        constraints: Constraints,
        mode: Mode,
        tolerance: float,
        work: SearchWork,
    ) -> None:
        self.architecture = architecture
        self.r, self.d, self.width = r, d, width
        self.target, self.unit, self.mode, self.tolerance = target, unit, mode, tolerance
        self.radius = radius
        self.constraints = constraints
        self.work = work
        self.is_truncated = False
        self._segments: list[int] = []  # around which widths per stage were tried
        self._is_cut = False  # more grid points are within reach than are tried
        self.grid = get_width_grid(constraints.apply_channel_divisor(architecture))
        self._held = slice(None)  # the width segments that are tried
        self._curve_width: float | None = None
        self.sizes = self.grid.sizes
        self.rule_size = self.sizes.size_at(r)
        # In memory the image itself counts, so that sizes with equal feature maps differ in cost.
        self._counts_image = unit.name == "activation_bytes"
        self._is_any_size_equal = not (unit.depends_on_resolution or constraints.limits_size)
        self.rule = self.rule_size if self.sizes.is_square else scale_resolution(architecture.baseline.resolution, r)
        self.target_size = self._largest_equal_size()
        is_rule = self.target_size == self.rule_size
        self.origin = self.rule if is_rule else self.sizes.resolution(self.target_size)
        self.rule_px, self.target_px = mean_px(self.rule), mean_px(self.origin)

    def hold_width(self, width: float) -> None:
        """Try only networks whose channels are within one step of those at this width."""
        self._curve_width = width
        self._held = self.grid.segments_within_one_step(width)

    def release_width(self) -> None:
        """Try all widths again."""
        self._held = slice(None)

    def _largest_equal_size(self) -> int:
        """Return the largest allowed input size within reach whose feature maps are those of the rule's size.

        It sees more of the image at the same cost. The baseline's size stays.
        """
        size, grid = self.rule_size, self.grid
        if self._counts_image:
            return size
        if self.rule == self.architecture.baseline.resolution or not grid.min_resolution <= size <= self.sizes.last:
            return size
        last = min(grid.last_equal_size(size), self.sizes.sizes_within(0, mean_px(self.rule) + self.radius.px)[1])
        if last <= size:
            return size
        allowed = self.constraints.allowed_sizes(self.sizes, size, size, last, grid.min_resolution)
        return allowed[-1] if allowed and size <= allowed[-1] <= last else size

    @property
    def extends(self) -> bool:
        """Whether px and d may leave the radius: constraints or steps of memory may put the target out of reach."""
        is_free = self.radius.extends and self.width is None
        return is_free and (self._counts_image or self.constraints.binds(self.origin))

    def is_met(self, candidate: _Candidate | None) -> bool:
        """Whether the target is met as well as any reachable target is."""
        return candidate is not None and abs(candidate.cost - self.target) <= _REACHABILITY_SLACK * self.target

    def is_near(self, candidate: _Candidate | None) -> bool:
        """Whether the target is met as well as a network of about the rule's width meets it.

        Peak memory grows by a percent or two per pixel and hardly with the width: the nearest network of any width may
        have a quite different one for little.
        """
        slack = _MEMORY_SLACK if self._counts_image else _REACHABILITY_SLACK
        return candidate is not None and abs(candidate.cost - self.target) <= slack * self.target

    def best(self, mode: Mode) -> _Candidate | None:
        """Return the least moved network within the tolerance, else the nearest in cost, or None if none is allowed."""
        return self._best_at(self._grid_points(), mode, None)

    def best_in_range(self, best: _Candidate | None) -> _Candidate | None:
        """Like `best`, over the whole range; `best` is what was found within the radius."""
        searched = self._whole_range()
        if self._counts_image:
            self.tolerance = max(self.tolerance, _MEMORY_STEP * self.target)
        scan = self._scan(searched)
        self._is_cut = not scan.is_complete
        meets = scan.is_between | (scan.gaps <= _REACHABILITY_SLACK * self.target)
        if meets.any():
            tried = meets | (scan.gaps <= _STAGE_WIDTHS_REACH * self.target)
            ranks, n = np.where(tried, self._distances(searched), np.inf), MAX_GRID_POINTS
        else:
            ranks, n = scan.gaps, _MAX_NEAREST_POINTS
        return self._best_at(self._ranked_points(searched, ranks, n), self.mode, best)

    def _best_at(self, points: Iterator[_GridPoint], mode: Mode, best: _Candidate | None) -> _Candidate | None:
        gap = np.inf if best is None else abs(best.cost - self.target)
        for point in points:
            for network in self._candidates_at(point, mode):
                if abs(network.cost - self.target) < gap:
                    best, gap = network, abs(network.cost - self.target)
                if gap <= self.tolerance:
                    self.is_truncated = False
                    return best
            self._count_work(point)
            if self.work.is_exhausted:
                self._is_cut = True
                break
        self.is_truncated = self._is_cut
        return best

    def _count_work(self, point: _GridPoint) -> None:
        batch, limit = self.grid.batch, self.constraints.max_live_elements
        self.work.count_point(batch)
        if self._counts_image:
            self.work.count_peaks(batch, point.size)
        self.work.count_depth(batch, point.repeats)
        if limit is not None:
            self.work.count_memory(batch, limit)
        while self._segments:
            self.work.count_candidates(batch, self._segments.pop())

    def solution(self, candidate: _Candidate) -> Solution:
        """Return the solution for a candidate, with its multipliers as short decimals."""
        grid, point = self.grid, candidate.point
        size, repeats = point.size, point.repeats
        resolution = self.sizes.resolution(size)
        r = self.sizes.short_multiplier(size, self.r)
        d = point.depth
        d = shortest_decimal(d, d - 1e-4, d + 1e-4, lambda d: grid.repeats(d) == repeats)
        w = self._short_width(candidate.segment)
        blocks = sum(repeats) - sum(grid.repeats(self.d))
        rule_width = self.width if self._curve_width is None else self._curve_width
        moved_w = None if rule_width is None else w - rule_width
        moved_px = mean_px(resolution) - self.target_px
        displacement = Displacement(moved_px, point.depth - self.d, blocks, moved_w, self.origin)
        is_off_curve = self._is_off_curve(candidate)
        if candidate.per_stage is None:
            segments = (candidate.segment,) * (len(repeats) + 1)
            interval = float(grid.edges[candidate.segment]), float(grid.edges[candidate.segment + 1])
            cost = grid.batch.cost(candidate.segment, repeats, size)
            network = grid.network(segments, repeats, resolution)
            return Solution(
                Multipliers(r, d, w), interval, network, cost, displacement, is_off_curve, self.is_truncated
            )
        candidates, index = candidate.per_stage
        segments = tuple(candidates.segments[index].tolist())
        w_stages = tuple(grid.short_width(segment) for segment in segments)
        cost = candidates.batch.cost(index, repeats, size)
        network = grid.network(segments, repeats, resolution)
        return Solution(
            Multipliers(r, d, w, w_stages), None, network, cost, displacement, is_off_curve, self.is_truncated
        )

    def _short_width(self, segment: int) -> float:
        """Return a width of the segment with few decimals: the rule's, if it is in the segment."""
        if self.width is not None:
            return self.width
        if self._curve_width is not None and self.grid.segment(self._curve_width) == segment:
            return self.grid.short_width_near(self._curve_width, segment)
        return self.grid.short_width(segment)

    def _is_off_curve(self, candidate: _Candidate) -> bool:
        if self._curve_width is None:
            return False
        near = self.grid.segments_within_one_step(self._curve_width)
        if candidate.per_stage is None:
            return not near.start <= candidate.segment < near.stop
        candidates, index = candidate.per_stage
        segments = candidates.segments[index]
        return not bool(((segments >= near.start) & (segments < near.stop)).all())

    def check_reachable(self, best: _Candidate | None) -> None:
        """Raises: TargetOutOfRange, with the constraints in the way, unless the search was cut before it was done."""
        scan, is_truncated = self._scan(self._searched_range()), self.is_truncated
        if best is not None and (is_truncated or self._is_reachable(scan)):
            return
        nearest = best or self.best("nearest")
        if nearest is None and self.extends:
            nearest = self._nearest_in_range(scan)
        minimum, maximum = scan.reachable or (0, 0)
        if nearest is not None and scan.reachable is not None:  # widths per stage reach a little further
            minimum, maximum = min(minimum, nearest.cost), max(maximum, nearest.cost)
        names, hint = self._constraints_in_the_way()
        smallest = self._smallest() if scan.reachable is None else None
        solution = None if (shown := nearest or smallest) is None else self.solution(shown)
        reason = self._describe_reach(minimum, maximum, solution)
        if is_truncated or not scan.is_complete:
            hint += " The search was cut, so it is not certain."
        raise TargetOutOfRange(self.target, minimum, maximum, names, solution, reason + hint, self.unit)

    def _describe_reach(self, minimum: int, maximum: int, shown: Solution | None) -> str:
        if not maximum:
            if shown is None:
                return "the constraints leave no network at all."
            memory = shown.cost.peak_activation_bytes // BYTES_PER_ELEMENT
            size = self.constraints.activation_bytes_per_element
            return (
                "the constraints leave no network at all. The smallest within the range has "
                f"{shown.cost.params:,} parameters and {memory * size:,} bytes of activations."
            )
        span = f"from {minimum:,} to {maximum:,}" if minimum < maximum else f"only {maximum:,}"
        where = "within the constraints" if self.extends else "at the r and d for this target"
        return f"{where} {span} are reachable."

    def _constraints_in_the_way(self) -> tuple[list[str], str]:
        """Return the names of the constraints in the way, and a sentence about them.

        If no constraint alone is in the way, the fewest are sought that are in the way together.
        """
        work, searched = self.work.renew(), self._searched_range()
        for n in range(1, len(self.constraints.names) + 1):
            relaxed = []
            for names, constraints in self.constraints.relaxations(n):
                search = self._with_constraints(constraints, work)
                relaxed_range = search._searched_range()
                limits_px_alone = constraints.limits_on_networks == self.constraints.limits_on_networks
                if limits_px_alone and relaxed_range == searched:
                    continue
                if search._is_reachable(search._scan(relaxed_range)):
                    relaxed.append(names)
                if work.is_exhausted:
                    break
            in_the_way = [name for name in self.constraints.names if any(name in names for names in relaxed)]
            if in_the_way:
                described = [self.constraints.describe(name) for name in in_the_way]
                if n == 1:
                    return in_the_way, f" Without {' or without '.join(described)} it could be met."
                return in_the_way, f" Without {', '.join(described[:-1])} and {described[-1]} together it could be met."
        return [], ""

    def _searched_range(self) -> SearchRange:
        return self._whole_range() if self.extends else self._range_within_radius()

    def _range_within_radius(self) -> SearchRange:
        radius = self.radius
        low, high = self.sizes.sizes_within(self.target_px - radius.px, self.rule_px + radius.px)
        if self._is_any_size_equal:
            low = high = self.target_size
        sizes = self.constraints.allowed_sizes(self.sizes, low, self.rule_size, high, self.grid.min_resolution)
        if len(sizes) > 1 and not self._counts_image:
            sizes = self.grid.largest_equal_sizes(sizes, self.target_size)
        depths = self.grid.depths(self.d, radius.depth)
        if radius.blocks is not None:
            rule = self.grid.repeats(self.d)
            depths = [
                (depth, repeats)
                for depth, repeats in depths
                if sum(abs(n - rule_n) for n, rule_n in zip(repeats, rule, strict=True)) <= radius.blocks
            ]
        return SearchRange(depths, sizes)

    def _whole_range(self) -> SearchRange:
        reach = max(self.d, MAX_RANGE_DEPTH - self.d)
        depths = sorted(self.grid.depths(self.d, reach), key=lambda depth: abs(depth[0] - self.d))
        if self._is_any_size_equal:
            return SearchRange(depths, self._range_within_radius().sizes)
        sizes = self.constraints.every_size(self.sizes, self.grid.min_resolution)
        if self._counts_image:
            if not self.constraints.limits_cost:  # memory hardly depends on the depth: blocks run one by one
                depths = depths[:1]
        else:
            sizes = self.grid.largest_equal_sizes(sizes, self.target_size)
        return SearchRange(depths, sizes)

    def _scan(self, searched: SearchRange) -> RangeScan:
        segments = self._held
        if self.width is not None:
            segments = slice(self.grid.segment(self.width), self.grid.segment(self.width) + 1)
        return self._scan_segments(segments, searched, self.mode)

    def _scan_segments(self, segments: slice, searched: SearchRange, mode: Mode) -> RangeScan:
        batch, work = self.grid.batch, self.work
        return scan_range(batch, segments, searched, self.constraints, self.target, self.unit, mode, work)

    def _nearest_in_range(self, scan: RangeScan) -> _Candidate | None:
        """Return the network of the range that is nearest in cost, also above the target."""
        searched = scan.range
        if self.mode == "at_most":
            scan = self._scan_segments(slice(None), searched, "nearest")
        return self._best_at(self._ranked_points(searched, scan.gaps, _MAX_NEAREST_POINTS), "nearest", None)

    def _smallest(self) -> _Candidate | None:
        """Return the smallest network of the range, whether or not it satisfies the constraints."""
        searched = self._searched_range()
        if not searched.sizes:
            return None
        depth, repeats = min(searched.depths)
        size = min(searched.sizes)
        segment = 0 if self.width is None else self.grid.segment(self.width)
        cost = self.grid.batch.costs(self.unit, repeats, size)[segment]
        return _Candidate(_GridPoint(0.0, size, depth, repeats), int(cost), segment)

    def _grid_points(self) -> Iterator[_GridPoint]:
        """Yield the grid points within the radius to try: the rule's own first, then by distance."""
        rule_point = _GridPoint(0.0, self.target_size, self.d, self.grid.repeats(self.d))
        is_built = self.grid.min_resolution <= self.target_size <= self.sizes.last
        if is_built and self.constraints.allows(self.origin):
            yield rule_point
        searched = self._range_within_radius()
        if len(searched.sizes) * len(searched.depths) < 2:
            yield from (
                _GridPoint(1.0, size, depth, repeats)
                for size in searched.sizes
                for depth, repeats in searched.depths
                if size != self.target_size
            )
            return
        points = self._ranked_points(searched, self._distances(searched), MAX_GRID_POINTS)
        yield from (point for point in points if point != rule_point)

    def _ranked_points(self, searched: SearchRange, ranks: Floats, n: int) -> Iterator[_GridPoint]:
        """Yield the first `n` grid points of a range by their finite ranks [depth, size], then by size and depth."""
        flat = ranks.ravel()
        indices = np.flatnonzero(np.isfinite(flat))
        if len(indices) > n:
            indices = indices[np.argpartition(flat[indices], n)[:n]]
            self._is_cut |= n == MAX_GRID_POINTS
        rows, columns = np.divmod(indices, len(searched.sizes))
        depths, sizes = np.array([depth for depth, _ in searched.depths]), np.array(searched.sizes)
        for i in np.lexsort((depths[rows], sizes[columns], flat[indices])).tolist():
            depth, repeats = searched.depths[rows[i]]
            yield _GridPoint(float(flat[indices[i]]), searched.sizes[columns[i]], depth, repeats)

    def _distances(self, searched: SearchRange) -> Floats:
        """Return each grid point's distance from the rule's, [depth, size].

        One px more can make every feature map a pixel wider. Its distance is then the number of px that would cost as
        much on average.
        """
        px, target_px = self.sizes.px[searched.sizes], self.target_px
        costs = self._costs_at([self.target_size, *searched.sizes], self.grid.repeats(self.d))
        growth = np.abs(np.sqrt(costs[1:] / costs[0]) - 1) * target_px
        by_px = np.maximum(np.abs(px - target_px), growth) / max(self.radius.px, 1)
        by_depth = np.abs(np.array([depth for depth, _ in searched.depths]) - self.d) / (self.radius.depth or 1.0)
        distances: Floats = by_px + by_depth[:, np.newaxis]
        return distances

    def _costs_at(self, sizes: list[int], repeats: Repeats) -> Floats:
        """Return the multiply-adds at these sizes of the network that is nearest to the target at the first of them."""
        batch = self.grid.batch
        costs = batch.costs(self.unit, repeats, min(sizes[0], self.sizes.last))
        segment = int(np.abs(costs - self.target).argmin())
        return batch.flops_at(np.full(len(sizes), segment), repeats, np.array(sizes))

    def _candidates_at(self, point: _GridPoint, mode: Mode) -> Iterator[_Candidate]:
        """Yield the best network with one width at a grid point, then the best with a width per stage."""
        batch = self.grid.batch
        costs = batch.costs(self.unit, point.repeats, point.size)
        gaps = self._cost_gaps(batch, costs, point, mode)
        if self._held.start is not None:
            gaps[: self._held.start] = gaps[self._held.stop :] = np.inf
        segment = self._nearest_segment(gaps) if self.width is None else self.grid.segment(self.width)
        if gaps[segment] == np.inf:
            return
        yield _Candidate(point, int(costs[segment]), segment)
        if self.radius.stages and self.width is None:
            low = segment if costs[segment] <= self.target else segment - 1
            yield from self._per_stage_candidates(point, segment, low, mode)

    def _nearest_segment(self, gaps: Floats) -> int:
        """Return the segment of the least gap; of equal gaps in memory, the nearest to the rule's, or the widest."""
        segment = int(gaps.argmin())
        if not self._counts_image:
            return segment
        equal = np.flatnonzero(gaps == gaps[segment])
        rule = len(gaps) if self._curve_width is None else self.grid.segment(self._curve_width)
        return int(equal[np.abs(equal - rule).argmin()])

    def _per_stage_candidates(self, point: _GridPoint, segment: int, low: int, mode: Mode) -> Iterator[_Candidate]:
        """Yield the best network with a width per stage between the two widths around the target, if any is allowed."""
        candidates = candidates_around(self.grid, low)
        self._segments.append(low)
        costs = candidates.batch.costs(self.unit, point.repeats, point.size)
        gaps = self._cost_gaps(candidates.batch, costs, point, mode)
        if self._held.start is not None:
            lowest, highest = candidates.span
            gaps[(lowest < self._held.start) | (highest >= self._held.stop)] = np.inf
        index = int(gaps.argmin())
        if gaps[index] == np.inf:
            return
        if gaps[index] <= self.tolerance or self._counts_image:
            within = (gaps <= max(self.tolerance, gaps[index])).nonzero()[0].tolist()
            index = min(within, key=lambda i: (candidates.uniformity_distance[i], gaps[i]))
        yield _Candidate(point, int(costs[index]), segment, (candidates, index))

    def _cost_gaps(self, batch: BatchCost, costs: Floats, point: _GridPoint, mode: Mode) -> Floats:
        """Return how far a batch's networks are from the target, infinity for those that are not allowed."""
        gaps = np.abs(costs - self.target)
        if mode == "at_most":
            gaps[costs > self.target] = np.inf
        if self.constraints.limits_cost:
            if batch is self.grid.batch:  # at many sizes: the limits are computed once
                is_allowed = self.constraints.largest_sizes(batch, point.repeats) >= point.size
            else:
                is_allowed = self.constraints.allowed_networks(batch, point.repeats, point.size)
            gaps[~is_allowed] = np.inf
        return gaps

    def _is_reachable(self, scan: RangeScan) -> bool:
        """Return whether the target is reachable within the slack; any network below it satisfies `at_most`."""
        if scan.reachable is None:
            return False
        minimum, maximum = scan.reachable
        if self.mode == "at_most":
            return minimum <= self.target
        return minimum * (1 - _REACHABILITY_SLACK) <= self.target <= maximum * (1 + _REACHABILITY_SLACK)

    def _with_constraints(self, constraints: Constraints, work: SearchWork) -> _Search:
        return _Search(
            self.architecture,
            self.r,
            self.d,
            self.target,
            self.unit,
            self.width,
            self.radius,
            constraints,
            self.mode,
            self.tolerance,
            work,
        )
