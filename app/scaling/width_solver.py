"""A budget met by width, and by the few px and repeats that close the gap.

The width is solved on the cost of the discrete network, never on a formula's (the closed form w = sqrt(c / (d r^2)) is
up to 1.65 times off, since stem and head do not scale). Where one width for all stages leaves a gap, stages step a few
channels apart (`stage_widths`); where that leaves one still, px and repeats move, as little as it takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal, NamedTuple

import numpy as np

from app.scaling.architecture import Architecture, Config, Multipliers
from app.scaling.constraints import Constraints
from app.scaling.cost import Cost
from app.scaling.cost_sheet import LARGEST, CostSheet, Repeats
from app.scaling.cost_table import cost_table
from app.scaling.errors import TargetOutOfRange
from app.scaling.rounding import Floats, round_resolution, short_decimal
from app.scaling.stage_widths import Between, between

CLOSE = 5e-4  # a budget error this little (relative) is none: what moves least is then the best
MOST_PLACES = 2048  # so many input sizes and repeats are looked at, the nearest first: a bound on the time it takes
_LEEWAY = 0.005  # a target this little (relative) beyond the least or the most is taken for it

Mode = Literal["nearest", "at_most"]


@dataclass(frozen=True)
class Latitude:
    """How far px and d may move from what the rule says, and whether stages may step apart, to meet the budget."""

    px: int = 0
    depth: float = 0.0
    stages: bool = False


@dataclass(frozen=True)
class Moved:
    """How far the network is from what the rule said: in px, and in d."""

    px: int
    depth: float


@dataclass(frozen=True)
class Solution:
    """The network found, the multipliers that give it, all single widths that would, and how far it moved."""

    multipliers: Multipliers
    w_interval: tuple[float, float] | None
    config: Config
    cost: Cost
    moved: Moved


class _Place(NamedTuple):
    """An input size and repeats; how far they are from the rule's, relative to how far they may be."""

    distance: float
    px: int
    depth: float
    repeats: Repeats


class _Network(NamedTuple):
    """A network at a place: its segment of the widths, and where its stages stepped apart which of those it is."""

    place: _Place
    flops: int
    segment: int
    apart: tuple[Between, int] | None = None


def solve(
    architecture: Architecture,
    r: float,
    d: float,
    target: int,
    *,
    width: float | None = None,
    latitude: Latitude = Latitude(),
    constraints: Constraints = Constraints(),
    mode: Mode = "nearest",
    close: float = CLOSE,
) -> Solution:
    """The network at or near (r, d) that costs `target` multiply-adds (`at_most`: never more).

    Of those within `close` (relative) of the target the one that moves least from (r, d), with stages in step rather
    than apart; where there is none, the nearest in cost. So many pairs of px and repeats are looked at (`MOST_PLACES`).
    With `width` that one is kept: only px and depth may move.

    Raises: TargetOutOfRange where the target lies beyond what is reachable.
    """
    search = _Search(architecture, r, d, target, width, latitude, constraints, mode, close * target)
    best = search.best(mode)
    if best is None or abs(best.flops - target) > _LEEWAY * target:
        search.check_reachable(best)
    assert best is not None
    return search.solution(best)


class _Search:
    """A target looked for near the r and d of a rule."""

    def __init__(
        self,
        architecture: Architecture,
        r: float,
        d: float,
        target: int,
        width: float | None,
        latitude: Latitude,
        constraints: Constraints,
        mode: Mode,
        close: float,
    ) -> None:
        self.architecture = architecture
        self.r, self.d, self.width = r, d, width
        self.target, self.mode, self.close = target, mode, close
        self.latitude = latitude
        self.constraints = constraints
        self.table = cost_table(constraints.of_channels(architecture))
        self.wanted_px = round_resolution(architecture.baseline.resolution, r)

    def best(self, mode: Mode) -> _Network | None:
        """The network that moves least of those close to the target, else the nearest; none where none is allowed."""
        best, gap = None, np.inf
        for place in self._places():
            for network in self._networks(place, mode):
                if abs(network.flops - self.target) < gap:
                    best, gap = network, abs(network.flops - self.target)
                if gap <= self.close:
                    return best
        return best

    def solution(self, found: _Network) -> Solution:
        table, place = self.table, found.place
        base, px, repeats = self.architecture.baseline.resolution, place.px, place.repeats
        r = short_decimal(self.r, px / base, (px + 1) / base, lambda r: round_resolution(base, r) == px)
        d = place.depth
        d = short_decimal(d, d - 1e-4, d + 1e-4, lambda d: table.repeats(d) == repeats)
        w = table.short_width(found.segment) if self.width is None else self.width
        moved = Moved(px - self.wanted_px, place.depth - self.d)
        if found.apart is None:
            segments = (found.segment,) * (len(repeats) + 1)
            interval = float(table.edges[found.segment]), float(table.edges[found.segment + 1])
            cost = table.sheet.cost(found.segment, repeats, px)
            return Solution(Multipliers(r, d, w), interval, table.network(segments, repeats, px), cost, moved)
        near, index = found.apart
        segments = tuple(near.segments[index].tolist())
        w_stages = tuple(table.short_width(segment) for segment in segments)
        cost = near.sheet.cost(index, repeats, px)
        return Solution(Multipliers(r, d, w, w_stages), None, table.network(segments, repeats, px), cost, moved)

    def check_reachable(self, best: _Network | None) -> None:
        """Raises: TargetOutOfRange, naming the constraints any of which, left out, would let the target be met."""
        span = self._span()
        if self._within(span):
            return
        relaxed = [(name, self._with(bounds)) for name, bounds in self.constraints.each_relaxed()]
        culprits = [name for name, search in relaxed if search._within(search._span())]
        nearest = best or self.best("nearest")
        least, most = span or (0, 0)
        if nearest is not None:  # with stages apart there may be networks a little beyond those of one width
            least, most = min(least, nearest.flops), max(most, nearest.flops)
        raise TargetOutOfRange(self.target, least, most, culprits, None if nearest is None else self.solution(nearest))

    def _places(self) -> Iterator[_Place]:
        """Where to look."""
        return islice(self._by_distance(), MOST_PLACES)

    def _by_distance(self) -> Iterator[_Place]:
        """Every place there is, the rule's own first, then the nearest.

        A px more can make every feature map a pixel wider, which is as many as it would take to cost that much evenly.
        """
        table, latitude, wanted_px = self.table, self.latitude, self.wanted_px
        needed = table.least_resolution
        own = _Place(0.0, wanted_px, self.d, table.repeats(self.d))
        if self.constraints.resolutions(wanted_px, wanted_px, wanted_px, needed) == [wanted_px]:
            yield own
        low, high = wanted_px - latitude.px, wanted_px + latitude.px
        allowed = self.constraints.resolutions(low, wanted_px, high, needed)
        depths = table.depths(self.d, latitude.depth)
        if len(allowed) * len(depths) < 2:
            yield from (
                _Place(1.0, px, depth, repeats) for px in allowed for depth, repeats in depths if px != wanted_px
            )
            return
        costs = self._costs_at([wanted_px, *allowed], own.repeats)
        evenly = (np.abs(np.sqrt(costs[1:] / costs[0]) - 1) * wanted_px).tolist()
        px_unit, depth_unit = max(latitude.px, 1), latitude.depth or 1.0
        far = [max(abs(px - wanted_px), even) / px_unit for px, even in zip(allowed, evenly, strict=True)]
        places = [
            _Place(px_far + abs(depth - self.d) / depth_unit, px, depth, repeats)
            for depth, repeats in depths
            for px, px_far in zip(allowed, far, strict=True)
        ]
        places.sort()
        yield from (place for place in places if place != own)

    def _costs_at(self, resolutions: list[int], repeats: Repeats) -> Floats:
        """Multiply-adds over px of the network that is nearest to the target at the first of these."""
        sheet = self.table.sheet
        segment = int(np.abs(sheet.flops(repeats, min(resolutions[0], LARGEST)) - self.target).argmin())
        return sheet.flops_at(np.full(len(resolutions), segment), repeats, np.array(resolutions))

    def _networks(self, place: _Place, mode: Mode) -> Iterator[_Network]:
        """The best network at a place with all stages in step, then the best with stages apart."""
        sheet = self.table.sheet
        flops = sheet.flops(place.repeats, place.px)
        gaps = self._gaps(sheet, flops, place, mode)
        segment = int(gaps.argmin()) if self.width is None else self.table.segment(self.width)
        if gaps[segment] == np.inf:
            return
        yield _Network(place, int(flops[segment]), segment)
        if self.latitude.stages and self.width is None:
            low = segment if flops[segment] <= self.target else segment - 1
            yield from self._apart(place, segment, low, mode)

    def _apart(self, place: _Place, segment: int, low: int, mode: Mode) -> Iterator[_Network]:
        """The best network with stages apart between the two widths that the target is between, if any is allowed."""
        near = between(self.table, low)
        flops = near.sheet.flops(place.repeats, place.px)
        gaps = self._gaps(near.sheet, flops, place, mode)
        index = int(gaps.argmin())
        if gaps[index] == np.inf:
            return
        if gaps[index] <= self.close:
            enough = (gaps <= self.close).nonzero()[0].tolist()
            index = min(enough, key=lambda i: (near.irregularity[i], gaps[i]))
        yield _Network(place, int(flops[index]), segment, (near, index))

    def _gaps(self, sheet: CostSheet, flops: Floats, place: _Place, mode: Mode) -> Floats:
        """How far a sheet's networks are from the target, infinitely where they are not allowed."""
        gaps = np.abs(flops - self.target)
        if mode == "at_most":
            gaps[flops > self.target] = np.inf
        if self.constraints.bound_cost:
            gaps[~self.constraints.allow(sheet, place.repeats, place.px)] = np.inf
        return gaps

    def _span(self) -> tuple[int, int] | None:
        """The least and the most multiply-adds of all places, none where the constraints allow no network."""
        sheet = self.table.sheet
        only = slice(None)
        if self.width is not None:
            only = slice(self.table.segment(self.width), self.table.segment(self.width) + 1)
        reached = [
            sheet.flops(place.repeats, place.px)[only][self.constraints.allow(sheet, place.repeats, place.px)[only]]
            for place in self._places()
        ]
        every = np.concatenate([np.empty(0), *reached])
        return (int(every.min()), int(every.max())) if len(every) else None

    def _within(self, span: tuple[int, int] | None) -> bool:
        """Whether the target can be met, or as good as; `at_most` is met by any network below."""
        if span is None:
            return False
        least, most = span
        if self.mode == "at_most":
            return least <= self.target
        return least * (1 - _LEEWAY) <= self.target <= most * (1 + _LEEWAY)

    def _with(self, constraints: Constraints) -> _Search:
        return _Search(
            self.architecture,
            self.r,
            self.d,
            self.target,
            self.width,
            self.latitude,
            constraints,
            self.mode,
            self.close,
        )
