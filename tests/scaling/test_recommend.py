from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.scaling import families
from app.scaling.architecture import Architecture, Multipliers
from app.scaling.constraints import Constraints
from app.scaling.errors import TargetOutOfRange
from app.scaling.published import TINYNETS, PublishedNetwork, published_predictor
from app.scaling.recommend import Budget, Recommendation, at_multipliers, flops_of, recommend
from app.scaling.rounding import round_resolution
from app.scaling.rules import Wanted, on_curve
from tests.scaling.baselines import ARCHITECTURES, B0, OF_EVERY_FAMILY, SMALL

PUBLISHED = pytest.mark.parametrize("net", TINYNETS, ids=[net.name for net in TINYNETS])

EVERY_FAMILY = pytest.mark.parametrize("architecture", OF_EVERY_FAMILY, ids=[a.name for a in OF_EVERY_FAMILY])
LEAST = {"mnasnet_small": 0.07, "ghostnet_050": 0.1, "tinynet_e": 0.25, "mobilenetv2_035": 0.4}
"""The part of their own cost that small networks reach, their heads being fixed; others reach a twentieth."""
KEPT = Budget(px=0, depth=0, stages=False)


def tiny(target: int, **options: object) -> Recommendation:
    return recommend(B0, target, "tiny_formula", predictor=published_predictor(), **options)  # type: ignore[arg-type]


def codes(found: Recommendation) -> list[str]:
    return [warning.code for warning in found.warnings]


@PUBLISHED
def test_the_tiny_formula_gives_the_published_resolution_and_depth(net: PublishedNetwork) -> None:
    found = tiny(net.flops)

    assert found.multipliers.r == pytest.approx(net.multipliers.r, abs=0.03)
    assert found.multipliers.d == pytest.approx(net.multipliers.d, abs=0.03)


@PUBLISHED
def test_the_tiny_formula_meets_the_budget(net: PublishedNetwork) -> None:
    found = tiny(net.flops)

    assert found.budget_error == (found.cost.flops - net.flops) / net.flops
    assert abs(found.budget_error) <= 0.005
    assert codes(found) == []
    assert found.cost == families.network_cost(found.config)


@PUBLISHED
def test_the_width_of_the_published_resolution_and_depth_is_the_published_one(net: PublishedNetwork) -> None:
    wanted = Wanted(net.multipliers.r, net.multipliers.d)
    found = recommend(B0, net.flops, "manual", manual=wanted, budget=Budget(tolerance=None))

    assert (found.multipliers.r, found.multipliers.d) == (net.multipliers.r, net.multipliers.d)
    assert found.multipliers.w == pytest.approx(net.multipliers.w, abs=0.03)
    assert found.cost.flops == pytest.approx(net.flops, rel=0.02)


@PUBLISHED
def test_the_answer_says_how_sure_it_is(net: PublishedNetwork) -> None:
    found = tiny(net.flops)

    assert found.wanted.r_sd is not None and 0 < found.wanted.r_sd < 0.1
    assert found.wanted.d_sd is not None and 0 < found.wanted.d_sd < 0.2
    assert found.accuracy is not None
    assert found.accuracy[0] == pytest.approx(net.top1, abs=0.01)
    assert found.accuracy[1] > 0


def test_without_a_tolerance_the_rule_is_kept_exactly_and_a_miss_is_no_warning() -> None:
    found = tiny(100_000_000, budget=Budget(tolerance=None))

    assert B0.scaled(Multipliers(found.wanted.r, found.wanted.d, found.multipliers.w)) == found.config
    assert codes(found) == []


@pytest.mark.parametrize("target", [24_000_000, 77_000_000, 202_000_000])
def test_at_most_stays_below_the_target(target: int) -> None:
    found = tiny(target, budget=Budget(mode="at_most"))

    assert found.budget_error is not None
    assert -0.02 < found.budget_error <= 0


@pytest.mark.parametrize("target", [15_000_000, 23_000_000, 350_000_000, 450_000_000])
def test_a_target_beyond_the_data_is_called_an_extrapolation(target: int) -> None:
    assert "extrapolated" in codes(tiny(target))


def test_a_predictor_of_another_network_is_called_transferred_and_predicts_no_accuracy() -> None:
    found = tiny(100_000_000, transferred_from="efficientnet_b0")

    assert codes(found) == ["transferred"]
    assert "efficientnet_b0" in found.warnings[0].detail
    assert found.accuracy is None


def test_a_budget_that_no_width_meets_is_called_missed() -> None:
    constraints = Constraints(fixed_resolution=96)
    found = tiny(100_000_000, constraints=constraints, budget=Budget(tolerance=1e-6))

    assert found.config.resolution == 96
    assert codes(found) == ["budget_missed"]
    assert f"{abs(found.budget_error or 0):.2%}" in found.warnings[0].detail


@pytest.mark.parametrize("target", [7_000_000, 7_700_000, 9_300_000, 6_000_000_000])
def test_a_budget_within_reach_of_an_unsure_rule_is_met(target: int) -> None:
    assert abs(tiny(target).budget_error or 0) <= 0.005


def test_a_rule_that_is_unsure_lets_r_and_d_move_further_to_meet_the_budget() -> None:
    target = flops_of(SMALL) // 3
    in_step = Budget(stages=False)
    sure = recommend(SMALL, target, "manual", manual=Wanted(0.8, 1.0), budget=in_step)
    unsure = recommend(SMALL, target, "manual", manual=Wanted(0.8, 1.0, 0.2, 0.3), budget=in_step)

    assert codes(sure) == ["budget_missed"]
    assert codes(unsure) == []
    assert abs(unsure.multipliers.r - 0.8) <= 0.4
    assert abs(unsure.multipliers.d - 1.0) <= 0.6


def test_a_rule_that_is_unsure_moves_no_further_than_it_has_to() -> None:
    sure = recommend(B0, 150_000_000, "manual", manual=Wanted(0.8, 1.0))
    unsure = recommend(B0, 150_000_000, "manual", manual=Wanted(0.8, 1.0, 0.2, 0.3))

    assert unsure.config == sure.config


def test_a_budget_out_of_reach_is_refused() -> None:
    with pytest.raises(TargetOutOfRange) as refusal:
        tiny(1_000_000)
    assert refusal.value.least > 1_000_000


@pytest.mark.parametrize("target", [52_000_000, 202_000_000, 500_000_000])
def test_compound_gives_the_depth_and_resolution_of_its_phi(target: int) -> None:
    found = recommend(B0, target, "compound")
    wanted = on_curve(B0, target, "compound")

    assert found.wanted == wanted
    assert found.multipliers.d == pytest.approx(wanted.d, abs=0.05)
    assert found.config.resolution == pytest.approx(wanted.r * 224, abs=9)
    assert abs(found.budget_error or 0) <= 0.005
    assert found.accuracy is None


@pytest.mark.parametrize("architecture", (*ARCHITECTURES, *OF_EVERY_FAMILY))
def test_a_recommendations_multipliers_give_its_config(architecture: Architecture) -> None:
    target = flops_of(architecture) // 2
    found = recommend(architecture, target, "tiny_formula", predictor=published_predictor())
    in_step = recommend(architecture, target, "tiny_formula", predictor=published_predictor(), budget=KEPT)

    assert architecture.scaled(found.multipliers) == found.config
    assert (found.w_interval is None) == (found.multipliers.w_stages is not None)
    assert in_step.w_interval is not None
    assert in_step.w_interval[0] < in_step.multipliers.w < in_step.w_interval[1]


def recommended(architecture: Architecture, c: float, **options: object) -> Recommendation:
    target, predictor = round(c * flops_of(architecture)), published_predictor()
    return recommend(architecture, target, "tiny_formula", predictor=predictor, **options)  # type: ignore[arg-type]


def parts(architecture: Architecture, n: int) -> list[float]:
    return np.random.default_rng(n).uniform(LEAST.get(architecture.name, 0.05), 1, n).tolist()


@EVERY_FAMILY
def test_budgets_are_met_to_a_few_hundredths_of_a_percent(architecture: Architecture) -> None:
    found = [recommended(architecture, c) for c in parts(architecture, 200)]
    errors = np.abs([network.budget_error for network in found])  # type: ignore[arg-type]
    median, p95, p99 = np.percentile(errors, [50, 95, 99])

    assert median <= 0.0005
    assert p95 <= 0.003
    assert p99 <= 0.007


@EVERY_FAMILY
def test_the_network_is_as_near_to_the_rule_as_promised(architecture: Architecture) -> None:
    base = architecture.baseline.resolution
    for c in parts(architecture, 50):
        found = recommended(architecture, c)
        wanted, moved = found.wanted, found.moved
        assert moved is not None and wanted.r_sd is not None and wanted.d_sd is not None
        assert abs(moved.px) <= max(math.ceil(8 * base / 224), int(2 * wanted.r_sd * base))
        assert abs(moved.depth) <= max(0.05, 2 * wanted.d_sd) + 1e-9
        assert moved.px == found.config.resolution - round_resolution(base, wanted.r)
        assert moved.depth == pytest.approx(found.multipliers.d - wanted.d, abs=2e-4)


@EVERY_FAMILY
def test_at_most_is_never_above(architecture: Architecture) -> None:
    for c in parts(architecture, 51):
        error = recommended(architecture, c, budget=Budget(mode="at_most")).budget_error
        assert error is not None and error <= 0


@pytest.mark.parametrize("budget", [KEPT, Budget(tolerance=None)])
@settings(deadline=None, max_examples=60)
@given(st.sampled_from(OF_EVERY_FAMILY), st.floats(0.5, 1))
def test_a_budget_that_moves_nothing_keeps_the_rules_px_and_repeats_and_one_width(
    budget: Budget, architecture: Architecture, c: float
) -> None:
    found = recommended(architecture, c, budget=budget)

    assert found.config.resolution == round_resolution(architecture.baseline.resolution, found.wanted.r)
    assert tuple(stage.repeats for stage in found.config.stages) == architecture.repeats(found.wanted.d)
    assert found.multipliers.w_stages is None
    assert found.config == architecture.scaled(replace(found.multipliers, r=found.wanted.r, d=found.wanted.d))
    assert found.moved is not None and (found.moved.px, found.moved.depth) == (0, 0)


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(OF_EVERY_FAMILY), st.floats(0.5, 1), st.integers(0, 6), st.floats(0, 0.05), st.floats(0.0001, 0.01)
)
def test_a_budget_says_how_far_the_network_may_move(
    architecture: Architecture, c: float, px: int, depth: float, tolerance: float
) -> None:
    found = recommended(architecture, c, budget=Budget(px=px, depth=depth, tolerance=tolerance))

    assert found.moved is not None
    assert abs(found.moved.px) <= px
    assert abs(found.moved.depth) <= depth + 1e-9
    assert ("budget_missed" in codes(found)) == (abs(found.budget_error or 0) > tolerance)


@EVERY_FAMILY
@pytest.mark.parametrize("c", [1e-5, 1e6])
def test_a_target_out_of_range_is_refused_with_what_is_reachable(architecture: Architecture, c: float) -> None:
    with pytest.raises(TargetOutOfRange) as refusal:
        recommended(architecture, c, budget=Budget(px=4, depth=0.05))
    error = refusal.value

    assert 0 < error.least < error.most
    assert not error.least <= error.target <= error.most
    assert error.nearest is not None
    assert error.nearest.cost.flops == (error.least if c < 1 else error.most)


@EVERY_FAMILY
@pytest.mark.parametrize("rule", ["compound", "dwr", "fast", "width"])
def test_networks_twice_as_costly_are_met_too(architecture: Architecture, rule: str) -> None:
    found = recommend(architecture, 2 * flops_of(architecture), rule)  # type: ignore[arg-type]

    assert abs(found.budget_error or 0) <= 0.005
    assert found.warnings == []


@EVERY_FAMILY
def test_beyond_the_baseline_the_tiny_formula_is_a_guess(architecture: Architecture) -> None:
    found = recommended(architecture, 2)

    assert "extrapolated" in codes(found)
    assert abs(found.budget_error or 0) <= 0.005


def test_what_a_rule_of_one_dimension_cannot_reach_is_refused() -> None:
    with pytest.raises(TargetOutOfRange) as refusal:
        recommend(B0, 100 * flops_of(B0), "width")

    assert refusal.value.nearest is not None
    assert refusal.value.nearest.cost.flops == refusal.value.most


def test_given_multipliers_are_taken_as_they_are() -> None:
    tinynet = TINYNETS[1]
    found = at_multipliers(B0, tinynet.multipliers, target=202_000_000)

    assert found.config == families.baseline(tinynet.name).baseline
    assert found.multipliers == tinynet.multipliers
    assert found.budget_error == (found.cost.flops - 202_000_000) / 202_000_000
    assert at_multipliers(B0, tinynet.multipliers).budget_error is None


@pytest.mark.parametrize("rule", ["tiny_formula", "manual"])
def test_a_rule_without_what_it_needs_is_an_error(rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        recommend(B0, 100_000_000, rule)  # type: ignore[arg-type]
