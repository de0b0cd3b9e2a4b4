from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.scaling import families
from app.scaling.families import flops_of
from app.scaling.network import Architecture, Multipliers
from app.scaling.predictors.point import Point
from app.scaling.predictors.predictor import Predictor
from app.scaling.predictors.published_tinynets import TINYNETS, PublishedNetwork, published_predictor
from app.scaling.rounding import round_resolution
from app.scaling.rules.recommend import Budget, Recommendation, evaluate_multipliers, recommend
from app.scaling.rules.scaling_curves import RuleTarget, solve_curve
from app.scaling.solver.constraints import Constraints
from app.scaling.solver.search_work import SearchWork
from app.scaling.solver.width_solver import TargetOutOfRange
from tests.scaling.baselines import ARCHITECTURES, B0, OF_EVERY_FAMILY, SMALL
from tests.support import example_count

PUBLISHED = pytest.mark.parametrize("net", TINYNETS, ids=[net.name for net in TINYNETS])

EVERY_FAMILY = pytest.mark.parametrize("architecture", OF_EVERY_FAMILY, ids=[a.name for a in OF_EVERY_FAMILY])
MIN_RATIOS = {"mnasnet_small": 0.07, "lcnet_035": 0.15, "ghostnet_050": 0.1, "tinynet_e": 0.25, "mobilenetv2_035": 0.4}
"""The part of their own cost that small networks reach, their heads being fixed; others reach a twentieth."""
KEPT = Budget(px=0, depth=0, stages=False)


def tiny(target: int, **options: object) -> Recommendation:
    return recommend(B0, target, "tiny_formula", predictor=published_predictor(), **options)  # type: ignore[arg-type]


def codes(found: Recommendation) -> list[str]:
    return [warning.code for warning in found.warnings]


@PUBLISHED
def test_tiny_formula_reproduces_published_r_and_d(net: PublishedNetwork) -> None:
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
def test_published_r_and_d_give_published_width(net: PublishedNetwork) -> None:
    wanted = RuleTarget(net.multipliers.r, net.multipliers.d)
    found = recommend(B0, net.flops, "manual", manual=wanted, budget=Budget(tolerance=None))

    assert (found.multipliers.r, found.multipliers.d) == (net.multipliers.r, net.multipliers.d)
    assert found.multipliers.w == pytest.approx(net.multipliers.w, abs=0.03)
    assert found.cost.flops == pytest.approx(net.flops, rel=0.02)


@PUBLISHED
def test_answer_has_uncertainties(net: PublishedNetwork) -> None:
    found = tiny(net.flops)

    assert found.rule_target.r_sd is not None and 0 < found.rule_target.r_sd < 0.1
    assert found.rule_target.d_sd is not None and 0 < found.rule_target.d_sd < 0.2
    assert found.accuracy is not None
    assert found.accuracy[0] == pytest.approx(net.top1, abs=0.01)
    assert found.accuracy[1] > 0


def test_without_tolerance_the_rule_is_exact_and_unwarned() -> None:
    found = tiny(100_000_000, budget=Budget(tolerance=None))

    assert B0.scale(Multipliers(found.rule_target.r, found.rule_target.d, found.multipliers.w)) == found.config
    assert codes(found) == []


@pytest.mark.parametrize("target", [24_000_000, 77_000_000, 202_000_000])
def test_at_most_stays_below_the_target(target: int) -> None:
    found = tiny(target, budget=Budget(mode="at_most"))

    assert found.budget_error is not None
    assert -0.02 < found.budget_error <= 0


@pytest.mark.parametrize("target", [15_000_000, 23_000_000, 350_000_000, 450_000_000])
def test_target_beyond_data_warns_of_extrapolation(target: int) -> None:
    assert "extrapolated" in codes(tiny(target))


def test_transferred_predictor_warns_and_predicts_no_accuracy() -> None:
    found = tiny(100_000_000, transferred_from="efficientnet_b0")

    assert codes(found) == ["transferred"]
    assert "efficientnet_b0" in found.warnings[0].detail
    assert found.accuracy is None


@EVERY_FAMILY
def test_at_most_a_twentieth_of_the_blocks_moves_by_default(architecture: Architecture) -> None:
    blocks = sum(stage.repeats for stage in architecture.baseline.stages)
    for c in parts(architecture, 40):
        for rule in ("tiny_formula", "dwr"):
            target = round(c * flops_of(architecture))
            found = recommend(architecture, target, rule, predictor=published_predictor())  # type: ignore[arg-type]
            rule_repeats = architecture.repeats(found.rule_target.d)
            changed = [abs(s.repeats - n) for s, n in zip(found.config.stages, rule_repeats, strict=True)]
            assert sum(changed) <= blocks / 20
            assert found.displacement is not None and abs(found.displacement.blocks) == sum(changed)


def test_more_blocks_move_if_the_request_allows() -> None:
    convnext = families.baseline("convnext_tiny")
    targets = [round(c * flops_of(convnext)) for c in np.linspace(0.2, 0.4, 20)]
    found = [recommend(convnext, t, "dwr", budget=Budget(depth=0.1, px=0, stages=False)) for t in targets]

    assert any(network.displacement and network.displacement.blocks for network in found)


def test_of_px_with_equal_flops_the_largest_within_reach_is_taken() -> None:
    for rule in ("tiny_formula", "dwr", "compound", "resolution"):
        for c in np.linspace(0.2, 0.95, 30):
            found = recommend(B0, round(c * flops_of(B0)), rule, predictor=published_predictor())  # type: ignore[arg-type]
            rule_px = round_resolution(224, found.rule_target.r)
            if found.config.resolution < rule_px + max(8, int(2 * (found.rule_target.r_sd or 0) * 224)):
                larger = replace(found.config, resolution=found.config.resolution + 1)
                assert families.network_cost(larger).flops > found.cost.flops


def test_unmet_budget_warns_of_a_miss() -> None:
    constraints = Constraints(fixed_resolution=96)
    found = tiny(100_000_000, constraints=constraints, budget=Budget(tolerance=1e-6))

    assert found.config.resolution == 96
    assert codes(found) == ["moved_for_constraint", "budget_missed"]
    assert f"{abs(found.budget_error or 0):.2%}" in found.warnings[1].detail


@pytest.mark.parametrize("name", ["mobilenetv2_100", "efficientnet_b0", "mnasnet_100", "ghostnet_100", "resnet18"])
@pytest.mark.parametrize("kibibytes", [256, 320, 512])
@pytest.mark.parametrize("target", [20_000_000, 60_000_000, 200_000_000])
def test_memory_constraint_is_satisfied_at_some_px(name: str, kibibytes: int, target: int) -> None:
    constraints = Constraints(min_resolution=32, max_activation_bytes=4096 * kibibytes)
    found = recommend(
        families.baseline(name), target, "tiny_formula", predictor=published_predictor(), constraints=constraints
    )

    assert families.network_cost(found.config).peak_activation_bytes <= 4096 * kibibytes
    assert abs(found.budget_error or 0) <= 0.005


@pytest.mark.parametrize("max_params", [1_700_000, 2_000_000, 2_500_000])
def test_parameter_constraint_moves_px_and_depth_with_a_warning(max_params: int) -> None:
    found = tiny(300_000_000, constraints=Constraints(min_resolution=32, max_params=max_params))

    assert found.cost.params <= max_params
    assert abs(found.budget_error or 0) <= 0.005
    assert "moved_for_constraint" in codes(found)
    assert "max_params" in next(w.detail for w in found.warnings if w.code == "moved_for_constraint")
    assert found.displacement is not None and abs(found.displacement.px) > 8


def test_two_constraints_are_satisfied_together() -> None:
    limits = Constraints(min_resolution=32, max_params=2_000_000, max_activation_bytes=1_500_000)
    found = tiny(60_000_000, constraints=limits)

    assert found.cost.params <= 2_000_000
    assert found.cost.peak_activation_bytes <= 1_500_000
    assert abs(found.budget_error or 0) <= 0.005


def test_refusal_names_constraints_that_are_in_the_way_together() -> None:
    limits = Constraints(min_resolution=32, max_resolution=512, max_params=1_400_000, max_activation_bytes=300_000)
    with pytest.raises(TargetOutOfRange, match=r"Without .* and .* together") as refusal:
        tiny(2_000_000_000, constraints=limits)

    assert {"max_params", "max_activation_bytes"} <= set(refusal.value.constraints)
    assert refusal.value.nearest is not None
    assert refusal.value.nearest.cost.flops == refusal.value.maximum
    assert refusal.value.nearest.cost.params <= 1_400_000
    assert refusal.value.nearest.cost.peak_activation_bytes <= 300_000


@pytest.mark.parametrize("bytes_per_element", [1, 2, 4])
def test_memory_is_counted_at_the_given_bytes_per_element(bytes_per_element: int) -> None:
    limits = Constraints(
        min_resolution=32, max_activation_bytes=262_144, activation_bytes_per_element=bytes_per_element
    )
    found = tiny(50_000_000, constraints=limits)

    assert found.cost.peak_activation_bytes // 4 * bytes_per_element <= 262_144
    assert found.cost.peak_activation_bytes // 4 * bytes_per_element > 200_000


def test_forbidden_movement_is_kept_despite_constraints() -> None:
    limits = Constraints(min_resolution=32, max_activation_bytes=1_000_000)
    with pytest.raises(TargetOutOfRange) as refusal:
        tiny(100_000_000, constraints=limits, budget=KEPT)
    assert refusal.value.constraints == ["max_activation_bytes"]


def test_search_is_cut_at_its_limit_of_work() -> None:
    b7 = families.baseline("efficientnet_b7")
    exhaustive = Budget("at_most", tolerance=0.0, px=512, depth=2.0)
    options = {"predictor": published_predictor(), "budget": exhaustive}
    cut = recommend(b7, 300_000_007, "tiny_formula", work=SearchWork(5_000_000), **options)  # type: ignore[arg-type]
    again = recommend(b7, 300_000_007, "tiny_formula", work=SearchWork(5_000_000), **options)  # type: ignore[arg-type]

    assert cut.is_truncated
    assert "search_truncated" in codes(cut)
    assert cut.config == again.config
    assert not tiny(100_000_000).is_truncated


@pytest.mark.parametrize("target", [7_000_000, 7_700_000, 9_300_000, 6_000_000_000])
def test_uncertain_rule_meets_reachable_budgets(target: int) -> None:
    assert abs(tiny(target).budget_error or 0) <= 0.005


def test_uncertain_rule_enlarges_the_search_radius() -> None:
    target = flops_of(SMALL) // 3
    in_step = Budget(stages=False)
    sure = recommend(SMALL, target, "manual", manual=RuleTarget(0.8, 1.0), budget=in_step)
    unsure = recommend(SMALL, target, "manual", manual=RuleTarget(0.8, 1.0, 0.2, 0.3), budget=in_step)

    assert codes(sure) == ["budget_missed"]
    assert codes(unsure) == []
    assert abs(unsure.multipliers.r - 0.8) <= 0.4
    assert abs(unsure.multipliers.d - 1.0) <= 0.6


def test_uncertain_rule_moves_as_little_as_necessary() -> None:
    sure = recommend(B0, 150_000_000, "manual", manual=RuleTarget(0.8, 1.0))
    unsure = recommend(B0, 150_000_000, "manual", manual=RuleTarget(0.8, 1.0, 0.2, 0.3))

    assert unsure.config == sure.config


def test_unreachable_budget_is_refused() -> None:
    with pytest.raises(TargetOutOfRange) as refusal:
        tiny(1_000_000)
    assert refusal.value.minimum > 1_000_000


@pytest.mark.parametrize("target", [52_000_000, 202_000_000, 500_000_000])
def test_compound_r_and_d_follow_phi(target: int) -> None:
    found = recommend(B0, target, "compound")
    wanted = solve_curve(B0, target, "compound")

    assert found.rule_target == wanted
    assert found.multipliers.d == pytest.approx(wanted.d, abs=0.05)
    assert found.config.resolution == pytest.approx(wanted.r * 224, abs=9)
    assert abs(found.budget_error or 0) <= 0.005
    assert found.accuracy is None


@pytest.mark.parametrize("architecture", (*ARCHITECTURES, *OF_EVERY_FAMILY))
def test_a_recommendations_multipliers_give_its_config(architecture: Architecture) -> None:
    target = flops_of(architecture) // 2
    found = recommend(architecture, target, "tiny_formula", predictor=published_predictor())
    in_step = recommend(architecture, target, "tiny_formula", predictor=published_predictor(), budget=KEPT)

    assert architecture.scale(found.multipliers) == found.config
    assert (found.w_interval is None) == (found.multipliers.w_stages is not None)
    assert in_step.w_interval is not None
    assert in_step.w_interval[0] < in_step.multipliers.w < in_step.w_interval[1]


def recommended(architecture: Architecture, c: float, **options: object) -> Recommendation:
    target, predictor = round(c * flops_of(architecture)), published_predictor()
    return recommend(architecture, target, "tiny_formula", predictor=predictor, **options)  # type: ignore[arg-type]


def parts(architecture: Architecture, n: int) -> list[float]:
    return np.random.default_rng(n).uniform(MIN_RATIOS.get(architecture.name, 0.05), 1, n).tolist()


@EVERY_FAMILY
def test_budgets_are_met_closely(architecture: Architecture) -> None:
    found = [recommended(architecture, c) for c in parts(architecture, 200)]
    errors = np.abs([network.budget_error for network in found])  # type: ignore[arg-type]
    median, p95, p99 = np.percentile(errors, [50, 95, 99])

    assert median <= 0.0005
    assert p95 <= 0.003
    assert p99 <= 0.007


@EVERY_FAMILY
def test_network_is_within_the_search_radius(architecture: Architecture) -> None:
    base = architecture.baseline.resolution
    for c in parts(architecture, 50):
        found = recommended(architecture, c)
        wanted, displacement = found.rule_target, found.displacement
        assert displacement is not None and wanted.r_sd is not None and wanted.d_sd is not None
        assert abs(displacement.px) <= max(math.ceil(8 * base / 224), int(2 * wanted.r_sd * base))
        assert abs(displacement.depth) <= max(0.05, 2 * wanted.d_sd) + 1e-9
        start = replace(found.config, resolution=found.config.resolution - displacement.px)
        rule_px = round_resolution(base, wanted.r)
        assert start.resolution >= rule_px
        assert families.network_cost(start).flops == families.network_cost(replace(start, resolution=rule_px)).flops
        assert displacement.depth == pytest.approx(found.multipliers.d - wanted.d, abs=1.1e-3)  # d has three decimals


@EVERY_FAMILY
def test_at_most_never_exceeds_any_target(architecture: Architecture) -> None:
    for c in parts(architecture, 51):
        error = recommended(architecture, c, budget=Budget(mode="at_most")).budget_error
        assert error is not None and error <= 0


@pytest.mark.parametrize("budget", [KEPT, Budget(tolerance=None)])
@settings(max_examples=example_count(60))
@given(st.sampled_from(OF_EVERY_FAMILY), st.floats(0.5, 1))
def test_zero_radius_keeps_px_repeats_and_one_width(budget: Budget, architecture: Architecture, c: float) -> None:
    found = recommended(architecture, c, budget=budget)

    assert found.config.resolution == round_resolution(architecture.baseline.resolution, found.rule_target.r)
    assert tuple(stage.repeats for stage in found.config.stages) == architecture.repeats(found.rule_target.d)
    assert found.multipliers.w_stages is None
    assert found.config == architecture.scale(replace(found.multipliers, r=found.rule_target.r, d=found.rule_target.d))
    assert found.displacement is not None and (found.displacement.px, found.displacement.depth) == (0, 0)


@settings(max_examples=example_count(60))
@given(
    st.sampled_from(OF_EVERY_FAMILY), st.floats(0.5, 1), st.integers(0, 6), st.floats(0, 0.05), st.floats(0.0001, 0.01)
)
def test_budget_limits_the_displacement(
    architecture: Architecture, c: float, px: int, depth: float, tolerance: float
) -> None:
    found = recommended(architecture, c, budget=Budget(px=px, depth=depth, tolerance=tolerance))

    assert found.displacement is not None
    assert abs(found.displacement.px) <= px
    assert abs(found.displacement.depth) <= depth + 1e-9
    assert ("budget_missed" in codes(found)) == (abs(found.budget_error or 0) > tolerance)


@EVERY_FAMILY
@pytest.mark.parametrize("c", [1e-5, 1e6])
def test_out_of_range_target_reports_reachable_flops(architecture: Architecture, c: float) -> None:
    with pytest.raises(TargetOutOfRange) as refusal:
        recommended(architecture, c, budget=Budget(px=4, depth=0.05))
    error = refusal.value

    assert 0 < error.minimum < error.maximum
    assert not error.minimum <= error.target <= error.maximum
    assert error.nearest is not None
    assert error.nearest.cost.flops == (error.minimum if c < 1 else error.maximum)


@EVERY_FAMILY
@pytest.mark.parametrize("rule", ["compound", "dwr", "fast", "width"])
def test_networks_twice_as_costly_are_met_too(architecture: Architecture, rule: str) -> None:
    found = recommend(architecture, 2 * flops_of(architecture), rule)  # type: ignore[arg-type]

    assert abs(found.budget_error or 0) <= 0.005
    assert set(codes(found)) <= {"off_curve"}


@EVERY_FAMILY
def test_tiny_formula_beyond_baseline_warns_of_extrapolation(architecture: Architecture) -> None:
    found = recommended(architecture, 2)

    assert "extrapolated" in codes(found)
    assert abs(found.budget_error or 0) <= 0.005


def test_unreachable_target_of_single_dimension_is_refused() -> None:
    with pytest.raises(TargetOutOfRange) as refusal:
        recommend(B0, 100 * flops_of(B0), "width")

    assert refusal.value.nearest is not None
    assert refusal.value.nearest.cost.flops == refusal.value.maximum


def test_given_multipliers_are_not_changed() -> None:
    tinynet = TINYNETS[1]
    found = evaluate_multipliers(B0, tinynet.multipliers, target=202_000_000)

    assert found.config == families.baseline(tinynet.name).baseline
    assert found.multipliers == tinynet.multipliers
    assert found.budget_error == (found.cost.flops - 202_000_000) / 202_000_000
    assert evaluate_multipliers(B0, tinynet.multipliers).budget_error is None


@pytest.mark.parametrize("rule", ["tiny_formula", "manual"])
def test_rule_without_its_inputs_raises(rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        recommend(B0, 100_000_000, rule)  # type: ignore[arg-type]


def test_cheaper_observed_network_beyond_expectation_warns() -> None:
    costs = (0.1, 0.2, 0.3, 0.4, 0.6)
    usual = [Point(c, c**0.2, c**0.3, 0.8, 0.7 + 0.02 * i) for i, c in enumerate(costs)]
    lucky = Point(0.25, 0.75, 0.66, 0.9, 0.95)
    target = flops_of(B0) // 2

    assert codes(recommend(B0, target, "tiny_formula", predictor=Predictor.fit(usual))) == []
    found = recommend(B0, target, "tiny_formula", predictor=Predictor.fit([*usual, lucky]))
    assert codes(found) == ["better_observed"]
    assert f"{round(0.25 * flops_of(B0)):,} multiply-adds (r 0.75, d 0.66, w 0.9)" in found.warnings[0].detail
    assert "95.0%" in found.warnings[0].detail


def test_costlier_observed_network_is_no_reason_to_warn() -> None:
    points = [Point(c, c**0.2, c**0.3, 0.8, 0.7 + 0.02 * i) for i, c in enumerate((0.1, 0.2, 0.3, 0.4, 0.6))]
    predictor = Predictor.fit([*points, Point(0.9, 0.98, 0.97, 0.8, 0.99)])

    assert codes(recommend(B0, flops_of(B0) // 4, "tiny_formula", predictor=predictor)) == []
