from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from app.scaling import families
from app.scaling.cost import ledger as cost
from app.scaling.network import Architecture, Multipliers
from app.scaling.rounding import round_resolution, width_breakpoints
from app.scaling.solver import width_solver
from app.scaling.solver.constraints import Constraints
from app.scaling.solver.width_grid import MAX_WIDTH, get_width_grid
from app.scaling.solver.width_solver import (
    BUDGET_TOLERANCE,
    Displacement,
    SearchRadius,
    Solution,
    TargetOutOfRange,
    solve,
)
from tests.scaling.baselines import ARCHITECTURES, B0, EVERY_NAME, OF_EVERY_FAMILY, SMALL, SMALL_SCALED_WHOLE
from tests.support import example_count

ALL = st.sampled_from((*ARCHITECTURES, *OF_EVERY_FAMILY))
SMALL_ONES = st.sampled_from([SMALL, SMALL_SCALED_WHOLE])
R, D, RATIO = st.floats(0.4, 1.6), st.floats(0.3, 2.0), st.floats(0.05, 2.0)
RADII = st.builds(SearchRadius, st.integers(0, 12), st.floats(0, 0.2), st.booleans())


@lru_cache
def whole(architecture: Architecture) -> int:
    return families.network_cost(architecture.baseline).flops


@lru_cache
def every_width(architecture: Architecture) -> list[float]:
    """A width between any two neighbouring steps of any channel count."""
    base = architecture.baseline
    counts = {base.stem.channels, *(stage.channels for stage in base.stages), base.head.channels} - {0}
    steps = [width_breakpoints(int(c), architecture.rules.divisor, MAX_WIDTH) for c in counts]
    edges = np.unique(np.concatenate([[0.0], *steps, [MAX_WIDTH]]))
    midpoints = (edges[1:] + edges[:-1]) / 2
    return [float(w) for w in midpoints[np.diff(edges) > 1e-9]]


@lru_cache(maxsize=256)
def ledgers(architecture: Architecture, repeats: tuple[int, ...]) -> list[cost.Ledger]:
    return [families.ledger(architecture.assemble(64, repeats, w)) for w in every_width(architecture)]


def costs_at(architecture: Architecture, px: int, repeats: tuple[int, ...]) -> list[int]:
    return [cost.total_cost(ledger, px).flops for ledger in ledgers(architecture, repeats)]


def costs_by_brute_force(architecture: Architecture, r: float, d: float) -> list[int]:
    return costs_at(architecture, round_resolution(architecture.baseline.resolution, r), architecture.repeats(d))


def grid_points_within(
    architecture: Architecture, r: float, d: float, radius: SearchRadius, start: int | None = None
) -> dict[tuple[int, tuple[int, ...]], float]:
    """Return the px and repeats within a radius, with the distance of each from `start` in px, by a scan of d."""
    wanted = round_resolution(architecture.baseline.resolution, r)
    start = wanted if start is None else start
    # The offset avoids round numbers, at which half a repeat is rounded to even.
    scanned = np.linspace(max(d - radius.depth, 1e-3), d + radius.depth - 1e-6, 101) + 1.2345678e-7
    depths = {architecture.repeats(d): 0.0}
    inside = scanned[np.abs(scanned - d) < radius.depth]
    for depth in sorted(inside.tolist(), key=lambda depth: abs(depth - d)):
        depths.setdefault(architecture.repeats(depth), abs(depth - d) / (radius.depth or 1.0))
    return {
        (px, repeats): abs(px - start) / max(radius.px, 1) + distance
        for px, (repeats, distance) in product(range(start - radius.px, wanted + radius.px + 1), depths.items())
    }


def solved(architecture: Architecture, r: float, d: float, ratio: float, **options: object) -> Solution | None:
    """Return the solution, or None if the target is not reachable."""
    try:
        return solve(architecture, r, d, round(ratio * whole(architecture)), **options)  # type: ignore[arg-type]
    except TargetOutOfRange:
        return None


@settings(max_examples=example_count(40))
@given(SMALL_ONES, R, D, RATIO)
def test_solution_is_nearest_in_cost(architecture: Architecture, r: float, d: float, ratio: float) -> None:
    costs, target = costs_by_brute_force(architecture, r, d), round(ratio * whole(architecture))
    found = solved(architecture, r, d, ratio)

    if found is None:
        assert not min(costs) <= target <= max(costs)
    else:
        assert abs(found.cost.flops - target) == min(abs(cost - target) for cost in costs)


@pytest.mark.parametrize(
    ("r", "d", "target"), [(0.86, 1.2, 339_000_000), (0.6, 0.6, 30_000_000), (1.0, 1.0, 700_000_000)]
)
def test_solution_is_nearest_for_b0(r: float, d: float, target: int) -> None:
    costs = costs_by_brute_force(B0, r, d)

    assert abs(solve(B0, r, d, target).cost.flops - target) == min(abs(cost - target) for cost in costs)
    assert solve(B0, r, d, target, mode="at_most").cost.flops == max(cost for cost in costs if cost <= target)


def test_solution_is_nearest_for_ghostnet() -> None:
    ghostnet = families.baseline("ghostnet_130")

    for width in (0.886, 0.89):
        target = families.network_cost(ghostnet.assemble(224, ghostnet.repeats(1.0), width)).flops
        assert solve(ghostnet, 1.0, 1.0, target).cost.flops == target


@settings(max_examples=example_count(40))
@given(
    SMALL_ONES,
    R,
    D,
    RATIO,
    st.integers(0, 3),
    st.floats(0, 0.2),
    st.booleans(),
    st.sampled_from([0, BUDGET_TOLERANCE, 0.01]),
)
def test_solution_is_nearest_within_the_search_radius(
    architecture: Architecture, r: float, d: float, ratio: float, px: int, depth: float, stages: bool, tolerance: float
) -> None:
    radius, target = SearchRadius(px, depth, stages), round(ratio * whole(architecture))
    found = solved(architecture, r, d, ratio, radius=radius, tolerance=tolerance)
    start = (
        None if found is None else found.config.resolution - found.displacement.px
    )  # costs the same as the rule's px
    places = grid_points_within(architecture, r, d, radius, start)
    nearest = min(abs(flops - target) for place in places for flops in costs_at(architecture, *place))

    if found is None:
        assert nearest > 0.004 * target
    else:
        assert abs(found.cost.flops - target) <= max(tolerance * target, nearest)


@settings(max_examples=example_count(40))
@given(SMALL_ONES, R, D, RATIO, st.integers(0, 3), st.floats(0.001, 0.2), st.booleans())
def test_no_closer_grid_point_meets_the_target(
    architecture: Architecture, r: float, d: float, ratio: float, px: int, depth: float, stages: bool
) -> None:
    radius, target, tolerance = SearchRadius(px, depth, stages), round(ratio * whole(architecture)), 0.005
    found = solved(architecture, r, d, ratio, radius=radius, tolerance=tolerance)

    if found is not None and abs(found.cost.flops - target) <= tolerance * target:
        start = found.config.resolution - found.displacement.px  # costs the same as the rule's px
        own = costs_at(architecture, start, architecture.repeats(d))
        width = min(range(len(own)), key=lambda i: abs(own[i] - target))

        def further(px_: int) -> float:
            """Return how much more the feature maps grow than the px, in px, relative to the radius."""
            evenly = abs((costs_at(architecture, px_, architecture.repeats(d))[width] / own[width]) ** 0.5 - 1) * start
            return max(0.0, evenly - abs(px_ - start)) / max(px, 1)

        places = {
            place: far + further(place[0])
            for place, far in grid_points_within(architecture, r, d, radius, start).items()
        }
        displacement = (
            abs(found.displacement.px) / max(px, 1)
            + further(found.config.resolution)
            + abs(found.displacement.depth) / depth
        )
        for place, other in places.items():
            if other < displacement - 1e-6:
                assert min(abs(flops - target) for flops in costs_at(architecture, *place)) > tolerance * target


@given(ALL, R, D, RATIO, RADII)
def test_multipliers_reproduce_the_solution(
    architecture: Architecture, r: float, d: float, ratio: float, radius: SearchRadius
) -> None:
    found = solved(architecture, r, d, ratio, radius=radius)

    if found is not None:
        assert architecture.scale(found.multipliers) == found.config
        assert families.network_cost(found.config) == found.cost
        families.check(found.config)
        assert (found.w_interval is None) == (found.multipliers.w_stages is not None)
        assert radius.stages or found.multipliers.w_stages is None


@given(ALL, R, D, RATIO, RADII)
def test_r_and_d_printed_with_three_decimals_reproduce_px_and_repeats(
    architecture: Architecture, r: float, d: float, ratio: float, radius: SearchRadius
) -> None:
    found = solved(architecture, r, d, ratio, radius=radius)

    if found is not None:
        m = found.multipliers
        again = architecture.scale(Multipliers(float(f"{m.r:.3f}"), float(f"{m.d:.3f}"), m.w, m.w_stages))
        assert again == found.config


def test_640_px_are_printed_as_a_multiplier_that_gives_640_px() -> None:
    found = solve(B0, 640 / 224, 1.0, 1_500_000_000, constraints=Constraints(fixed_resolution=640))

    assert round_resolution(224, float(f"{found.multipliers.r:.3f}")) == 640


@given(ALL, R, D, RATIO, RADII)
def test_displacement_is_correct_and_within_the_radius(
    architecture: Architecture, r: float, d: float, ratio: float, radius: SearchRadius
) -> None:
    found = solved(architecture, r, d, ratio, radius=radius)

    if found is not None:
        wanted = round_resolution(architecture.baseline.resolution, r)
        assert abs(found.displacement.px) <= radius.px or found.config.resolution == 8
        assert abs(found.displacement.depth) <= radius.depth + 1e-9
        start = found.config.resolution - found.displacement.px
        assert start >= wanted
        costs = [families.network_cost(replace(found.config, resolution=px)).flops for px in (wanted, start)]
        assert costs[0] == costs[1]
        assert found.displacement.depth == pytest.approx(found.multipliers.d - d, abs=2e-3)


@given(ALL, R, D, RATIO, st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_widths_inside_the_interval_are_equivalent(
    architecture: Architecture, r: float, d: float, ratio: float, places: list[float]
) -> None:
    found = solved(architecture, r, d, ratio)

    if found is not None:
        assert found.w_interval is not None
        (low, high), config = found.w_interval, found.config
        assert low < found.multipliers.w < high
        repeats = tuple(stage.repeats for stage in config.stages)
        inner_low, inner_high = low + 1e-9, high - 1e-9
        for place in places:
            width = inner_low + place * (inner_high - inner_low)
            assert architecture.assemble(config.resolution, repeats, width) == config


@given(ALL, R, D, RATIO)
def test_widths_outside_the_interval_differ(architecture: Architecture, r: float, d: float, ratio: float) -> None:
    found = solved(architecture, r, d, ratio)

    if found is not None:
        assert found.w_interval is not None
        (low, high), config = found.w_interval, found.config
        repeats = tuple(stage.repeats for stage in config.stages)
        for width in (low - 1e-6, high + 1e-6):
            if 0 < width < MAX_WIDTH:
                assert architecture.assemble(config.resolution, repeats, width) != config


@settings(max_examples=example_count(200))
@given(ALL, R, D, RATIO, RADII)
def test_at_most_never_exceeds_the_target(
    architecture: Architecture, r: float, d: float, ratio: float, radius: SearchRadius
) -> None:
    found = solved(architecture, r, d, ratio, radius=radius, mode="at_most")

    assert found is None or found.cost.flops <= round(ratio * whole(architecture))


@given(ALL, R, D, RATIO, RADII, st.floats(0.0005, 0.05))
def test_nothing_moves_if_the_rule_is_close(
    architecture: Architecture, r: float, d: float, ratio: float, radius: SearchRadius, tolerance: float
) -> None:
    still = solved(architecture, r, d, ratio)
    target = round(ratio * whole(architecture))

    if still is not None and abs(still.cost.flops - target) <= tolerance * target:
        found = solved(architecture, r, d, ratio, radius=radius, tolerance=tolerance)
        assert found is not None
        assert (found.cost.flops, found.displacement) == (still.cost.flops, still.displacement)
        assert still.displacement == Displacement(0, 0.0)


@given(ALL, R, D, RATIO, st.integers(1, 12), st.floats(0.01, 0.2))
def test_per_stage_widths_precede_displacement(
    architecture: Architecture, r: float, d: float, ratio: float, px: int, depth: float
) -> None:
    here = solved(architecture, r, d, ratio, radius=SearchRadius(stages=True))
    target = round(ratio * whole(architecture))

    if here is not None and abs(here.cost.flops - target) <= BUDGET_TOLERANCE * target:
        found = solved(architecture, r, d, ratio, radius=SearchRadius(px, depth, stages=True))
        assert found is not None
        assert (found.cost.flops, found.displacement) == (here.cost.flops, here.displacement)


@given(ALL, R, D, RATIO, RADII)
def test_larger_radius_never_increases_budget_error(
    architecture: Architecture, r: float, d: float, ratio: float, radius: SearchRadius
) -> None:
    target = round(ratio * whole(architecture))
    still, moving = solved(architecture, r, d, ratio), solved(architecture, r, d, ratio, radius=radius)

    if still is not None:
        assert moving is not None
        assert abs(moving.cost.flops - target) <= max(BUDGET_TOLERANCE * target, abs(still.cost.flops - target))


def test_search_stops_at_the_maximum_of_grid_points(monkeypatch: pytest.MonkeyPatch) -> None:
    wide, missed = SearchRadius(px=512, depth=2.0), 100_000_123
    monkeypatch.setattr(width_solver, "MAX_GRID_POINTS", 1)
    at_the_rules_own = solve(B0, 0.8, 1.0, missed, radius=wide, tolerance=0.0)
    monkeypatch.undo()
    near = solve(B0, 0.8, 1.0, missed, radius=wide, tolerance=0.0)

    assert at_the_rules_own.displacement == Displacement(0, 0.0)
    assert abs(near.cost.flops - missed) < abs(at_the_rules_own.cost.flops - missed)
    assert abs(near.displacement.px) <= width_solver.MAX_GRID_POINTS


@given(ALL, R, D, st.floats(0.2, 2), RADII)
def test_given_width_is_fixed(
    architecture: Architecture, r: float, d: float, width: float, radius: SearchRadius
) -> None:
    assume(np.abs(get_width_grid(architecture).edges - width).min() > 1e-9)
    px = round_resolution(architecture.baseline.resolution, r)
    target = families.network_cost(architecture.assemble(px, architecture.repeats(d), width)).flops
    found = solve(architecture, r, d, round(1.004 * target), width=width, radius=radius)

    assert (found.multipliers.w, found.multipliers.w_stages) == (width, None)
    assert architecture.scale(found.multipliers) == found.config
    assert abs(found.cost.flops - 1.004 * target) <= 0.0041 * target


@pytest.mark.parametrize("name", EVERY_NAME)
def test_width_one_gives_the_baselines_channels(name: str) -> None:
    architecture = families.baseline(name)
    target = families.network_cost(architecture.scale(Multipliers(1.0, 1.0, 1.0))).flops

    assert solve(architecture, 1.0, 1.0, target, width=1.0).config == architecture.baseline


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, families.baseline("convnext_atto")])
def test_unreachable_target_reports_reachable_range(architecture: Architecture) -> None:
    costs = costs_by_brute_force(architecture, 1.0, 1.0)

    for target, nearest in ((round(0.9 * min(costs)), min(costs)), (round(1.1 * max(costs)), max(costs))):
        with pytest.raises(TargetOutOfRange) as refusal:
            solve(architecture, 1.0, 1.0, target)
        assert (refusal.value.target, refusal.value.minimum, refusal.value.maximum) == (
            target,
            min(costs),
            max(costs),
        )
        assert refusal.value.nearest is not None
        assert refusal.value.nearest.cost.flops == nearest
    assert solve(architecture, 1.0, 1.0, min(costs)).cost.flops == min(costs)
    assert solve(architecture, 1.0, 1.0, max(costs)).cost.flops == max(costs)


def test_at_most_handles_targets_beyond_both_ends() -> None:
    costs = costs_by_brute_force(SMALL, 1.0, 1.0)

    with pytest.raises(TargetOutOfRange) as refusal:
        solve(SMALL, 1.0, 1.0, min(costs) - 1, mode="at_most")
    assert refusal.value.nearest is not None
    assert refusal.value.nearest.cost.flops == min(costs)
    assert solve(SMALL, 1.0, 1.0, 2 * max(costs), mode="at_most").cost.flops == max(costs)
