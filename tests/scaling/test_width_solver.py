from __future__ import annotations

from functools import lru_cache
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from app.scaling import cost, families, width_solver
from app.scaling.architecture import Architecture, Multipliers
from app.scaling.cost_table import WIDEST, cost_table
from app.scaling.errors import TargetOutOfRange
from app.scaling.rounding import round_resolution, width_breakpoints
from app.scaling.width_solver import CLOSE, Latitude, Moved, Solution, solve
from tests.scaling.baselines import ARCHITECTURES, B0, OF_EVERY_FAMILY, SMALL, SMALL_SCALED_WHOLE

ALL = st.sampled_from((*ARCHITECTURES, *OF_EVERY_FAMILY))
SMALL_ONES = st.sampled_from([SMALL, SMALL_SCALED_WHOLE])
R, D, RATIO = st.floats(0.4, 1.6), st.floats(0.3, 2.0), st.floats(0.05, 2.0)
LATITUDES = st.builds(Latitude, st.integers(0, 12), st.floats(0, 0.2), st.booleans())


@lru_cache
def whole(architecture: Architecture) -> int:
    return families.network_cost(architecture.baseline).flops


@lru_cache
def every_width(architecture: Architecture) -> list[float]:
    """A width between any two neighbouring steps of any channel count."""
    base = architecture.baseline
    counts = {base.stem.channels, *(stage.channels for stage in base.stages), base.head.channels} - {0}
    steps = [width_breakpoints(int(c), architecture.rules.divisor, WIDEST) for c in counts]
    edges = np.unique(np.concatenate([[0.0], *steps, [WIDEST]]))
    middles = (edges[1:] + edges[:-1]) / 2
    return [float(w) for w in middles[np.diff(edges) > 1e-9]]


@lru_cache(maxsize=256)
def ledgers(architecture: Architecture, repeats: tuple[int, ...]) -> list[cost.Ledger]:
    return [families.ledger(architecture.assembled(64, repeats, w)) for w in every_width(architecture)]


def costs_at(architecture: Architecture, px: int, repeats: tuple[int, ...]) -> list[int]:
    return [cost.total(ledger, px).flops for ledger in ledgers(architecture, repeats)]


def costs_by_brute_force(architecture: Architecture, r: float, d: float) -> list[int]:
    return costs_at(architecture, round_resolution(architecture.baseline.resolution, r), architecture.repeats(d))


def box(architecture: Architecture, r: float, d: float, latitude: Latitude) -> dict[tuple[int, tuple[int, ...]], float]:
    """The px and repeats of a latitude, with the distance of each; found by a scan of d."""
    wanted = round_resolution(architecture.baseline.resolution, r)
    # Off the round numbers, where half a repeat goes to the even one and to no neighbouring depth's.
    scanned = np.linspace(max(d - latitude.depth, 1e-3), d + latitude.depth - 1e-6, 101) + 1.2345678e-7
    depths = {architecture.repeats(d): 0.0}
    inside = scanned[np.abs(scanned - d) < latitude.depth]
    for depth in sorted(inside.tolist(), key=lambda depth: abs(depth - d)):
        depths.setdefault(architecture.repeats(depth), abs(depth - d) / (latitude.depth or 1.0))
    return {
        (px, repeats): abs(px - wanted) / max(latitude.px, 1) + distance
        for px, (repeats, distance) in product(range(wanted - latitude.px, wanted + latitude.px + 1), depths.items())
    }


def solved(architecture: Architecture, r: float, d: float, ratio: float, **options: object) -> Solution | None:
    """The solution, none where the target is out of reach."""
    try:
        return solve(architecture, r, d, round(ratio * whole(architecture)), **options)  # type: ignore[arg-type]
    except TargetOutOfRange:
        return None


@settings(deadline=None, max_examples=40)
@given(SMALL_ONES, R, D, RATIO)
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


def test_no_width_of_a_ghostnet_comes_nearer_to_the_target() -> None:
    ghostnet = families.baseline("ghostnet_130")

    for width in (0.886, 0.89):
        target = families.network_cost(ghostnet.assembled(224, ghostnet.repeats(1.0), width)).flops
        assert solve(ghostnet, 1.0, 1.0, target).cost.flops == target


@settings(deadline=None, max_examples=40)
@given(SMALL_ONES, R, D, RATIO, st.integers(0, 3), st.floats(0, 0.2), st.booleans(), st.sampled_from([0, CLOSE, 0.01]))
def test_no_width_px_and_depth_within_the_latitude_come_nearer(
    architecture: Architecture, r: float, d: float, ratio: float, px: int, depth: float, stages: bool, close: float
) -> None:
    latitude, target = Latitude(px, depth, stages), round(ratio * whole(architecture))
    found = solved(architecture, r, d, ratio, latitude=latitude, close=close)
    places = box(architecture, r, d, latitude)
    nearest = min(abs(flops - target) for place in places for flops in costs_at(architecture, *place))

    if found is None:
        assert nearest > 0.004 * target
    else:
        assert abs(found.cost.flops - target) <= max(close * target, nearest)


@settings(deadline=None, max_examples=40)
@given(SMALL_ONES, R, D, RATIO, st.integers(0, 3), st.floats(0.001, 0.2), st.booleans())
def test_no_place_that_is_nearer_to_the_rules_has_a_width_close_to_the_target(
    architecture: Architecture, r: float, d: float, ratio: float, px: int, depth: float, stages: bool
) -> None:
    latitude, target, close = Latitude(px, depth, stages), round(ratio * whole(architecture)), 0.005
    found = solved(architecture, r, d, ratio, latitude=latitude, close=close)

    if found is not None and abs(found.cost.flops - target) <= close * target:
        wanted = round_resolution(architecture.baseline.resolution, r)
        own = costs_at(architecture, wanted, architecture.repeats(d))
        width = min(range(len(own)), key=lambda i: abs(own[i] - target))

        def further(px_: int) -> float:
            """What the feature maps change by beyond the px themselves, in px, relative to the latitude."""
            evenly = abs((costs_at(architecture, px_, architecture.repeats(d))[width] / own[width]) ** 0.5 - 1) * wanted
            return max(0.0, evenly - abs(px_ - wanted)) / max(px, 1)

        places = {place: far + further(place[0]) for place, far in box(architecture, r, d, latitude).items()}
        moved = abs(found.moved.px) / max(px, 1) + further(found.config.resolution) + abs(found.moved.depth) / depth
        for place, other in places.items():
            if other < moved - 1e-6:
                assert min(abs(flops - target) for flops in costs_at(architecture, *place)) > close * target


@settings(deadline=None)
@given(ALL, R, D, RATIO, LATITUDES)
def test_the_multipliers_give_the_network_that_was_found(
    architecture: Architecture, r: float, d: float, ratio: float, latitude: Latitude
) -> None:
    found = solved(architecture, r, d, ratio, latitude=latitude)

    if found is not None:
        assert architecture.scaled(found.multipliers) == found.config
        assert families.network_cost(found.config) == found.cost
        families.check(found.config)
        assert (found.w_interval is None) == (found.multipliers.w_stages is not None)
        assert latitude.stages or found.multipliers.w_stages is None


@settings(deadline=None)
@given(ALL, R, D, RATIO, LATITUDES)
def test_px_and_depth_move_no_further_than_they_may_and_as_said(
    architecture: Architecture, r: float, d: float, ratio: float, latitude: Latitude
) -> None:
    found = solved(architecture, r, d, ratio, latitude=latitude)

    if found is not None:
        wanted = round_resolution(architecture.baseline.resolution, r)
        assert abs(found.moved.px) <= latitude.px or found.config.resolution == 8
        assert abs(found.moved.depth) <= latitude.depth + 1e-9
        assert found.moved.px == found.config.resolution - wanted
        assert found.moved.depth == pytest.approx(found.multipliers.d - d, abs=2e-4)


@settings(deadline=None)
@given(ALL, R, D, RATIO, st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_every_width_in_the_interval_gives_the_same_network(
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
            assert architecture.assembled(config.resolution, repeats, width) == config


@settings(deadline=None)
@given(ALL, R, D, RATIO)
def test_no_width_beyond_the_interval_gives_the_same_network(
    architecture: Architecture, r: float, d: float, ratio: float
) -> None:
    found = solved(architecture, r, d, ratio)

    if found is not None:
        assert found.w_interval is not None
        (low, high), config = found.w_interval, found.config
        repeats = tuple(stage.repeats for stage in config.stages)
        for width in (low - 1e-6, high + 1e-6):
            if 0 < width < WIDEST:
                assert architecture.assembled(config.resolution, repeats, width) != config


@settings(deadline=None, max_examples=200)
@given(ALL, R, D, RATIO, LATITUDES)
def test_at_most_is_never_above_the_target(
    architecture: Architecture, r: float, d: float, ratio: float, latitude: Latitude
) -> None:
    found = solved(architecture, r, d, ratio, latitude=latitude, mode="at_most")

    assert found is None or found.cost.flops <= round(ratio * whole(architecture))


@settings(deadline=None)
@given(ALL, R, D, RATIO, LATITUDES, st.floats(0.0005, 0.05))
def test_nothing_moves_where_the_rules_own_place_is_close(
    architecture: Architecture, r: float, d: float, ratio: float, latitude: Latitude, close: float
) -> None:
    still = solved(architecture, r, d, ratio)
    target = round(ratio * whole(architecture))

    if still is not None and abs(still.cost.flops - target) <= close * target:
        assert solved(architecture, r, d, ratio, latitude=latitude, close=close) == still
        assert still.moved == Moved(0, 0.0)


@settings(deadline=None)
@given(ALL, R, D, RATIO, st.integers(1, 12), st.floats(0.01, 0.2))
def test_stages_step_apart_before_px_and_depth_move(
    architecture: Architecture, r: float, d: float, ratio: float, px: int, depth: float
) -> None:
    here = solved(architecture, r, d, ratio, latitude=Latitude(stages=True))
    target = round(ratio * whole(architecture))

    if here is not None and abs(here.cost.flops - target) <= CLOSE * target:
        assert solved(architecture, r, d, ratio, latitude=Latitude(px, depth, stages=True)) == here


@settings(deadline=None)
@given(ALL, R, D, RATIO, LATITUDES)
def test_latitude_never_makes_the_budget_error_greater(
    architecture: Architecture, r: float, d: float, ratio: float, latitude: Latitude
) -> None:
    target = round(ratio * whole(architecture))
    still, moving = solved(architecture, r, d, ratio), solved(architecture, r, d, ratio, latitude=latitude)

    if still is not None:
        assert moving is not None
        assert abs(moving.cost.flops - target) <= max(CLOSE * target, abs(still.cost.flops - target))


def test_the_nearest_places_are_looked_at_and_no_more_than_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    wide, missed = Latitude(px=512, depth=2.0), 100_000_123
    monkeypatch.setattr(width_solver, "MOST_PLACES", 1)
    at_the_rules_own = solve(B0, 0.8, 1.0, missed, latitude=wide, close=0.0)
    monkeypatch.undo()
    near = solve(B0, 0.8, 1.0, missed, latitude=wide, close=0.0)

    assert at_the_rules_own.moved == Moved(0, 0.0)
    assert abs(near.cost.flops - missed) < abs(at_the_rules_own.cost.flops - missed)
    assert abs(near.moved.px) <= width_solver.MOST_PLACES


@settings(deadline=None)
@given(ALL, R, D, st.floats(0.2, 2), LATITUDES)
def test_a_width_that_is_given_is_kept(
    architecture: Architecture, r: float, d: float, width: float, latitude: Latitude
) -> None:
    assume(np.abs(cost_table(architecture).edges - width).min() > 1e-9)
    px = round_resolution(architecture.baseline.resolution, r)
    target = families.network_cost(architecture.assembled(px, architecture.repeats(d), width)).flops
    found = solve(architecture, r, d, round(1.004 * target), width=width, latitude=latitude)

    assert (found.multipliers.w, found.multipliers.w_stages) == (width, None)
    assert architecture.scaled(found.multipliers) == found.config
    assert abs(found.cost.flops - 1.004 * target) <= 0.0041 * target


@pytest.mark.parametrize("name", families.baselines())
def test_the_width_of_the_baseline_gives_the_baselines_channels(name: str) -> None:
    architecture = families.baseline(name)
    target = families.network_cost(architecture.scaled(Multipliers(1.0, 1.0, 1.0))).flops

    assert solve(architecture, 1.0, 1.0, target, width=1.0).config == architecture.baseline


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, families.baseline("convnext_atto")])
def test_a_target_beyond_reach_is_refused_with_the_least_and_the_most(architecture: Architecture) -> None:
    costs = costs_by_brute_force(architecture, 1.0, 1.0)

    for target, nearest in ((round(0.9 * min(costs)), min(costs)), (round(1.1 * max(costs)), max(costs))):
        with pytest.raises(TargetOutOfRange) as refusal:
            solve(architecture, 1.0, 1.0, target)
        assert (refusal.value.target, refusal.value.least, refusal.value.most) == (target, min(costs), max(costs))
        assert refusal.value.nearest is not None
        assert refusal.value.nearest.cost.flops == nearest
    assert solve(architecture, 1.0, 1.0, min(costs)).cost.flops == min(costs)
    assert solve(architecture, 1.0, 1.0, max(costs)).cost.flops == max(costs)


def test_at_most_is_refused_below_the_least_and_gives_the_most_above_all() -> None:
    costs = costs_by_brute_force(SMALL, 1.0, 1.0)

    with pytest.raises(TargetOutOfRange) as refusal:
        solve(SMALL, 1.0, 1.0, min(costs) - 1, mode="at_most")
    assert refusal.value.nearest is not None
    assert refusal.value.nearest.cost.flops == min(costs)
    assert solve(SMALL, 1.0, 1.0, 2 * max(costs), mode="at_most").cost.flops == max(costs)
