from __future__ import annotations

import pytest

from app.scaling import families
from app.scaling.architecture import Multipliers
from app.scaling.errors import TargetOutOfRange
from app.scaling.published import TINYNETS, PublishedNetwork, published_predictor
from app.scaling.recommend import Budget, Recommendation, at_multipliers, flops_of, recommend
from app.scaling.rules import Wanted, on_curve
from app.scaling.width_solver import Constraints
from tests.scaling.baselines import ARCHITECTURES, B0, SMALL

PUBLISHED = pytest.mark.parametrize("net", TINYNETS, ids=[net.name for net in TINYNETS])


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
    sure = recommend(SMALL, target, "manual", manual=Wanted(0.8, 1.0))
    unsure = recommend(SMALL, target, "manual", manual=Wanted(0.8, 1.0, 0.2, 0.3))

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


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_recommendations_multipliers_give_its_config(architecture: object) -> None:
    target = flops_of(architecture) // 2  # type: ignore[arg-type]
    found = recommend(architecture, target, "tiny_formula", predictor=published_predictor())  # type: ignore[arg-type]

    assert architecture.scaled(found.multipliers) == found.config  # type: ignore[attr-defined]
    assert found.w_interval is not None
    assert found.w_interval[0] < found.multipliers.w < found.w_interval[1]


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
