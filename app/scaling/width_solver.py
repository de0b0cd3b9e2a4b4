"""A budget met by width, and by the few px and repeats that close the gap.

cost(w) is a monotone step function, since channels move in multiples of a divisor. Its steps are listed once an
architecture (`CostTable`); every candidate (repeats, px, w) near the wanted (r, d) is then costed by one small product
and the best is kept. The cost is always that of the discrete network, never a formula's (the closed form
w = sqrt(c / (d r^2)) is up to 1.65 times off, since stem and head do not scale).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np

from app.scaling import families
from app.scaling.architecture import Architecture, Config, Multipliers
from app.scaling.cost import BYTES, OPERATORS, Cost, Part
from app.scaling.errors import TargetOutOfRange
from app.scaling.rounding import Channels, Floats, round_resolution, short_decimal, width_breakpoints

WIDEST = 4.0  # the greatest width multiplier looked at
_LEEWAY = 0.005  # a target this little (relative) beyond the least or the most is taken for it

_ALL = slice(None)
_MOST_KEPT = 512  # depths that a table remembers

Mode = Literal["nearest", "at_most"]


@dataclass(frozen=True)
class Constraints:
    """What the network has to keep to besides the budget: px, and learnable parameters."""

    multiple_of: int = 1
    min_resolution: int = 8
    max_resolution: int = 1024
    fixed_resolution: int | None = None
    max_params: int | None = None

    def allowed(self, low: int, wanted: int, high: int) -> list[int]:
        """The px to look at, in [low, high] where any is allowed there, else the allowed one nearest to `wanted`."""
        if self.fixed_resolution is not None:
            return [self.fixed_resolution]
        step = self.multiple_of
        least = -(-self.min_resolution // step) * step
        most = self.max_resolution // step * step
        inside = [px for px in range(-(-low // step) * step, high + 1, step) if least <= px <= most]
        return inside or [min(max(round(wanted / step) * step, least), most)]


@dataclass(frozen=True)
class Latitude:
    """How far px and d may move from what the rule says, so that the discrete network meets the budget."""

    px: int = 0
    depth: float = 0.0


@dataclass(frozen=True)
class Solution:
    """The network found, the multipliers that give it, and all widths that would."""

    multipliers: Multipliers
    w_interval: tuple[float, float]
    config: Config
    cost: Cost


class CostTable:
    """The cost of an architecture at every width there is, as arrays: what a pixel of each level costs in each part."""

    def __init__(self, architecture: Architecture) -> None:
        self.edges = _edges(architecture)
        self.widths = _middles(self.edges)
        base = architecture.baseline
        ledger = families.ledger(architecture.assembled(base.resolution, tuple(2 for _ in base.stages), self.widths))
        self._ledger = ledger
        self._of_stage = [part.of_stage for part in ledger.parts]
        self._params = np.stack([np.broadcast_to(part.params, self.widths.shape) for part in ledger.parts], axis=1)
        booked = [[_of(part, operator) for operator in OPERATORS] + [part.activations] for part in ledger.parts]
        self._counts = np.stack([[self._spread(c) for c in counts] for counts in booked]).transpose(3, 1, 0, 2).copy()
        self._flops = self._counts[:, [OPERATORS.index("conv"), OPERATORS.index("linear")]].sum(1).transpose(1, 2, 0)
        self._alive = np.stack([self._spread(a) for part in ledger.parts for a in part.alive]).transpose(2, 0, 1).copy()
        self._part_of_alive = np.repeat(np.arange(len(ledger.parts)), [len(part.alive) for part in ledger.parts])
        self._pixels_of: dict[int, Floats] = {}
        self._flops_of: dict[tuple[int, ...], Floats] = {}

    def flops(self, repeats: tuple[int, ...], resolutions: list[int], widths: slice = _ALL) -> Floats:
        """Multiply-adds, [px, width]: exact, since whole numbers below 2^53 are."""
        if repeats not in self._flops_of:
            if len(self._flops_of) >= _MOST_KEPT:
                self._flops_of.clear()
            self._flops_of[repeats] = np.tensordot(self._times(repeats), self._flops, 1)
        pixels = np.stack([self._pixels(px) for px in resolutions])
        flops: Floats = pixels @ self._flops_of[repeats][:, widths]
        return flops

    def params(self, repeats: tuple[int, ...]) -> Floats:
        """Learnable parameters, [width]."""
        params: Floats = self._params @ self._times(repeats)
        return params

    def segment(self, width: float) -> slice:
        """The one entry of widths that `width` belongs to."""
        at = int(np.searchsorted(self.edges, width, side="right")) - 1
        return slice(at, at + 1)

    def cost(self, repeats: tuple[int, ...], resolution: int, width: int) -> Cost:
        """What `families.network_cost` says of the network, an order of magnitude sooner."""
        times, pixels = self._times(repeats), self._pixels(resolution)
        *by_operator, activations = ((self._counts[width] @ pixels) @ times).tolist()
        alive = (self._alive[width] @ pixels)[times[self._part_of_alive] > 0]
        return Cost(
            dict(zip(OPERATORS, map(int, by_operator), strict=True)),
            int(self._params[width] @ times),
            int(activations),
            BYTES * int(alive.max()),
        )

    def _spread(self, per_level: Mapping[int, Channels]) -> Floats:
        """[level, width]; levels in the order of `Ledger.sides`, the pooled one last."""
        spread = np.zeros((len(self._ledger.sides(1)), len(self.widths)))
        for level, per_pixel in per_level.items():
            spread[level] += per_pixel
        return spread

    def _times(self, repeats: tuple[int, ...]) -> Floats:
        return np.array([1.0 if of is None else repeats[of] - 1.0 for of in self._of_stage])

    def _pixels(self, resolution: int) -> Floats:
        if resolution not in self._pixels_of:
            self._pixels_of[resolution] = np.array(self._ledger.sides(resolution), float) ** 2
        return self._pixels_of[resolution]


@lru_cache(maxsize=64)
def cost_table(architecture: Architecture) -> CostTable:
    """The architecture's table, made once."""
    return CostTable(architecture)


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
    tolerance: float = 0.0,
) -> Solution:
    """The network at or near (r, d) that costs `target` multiply-adds (`at_most`: never more).

    Of those within `tolerance` (relative) of the target the one that moves least from (r, d), then the nearest in cost;
    where there is none, the nearest in cost.

    With `width` that one is kept, and only px and depth may move.

    Raises: TargetOutOfRange where the target lies beyond what is reachable.
    """
    table = cost_table(architecture)
    wanted_px = round_resolution(architecture.baseline.resolution, r)
    resolutions = constraints.allowed(wanted_px - latitude.px, wanted_px, wanted_px + latitude.px)
    depths = _depths(architecture, d, latitude.depth)
    if constraints.max_params is None and width is None:
        window = _window(table, [repeats for _, repeats in depths], resolutions, target, mode, tolerance)
        flops = np.stack([table.flops(repeats, resolutions, window) for _, repeats in depths])
        allowed = np.ones_like(flops, bool)
    else:
        window = _ALL if width is None else table.segment(width)
        most_params = constraints.max_params or np.inf
        flops = np.stack([table.flops(repeats, resolutions, window) for _, repeats in depths])
        params = np.stack([table.params(repeats)[window] for _, repeats in depths])
        allowed = np.broadcast_to((params <= most_params)[:, np.newaxis, :], flops.shape).copy()
        if not allowed.any():
            raise TargetOutOfRange(target, 0, 0, f"with at most {most_params:,} parameters")
        _check_reachable(int(flops[allowed].min()), int(flops[allowed].max()), target, mode)
    if mode == "at_most":
        allowed &= flops <= target
    gaps = np.where(allowed, np.abs(flops - target), np.inf)
    moves = np.array([[abs(d_ - d) + abs(px - wanted_px) / wanted_px for px in resolutions] for d_, _ in depths])
    met = np.argwhere(gaps <= max(tolerance * target, float(gaps.min())))
    depth, px, segment = min(met, key=lambda at: (moves[at[0], at[1]], gaps[tuple(at)]))
    return _solution(architecture, table, r, depths[depth], resolutions[px], int(segment) + (window.start or 0), width)


def _solution(
    architecture: Architecture,
    table: CostTable,
    r: float,
    depth: tuple[float, tuple[int, ...]],
    px: int,
    segment: int,
    width: float | None,
) -> Solution:
    base = architecture.baseline.resolution
    d, repeats = depth
    low, high = float(table.edges[segment]), float(table.edges[segment + 1])
    middle = float(table.widths[segment])
    multipliers = Multipliers(
        r=short_decimal(r, px / base, (px + 1) / base, lambda r: round_resolution(base, r) == px),
        d=short_decimal(d, d - 1e-4, d + 1e-4, lambda d: architecture.repeats(d) == repeats),
        w=short_decimal(middle, low, high, lambda w: low < w < high) if width is None else width,
    )
    config = architecture.assembled(px, repeats, middle)
    return Solution(multipliers, (low, high), config, table.cost(repeats, px, segment))


def _window(
    table: CostTable, depths: list[tuple[int, ...]], resolutions: list[int], target: int, mode: Mode, tolerance: float
) -> slice:
    """The widths among which the best network is, whatever its depth and px: cost rises with each of the three.

    Raises: TargetOutOfRange.
    """
    cheapest = table.flops(min(depths), [min(resolutions)])[0]
    dearest = table.flops(max(depths), [max(resolutions)])[0]
    _check_reachable(int(cheapest[0]), int(dearest[-1]), target, mode)
    first = int(np.searchsorted(dearest, target * (1 - tolerance)))
    last = int(np.searchsorted(cheapest, target * (1 + tolerance), side="right"))
    return slice(max(0, first - 1), last + 1)


def _edges(architecture: Architecture) -> Floats:
    """0, the widths at which the network changes, and WIDEST."""
    divisor = architecture.rules.divisor
    steps = [width_breakpoints(c, divisor, WIDEST) for c in architecture.scaled_channels()]
    sorted_steps = np.unique(np.concatenate([[0.0], *steps, [WIDEST]]))
    edges = sorted_steps[np.diff(sorted_steps, append=np.inf) > 1e-9]  # the others are equal but for float noise
    network = architecture.assembled(1, architecture.repeats(1.0), _middles(edges))
    counts = [network.stem.channels, *(stage.channels for stage in network.stages), network.head.channels]
    changes = [np.diff(np.broadcast_to(count, len(edges) - 1)) != 0 for count in counts]
    return edges[[True, *np.any(changes, axis=0), True]]  # a floored head has steps that change nothing


def _middles(edges: Floats) -> Floats:
    middles: Floats = (edges[:-1] + edges[1:]) / 2
    return middles


def _of(part: Part, operator: str) -> dict[int, Channels]:
    """What a part books for an operator: level -> operations a pixel."""
    return {level: per_pixel for (booked, level), per_pixel in part.counts.items() if booked == operator}


def _depths(architecture: Architecture, d: float, latitude: float) -> list[tuple[float, tuple[int, ...]]]:
    """The different repeats within `latitude` of d, each with the depth multiplier nearest to d that gives it."""
    low, high = max(d - latitude, 0.0), d + latitude
    half = 0.5 if architecture.rules.depth == "round" else 0.0
    edges = {
        (k + half) / stage.repeats
        for stage in architecture.baseline.stages
        for k in range(int(low * stage.repeats), int(high * stage.repeats) + 2)
    }
    inner = sorted(edge for edge in edges if low < edge < high)
    nearest: dict[tuple[int, ...], float] = {architecture.repeats(d): d}
    for left, right in pairwise([low, *inner, high]):
        depth = min(max(d, left + 1e-9), right - 1e-9) if left < right else d
        nearest.setdefault(architecture.repeats(depth), depth)
    return [(depth, repeats) for repeats, depth in nearest.items()]


def _check_reachable(least: int, most: int, target: int, mode: Mode) -> None:
    leeway = 0.0 if mode == "at_most" else _LEEWAY
    if target < least * (1 - leeway) or (mode == "nearest" and target > most * (1 + leeway)):
        raise TargetOutOfRange(target, least, most, "at these multipliers and constraints")
