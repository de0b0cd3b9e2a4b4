"""Inputs of two different sides, from r to the recommended network."""

from __future__ import annotations

from dataclasses import replace
from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.scaling.cost.ledger import total_cost
from app.scaling.families import flops_of, ledger, network_cost
from app.scaling.input_sizes import InputSizes, scale_resolution
from app.scaling.network import Architecture, Config, Multipliers
from app.scaling.predictors.network_features import features_at, features_of
from app.scaling.predictors.published_tinynets import published_predictor
from app.scaling.resolution import Resolution, sides_of, to_resolution
from app.scaling.rounding import round_resolution
from app.scaling.rules.names import SOLVED_RULES
from app.scaling.rules.recommend import recommend
from app.scaling.search.active_sampler import propose
from app.scaling.search.inversion import find_multipliers
from app.scaling.search.observations import Observation, network_key
from app.scaling.search.random_sampler import SearchSpace, sample
from app.scaling.solver.constraints import Constraints
from app.scaling.solver.width_grid import get_width_grid
from app.scaling.solver.width_solver import SearchRadius, TargetOutOfRange, solve
from tests.scaling.baselines import B0, OF_EVERY_FAMILY, SMALL
from tests.support import example_count

SIDES = st.integers(8, 1024)


def with_input(architecture: Architecture, *sides: int) -> Architecture:
    return replace(architecture, baseline=replace(architecture.baseline, resolution=to_resolution(sides)))


WIDE, TALL = with_input(B0, 96, 224), with_input(B0, 224, 96)
OF_EVERY_FAMILY_WIDE = [with_input(architecture, 64, 160) for architecture in OF_EVERY_FAMILY]


@settings(max_examples=example_count(200))
@given(SIDES, SIDES, st.floats(0.01, 10))
def test_each_side_is_rounded_like_that_of_a_square(height: int, width: int, r: float) -> None:
    scaled = scale_resolution(to_resolution([height, width]), r)

    assert sides_of(scaled) == (round_resolution(height, r), round_resolution(width, r))


@pytest.mark.parametrize("sides", [(32, 64), (64, 16), (224, 192), (1023, 1024)])
def test_baseline_keeps_its_own_sides(sides: tuple[int, int]) -> None:
    assert scale_resolution(sides, 1.0) == sides


@settings(max_examples=example_count(60))
@given(SIDES, SIDES, st.floats(0.02, 3))
def test_sizes_follow_each_other_as_r_grows(height: int, width: int, r: float) -> None:
    baseline = to_resolution([height, width])
    sizes = InputSizes(baseline)
    size = sizes.size_at(r)

    assert (sizes.sizes_at(np.array([r])) == [size]).all()
    steps = np.diff(sizes.heights) + np.diff(sizes.widths)
    assert (np.diff(sizes.heights) >= 0).all() and (np.diff(sizes.widths) >= 0).all() and (steps > 0).all()
    if size <= sizes.last:
        resolution = scale_resolution(baseline, r)
        assert (sizes.resolution(size), sizes.find(resolution)) == (resolution, size)
        assert scale_resolution(baseline, float(sizes.middles[size])) == resolution
        assert scale_resolution(baseline, sizes.short_multiplier(size, r)) == resolution


def test_config_of_two_sides_survives_json() -> None:
    plain = WIDE.baseline.to_json()

    assert plain["resolution"] == [96, 224]
    assert Config.from_json(plain) == WIDE.baseline
    assert Config.from_json({**plain, "resolution": [96, 96]}).resolution == 96


@pytest.mark.parametrize("architecture", OF_EVERY_FAMILY_WIDE, ids=lambda a: a.name)
@settings(max_examples=example_count(6))
@given(st.floats(0.6, 1.5), st.floats(0.5, 1.5), st.floats(0.2, 1.2), st.booleans(), st.data())
def test_solver_meets_the_budget_exactly_as_counted(
    architecture: Architecture, r: float, d: float, ratio: float, stages: bool, data: st.DataObject
) -> None:
    target = round(ratio * flops_of(architecture))
    mode = data.draw(st.sampled_from(["nearest", "at_most"]))
    try:
        found = solve(architecture, r, d, target, radius=SearchRadius(4, 0.1, stages), mode=mode)
    except TargetOutOfRange as error:
        assert error.nearest is not None
        found = error.nearest
    else:
        assert mode == "nearest" or found.cost.flops <= target
        gaps = [abs(cost - target) for cost in costs_of_each_width(architecture, r, d) if mode == "nearest"]
        assert all(abs(found.cost.flops - target) <= max(gap, 5e-4 * target) for gap in gaps)
    assert architecture.scale(found.multipliers) == found.config
    assert network_cost(found.config) == found.cost


def costs_of_each_width(architecture: Architecture, r: float, d: float) -> list[int]:
    resolution, repeats = scale_resolution(architecture.baseline.resolution, r), architecture.repeats(d)
    widths = get_width_grid(architecture).widths.tolist()[::7]
    return [total_cost(ledger(architecture.assemble(resolution, repeats, width)), resolution).flops for width in widths]


@pytest.mark.parametrize("rule", [rule for rule in SOLVED_RULES if rule not in ("surrogate", "depth")])
def test_every_rule_keeps_the_aspect(rule: str) -> None:
    found = recommend(WIDE, round(0.4 * flops_of(WIDE)), rule, predictor=published_predictor())  # type: ignore[arg-type]
    height, width = found.config.sides

    assert abs(height / 96 - width / 224) <= 1 / 96
    assert found.cost == network_cost(found.config)
    assert abs(found.budget_error or 0.0) <= (0.1 if rule == "resolution" else 0.005)


def test_baseline_is_recommended_at_its_own_cost() -> None:
    assert recommend(WIDE, flops_of(WIDE), "dwr").config == WIDE.baseline


@settings(max_examples=example_count(30))
@given(st.floats(0.1, 1.0))
def test_transposed_input_costs_the_same_but_has_another_key(ratio: float) -> None:
    target = round(ratio * flops_of(WIDE))
    wide, tall = (recommend(architecture, target, "dwr") for architecture in (WIDE, TALL))

    assert wide.config.sides == tall.config.sides[::-1]
    assert wide.cost == tall.cost
    assert wide.multipliers == tall.multipliers
    assert network_key(WIDE, wide.config) != network_key(TALL, tall.config)


@pytest.mark.parametrize(
    ("constraints", "allowed"),
    [
        (Constraints(multiple_of=16), lambda h, w: h % 16 == w % 16 == 0),
        (Constraints(min_resolution=80), lambda h, w: h >= 80),
        (Constraints(max_resolution=100), lambda h, w: w <= 100),
        (Constraints(fixed_resolution=(48, 112)), lambda h, w: (h, w) == (48, 112)),
    ],
)
def test_constraints_hold_for_both_sides(constraints: Constraints, allowed) -> None:  # type: ignore[no-untyped-def]
    found = recommend(WIDE, round(0.5 * flops_of(WIDE)), "dwr", constraints=constraints)

    assert allowed(*found.config.sides)
    assert abs(found.budget_error or 0.0) <= 0.005
    assert WIDE.scale(found.multipliers) == found.config


@pytest.mark.parametrize("fixed", [112, (112, 48)])
def test_fixed_input_of_another_aspect_is_out_of_range(fixed: Resolution) -> None:
    with pytest.raises(TargetOutOfRange) as caught:
        recommend(WIDE, round(0.5 * flops_of(WIDE)), "dwr", constraints=Constraints(fixed_resolution=fixed))

    assert caught.value.constraints == ["resolution.fixed"]


def test_movement_counts_from_the_rules_input() -> None:
    found = recommend(WIDE, round(0.31 * flops_of(WIDE)), "dwr", constraints=Constraints(multiple_of=16))
    moved = found.displacement

    assert moved is not None and moved.px != 0
    assert moved.px == sqrt(np.prod(found.config.sides)) - sqrt(np.prod(sides_of(moved.origin)))
    (warning,) = [w for w in found.warnings if w.code == "moved_for_constraint"]
    assert f"{moved.origin[0]} × {moved.origin[1]} px" in warning.detail  # type: ignore[index]


def test_sides_count_by_their_geometric_mean_in_features() -> None:
    scaled = WIDE.scale(Multipliers(0.5, 1, 1))
    flops = network_cost(scaled).flops
    (found,) = features_of(WIDE, scaled, flops)

    # the last maps are 2 x 4 of an input of 48 x 112, and 3 x 7 of 96 x 224
    expected = [flops / flops_of(WIDE), 0.5, 1.0, sqrt(2 * 4 / (3 * 7))]
    assert found == pytest.approx([log(ratio) for ratio in expected])
    assert features_at(WIDE, [flops / flops_of(WIDE)], [0.5], [1.0]) == pytest.approx(found[None])


@settings(max_examples=example_count(30))
@given(st.floats(0.5, 2.5), st.floats(0.2, 3), st.floats(0.2, 3))
def test_scaled_network_has_multipliers_that_scale_to_it(r: float, d: float, w: float) -> None:
    config = WIDE.scale(Multipliers(r, d, w))
    found = find_multipliers(WIDE, config)

    assert found is not None and WIDE.scale(found) == config
    assert find_multipliers(TALL, config) is None
    assert find_multipliers(B0, config) is None


def test_samplers_draw_different_networks_of_the_aspect() -> None:
    small = with_input(SMALL, 16, 48)
    space = SearchSpace().for_architecture(small)
    drawn = sample(small, space, 20, seed=0)
    observations = [
        Observation(m.r, m.d, m.w, n.cost.flops / flops_of(small), n.cost.flops, n.cost.params, 0.5 + i / 100)
        for i, n in enumerate(drawn)
        for m in [n.multipliers]
    ]
    proposed = propose(small, space, observations, 5, seed=0).networks

    keys = [network_key(small, network.config) for network in (*drawn, *proposed)]
    assert len(set(keys)) == len(keys)
    assert [network_key(small, o) for o in observations] == keys[:20]
    for network in (*drawn, *proposed):
        assert small.scale(network.multipliers) == network.config
        assert network_cost(network.config) == network.cost
