from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.scaling import families
from app.scaling.architecture import Architecture
from app.scaling.errors import TargetOutOfRange
from app.scaling.rounding import round_resolution, width_breakpoints
from app.scaling.width_solver import WIDEST, Constraints, Latitude, Solution, cost_table, solve
from tests.scaling.baselines import ARCHITECTURES, B0, SMALL, SMALL_SCALED_WHOLE

R, D, RATIO = st.floats(0.4, 1.6), st.floats(0.3, 2.0), st.floats(0.05, 2.0)
LATITUDES = st.builds(Latitude, st.integers(0, 12), st.floats(0, 0.2))


@lru_cache
def whole(architecture: Architecture) -> int:
    return families.network_cost(architecture.baseline).flops


def every_width(architecture: Architecture) -> list[float]:
    """A width between any two neighbouring steps of any channel count."""
    base = architecture.baseline
    counts = {base.stem.channels, *(stage.channels for stage in base.stages), base.head.channels}
    steps = [width_breakpoints(int(c), architecture.rules.divisor, WIDEST) for c in counts]
    edges = np.unique(np.concatenate([[0.0], *steps, [WIDEST]]))
    middles = (edges[1:] + edges[:-1]) / 2
    return [float(w) for w in middles[np.diff(edges) > 1e-9]]


def costs_by_brute_force(architecture: Architecture, r: float, d: float) -> list[int]:
    px, repeats = round_resolution(architecture.baseline.resolution, r), architecture.repeats(d)
    return [families.network_cost(architecture.assembled(px, repeats, w)).flops for w in every_width(architecture)]


def solved(architecture: Architecture, r: float, d: float, ratio: float, **options: object) -> Solution | None:
    """The solution, none where the target is out of reach."""
    try:
        return solve(architecture, r, d, round(ratio * whole(architecture)), **options)  # type: ignore[arg-type]
    except TargetOutOfRange:
        return None


@settings(deadline=None, max_examples=25)
@given(st.sampled_from([SMALL, SMALL_SCALED_WHOLE]), R, D, RATIO)
def test_no_width_comes_nearer_to_the_target(architecture: Architecture, r: float, d: float, ratio: float) -> None:
    costs, target = costs_by_brute_force(architecture, r, d), round(ratio * whole(architecture))
    found = solved(architecture, r, d, ratio)

    if found is None:
        assert not min(costs) <= target <= max(costs)
    else:
        assert abs(found.cost.flops - target) == min(abs(cost - target) for cost in costs)


@pytest.mark.parametrize(
    ("r", "d", "target"), [(0.86, 1.2, 339_000_000), (0.6, 0.6, 30_000_000), (1.0, 1.0, 700_000_000)]
)
def test_no_width_of_b0_comes_nearer_to_the_target(r: float, d: float, target: int) -> None:
    costs = costs_by_brute_force(B0, r, d)

    assert abs(solve(B0, r, d, target).cost.flops - target) == min(abs(cost - target) for cost in costs)
    assert solve(B0, r, d, target, mode="at_most").cost.flops == max(cost for cost in costs if cost <= target)


@settings(deadline=None)
@given(st.sampled_from(ARCHITECTURES), R, D, RATIO, LATITUDES)
def test_the_multipliers_give_the_network_that_was_found(
    architecture: Architecture, r: float, d: float, ratio: float, latitude: Latitude
) -> None:
    found = solved(architecture, r, d, ratio, latitude=latitude)

    if found is not None:
        assert architecture.scaled(found.multipliers) == found.config
        assert families.network_cost(found.config) == found.cost


@settings(deadline=None)
@given(st.sampled_from(ARCHITECTURES), R, D, RATIO, LATITUDES)
def test_px_and_depth_move_no_further_than_they_may(
    architecture: Architecture, r: float, d: float, ratio: float, latitude: Latitude
) -> None:
    found = solved(architecture, r, d, ratio, latitude=latitude)

    if found is not None:
        wanted = round_resolution(architecture.baseline.resolution, r)
        assert abs(found.config.resolution - wanted) <= latitude.px or found.config.resolution == 8
        assert abs(found.multipliers.d - d) <= latitude.depth + 1e-4


@settings(deadline=None)
@given(st.sampled_from(ARCHITECTURES), R, D, RATIO, st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_every_width_in_the_interval_gives_the_same_network(
    architecture: Architecture, r: float, d: float, ratio: float, places: list[float]
) -> None:
    found = solved(architecture, r, d, ratio)

    if found is not None:
        (low, high), config = found.w_interval, found.config
        repeats = tuple(stage.repeats for stage in config.stages)
        inner_low, inner_high = low + 1e-9, high - 1e-9
        for place in places:
            width = inner_low + place * (inner_high - inner_low)
            assert architecture.assembled(config.resolution, repeats, width) == config


@settings(deadline=None)
@given(st.sampled_from(ARCHITECTURES), R, D, RATIO)
def test_no_width_beyond_the_interval_gives_the_same_network(
    architecture: Architecture, r: float, d: float, ratio: float
) -> None:
    found = solved(architecture, r, d, ratio)

    if found is not None:
        (low, high), config = found.w_interval, found.config
        repeats = tuple(stage.repeats for stage in config.stages)
        for width in (low - 1e-6, high + 1e-6):
            if 0 < width < WIDEST:
                assert architecture.assembled(config.resolution, repeats, width) != config


@settings(deadline=None)
@given(st.sampled_from(ARCHITECTURES), R, D, RATIO, LATITUDES)
def test_at_most_is_never_above_the_target(
    architecture: Architecture, r: float, d: float, ratio: float, latitude: Latitude
) -> None:
    found = solved(architecture, r, d, ratio, latitude=latitude, mode="at_most")

    assert found is None or found.cost.flops <= round(ratio * whole(architecture))


@settings(deadline=None)
@given(st.sampled_from(ARCHITECTURES), R, D)
def test_a_wider_network_costs_more(architecture: Architecture, r: float, d: float) -> None:
    px = round_resolution(architecture.baseline.resolution, r)
    (flops,) = cost_table(architecture).flops(architecture.repeats(d), [px])

    assert np.all(np.diff(flops) > 0)


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(ARCHITECTURES), R, D, st.floats(0, 1))
def test_the_table_agrees_with_the_cost_of_the_network(
    architecture: Architecture, r: float, d: float, place: float
) -> None:
    table, repeats = cost_table(architecture), architecture.repeats(d)
    px, i = round_resolution(architecture.baseline.resolution, r), round(place * (len(table.widths) - 1))
    cost = families.network_cost(architecture.assembled(px, repeats, float(table.widths[i])))

    assert table.flops(repeats, [px])[0, i] == cost.flops
    assert table.params(repeats)[i] == cost.params
    assert table.cost(repeats, px, i) == cost


@settings(deadline=None)
@given(st.sampled_from(ARCHITECTURES), R, D, RATIO, LATITUDES, st.floats(0.001, 0.05))
def test_nothing_moves_where_the_width_alone_is_within_tolerance(
    architecture: Architecture, r: float, d: float, ratio: float, latitude: Latitude, tolerance: float
) -> None:
    still = solved(architecture, r, d, ratio)
    target = round(ratio * whole(architecture))

    if still is not None and abs(still.cost.flops - target) <= tolerance * target:
        assert solved(architecture, r, d, ratio, latitude=latitude, tolerance=tolerance) == still


@settings(deadline=None)
@given(st.sampled_from(ARCHITECTURES), R, D, RATIO, LATITUDES)
def test_latitude_never_makes_the_budget_error_greater(
    architecture: Architecture, r: float, d: float, ratio: float, latitude: Latitude
) -> None:
    target = round(ratio * whole(architecture))
    still, moving = solved(architecture, r, d, ratio), solved(architecture, r, d, ratio, latitude=latitude)

    if still is not None:
        assert moving is not None
        assert abs(moving.cost.flops - target) <= abs(still.cost.flops - target)


@settings(deadline=None, max_examples=25)
@given(st.sampled_from(ARCHITECTURES), R, D, RATIO, st.integers(0, 3), st.floats(0.001, 0.3))
def test_no_px_and_depth_within_the_latitude_come_nearer(
    architecture: Architecture, r: float, d: float, ratio: float, px: int, depth: float
) -> None:
    table, target = cost_table(architecture), round(ratio * whole(architecture))
    wanted = round_resolution(architecture.baseline.resolution, r)
    resolutions = list(range(wanted - px, wanted + px + 1))
    # Off the round numbers, where half a repeat goes to the even one and to no neighbouring depth's.
    depths = np.linspace(max(d - depth, 1e-3), d + depth - 1e-6, 101) + 1.2345678e-7
    misses = [
        np.abs(table.flops(repeats, resolutions) - target).min()
        for repeats in {architecture.repeats(x) for x in depths}
    ]
    found = solved(architecture, r, d, ratio, latitude=Latitude(px, depth))

    assert found is None or abs(found.cost.flops - target) <= min(misses)


@pytest.mark.parametrize("multiple", [1, 2, 8, 32])
def test_the_resolution_is_a_multiple_of_what_it_has_to_be(multiple: int) -> None:
    constraints = Constraints(multiple_of=multiple)
    found = solve(B0, 0.83, 1.0, 150_000_000, latitude=Latitude(px=8), constraints=constraints)

    assert found.config.resolution % multiple == 0
    assert abs(found.config.resolution - 0.83 * 224) <= max(8, multiple)


def test_a_fixed_resolution_is_kept() -> None:
    constraints = Constraints(fixed_resolution=160)

    assert solve(B0, 0.9, 1.0, 150_000_000, constraints=constraints).config.resolution == 160


@pytest.mark.parametrize(("r", "px"), [(0.2, 96), (1.5, 128), (0.5, 112)])
def test_the_resolution_stays_within_its_bounds(r: float, px: int) -> None:
    constraints = Constraints(min_resolution=96, max_resolution=128)

    assert solve(B0, r, 1.0, 60_000_000, constraints=constraints).config.resolution == px


def test_bounds_are_drawn_in_to_the_multiple() -> None:
    constraints = Constraints(multiple_of=32, min_resolution=40, max_resolution=120)

    assert solve(B0, 0.1, 1.0, 30_000_000, constraints=constraints).config.resolution == 64
    assert solve(B0, 1.0, 1.0, 30_000_000, constraints=constraints).config.resolution == 96


def test_parameters_stay_within_their_bound_at_the_price_of_px() -> None:
    free = solve(B0, 0.8, 1.0, 300_000_000, latitude=Latitude(px=60))
    bound = Constraints(max_params=int(free.cost.params * 0.9))
    held = solve(B0, 0.8, 1.0, 300_000_000, latitude=Latitude(px=60), constraints=bound)

    assert held.cost.params <= free.cost.params * 0.9
    assert held.config.resolution > free.config.resolution


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_target_beyond_reach_is_refused_with_the_least_and_the_most(architecture: Architecture) -> None:
    costs = costs_by_brute_force(architecture, 1.0, 1.0)

    for target in (round(0.9 * min(costs)), round(1.1 * max(costs))):
        with pytest.raises(TargetOutOfRange) as refusal:
            solve(architecture, 1.0, 1.0, target)
        assert (refusal.value.target, refusal.value.least, refusal.value.most) == (target, min(costs), max(costs))
    assert solve(architecture, 1.0, 1.0, min(costs)).cost.flops == min(costs)
    assert solve(architecture, 1.0, 1.0, max(costs)).cost.flops == max(costs)


def test_at_most_is_refused_below_the_least_and_gives_the_most_above_all() -> None:
    costs = costs_by_brute_force(SMALL, 1.0, 1.0)

    with pytest.raises(TargetOutOfRange):
        solve(SMALL, 1.0, 1.0, min(costs) - 1, mode="at_most")
    assert solve(SMALL, 1.0, 1.0, 2 * max(costs), mode="at_most").cost.flops == max(costs)


def test_too_few_parameters_for_any_width_are_refused() -> None:
    with pytest.raises(TargetOutOfRange, match="with at most 1,000 parameters"):
        solve(B0, 1.0, 1.0, 200_000_000, constraints=Constraints(max_params=1000))
