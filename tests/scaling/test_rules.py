from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.scaling import families
from app.scaling.families import flops_of
from app.scaling.network import Architecture, Multipliers, ScalingRules
from app.scaling.predictors.predictor import Point, Predictor
from app.scaling.predictors.published_tinynets import published_predictor
from app.scaling.rules.names import SOLVED_RULES, SolvedRule
from app.scaling.rules.recommend import Budget, recommend
from app.scaling.rules.scaling_curves import COMPOUND, CURVES, solve_curve, tiny_formula
from app.scaling.solver.constraints import Constraints
from app.scaling.solver.width_solver import TargetOutOfRange
from tests.scaling.baselines import ARCHITECTURES, B0, SMALL
from tests.support import example_count

B0_CEIL = replace(B0, rules=ScalingRules(depth="ceil"))
B0_HEAD = replace(B0, rules=ScalingRules(head="scaled"))
SCANNED = (SMALL, B0, families.baseline("convnext_atto"), families.baseline("mobilenetv3_small_100"))


def flops_at(architecture: Architecture, multipliers: Multipliers) -> int:
    return families.network_cost(architecture.scale(multipliers)).flops


@pytest.mark.parametrize(("phi", "millions"), [(-1, 247), (-2, 137), (-3, 87), (-4, 42)])
def test_compound_b0_matches_measured_cost(phi: int, millions: int) -> None:
    assert flops_at(B0, COMPOUND.at(phi)) / 1e6 == pytest.approx(millions, abs=0.5)


@pytest.mark.parametrize(("phi", "millions"), [(-1, 302), (-2, 182), (-3, 111), (-4, 50)])
def test_compound_with_depth_rounded_up_matches_measured_cost(phi: int, millions: int) -> None:
    assert flops_at(B0_CEIL, COMPOUND.at(phi)) / 1e6 == pytest.approx(millions, abs=0.75)


@pytest.mark.parametrize(("target", "phi"), [(201e6, -1.2), (98e6, -2.5), (52e6, -3.85), (24e6, -5.4)])
def test_phi_of_paper_targets_matches_measurement(target: float, phi: float) -> None:
    assert solve_curve(B0_HEAD, int(target), "compound").phi == pytest.approx(phi, abs=0.1)


@settings(max_examples=example_count(30))
@given(st.sampled_from(ARCHITECTURES), st.floats(0.1, 8))
def test_compound_multipliers_lie_on_the_curve(architecture: Architecture, ratio: float) -> None:
    found = solve_curve(architecture, round(ratio * flops_of(architecture)), "compound")
    assert found.phi is not None

    assert found.r == pytest.approx(1.15**found.phi)
    assert found.d == pytest.approx(1.2**found.phi)
    assert (found.r_sd, found.d_sd) == (None, None)


@settings(max_examples=example_count(30))
@given(st.sampled_from(ARCHITECTURES), st.floats(0.1, 8), st.floats(-3, 3) | st.sampled_from([-1e-9, 1e-9]))
def test_no_other_phi_is_nearer(architecture: Architecture, ratio: float, off: float) -> None:
    target = round(ratio * flops_of(architecture))
    phi = solve_curve(architecture, target, "compound").phi
    assert phi is not None
    miss = abs(flops_at(architecture, COMPOUND.at(phi)) - target)

    assert miss <= abs(flops_at(architecture, COMPOUND.at(phi + off)) - target)


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("architecture", SCANNED, ids=[a.name for a in SCANNED])
def test_no_scanned_t_is_nearer_to_the_target(architecture: Architecture, name: str) -> None:
    curve, px = CURVES[name], architecture.baseline.resolution
    scanned = [curve.at(t) for t in np.linspace(-4, 2, 240).tolist()]
    costs = [flops_at(architecture, m) for m in scanned if int(px * m.r) >= min(32, px // 4) and max(m.d, m.w) < 4]

    for ratio in (0.3, 0.62, 1.0, 1.9):
        target = round(ratio * flops_of(architecture))
        wanted = solve_curve(architecture, target, name)
        w = math.exp(curve.w / (curve.r or curve.d or 1) * math.log(wanted.r if curve.r else wanted.d))
        if name == "width":
            assert (wanted.r, wanted.d, wanted.w) == (1, 1, None)
            continue
        px_kept = math.floor(px * wanted.r + 1e-9) / px + 1e-9
        miss = abs(flops_at(architecture, Multipliers(px_kept, wanted.d, w)) - target)
        assert miss <= min(abs(cost - target) for cost in costs)
        assert wanted.w == (None if curve.w else 1.0)


def test_phi_one_is_efficientnets_first_step() -> None:
    assert COMPOUND.at(1) == Multipliers(r=1.15, d=1.2, w=1.1)
    assert COMPOUND.at(0) == Multipliers(1, 1, 1)


@given(st.floats(0.05, 1.0))
def test_tiny_formula_is_predictors_mean_and_sd(c: float) -> None:
    predictor, target = published_predictor(), round(c * flops_of(B0))
    wanted = tiny_formula(predictor, B0, target)

    assert (wanted.r, wanted.r_sd) == predictor.r.predict_one(math.log(target / flops_of(B0)))
    assert (wanted.d, wanted.d_sd) == predictor.d.predict_one(math.log(target / flops_of(B0)))
    assert wanted.phi is None


def test_tiny_formula_is_clipped_to_the_minimum_multipliers() -> None:
    points = [Point(c, m, m, 1.0) for c, m in [(0.4, 0.02), (0.5, 0.022), (0.7, 0.025), (1.0, 0.03)]]
    small = Predictor.fit(points, are_exact=True)
    assert max(small.r.predict_one(math.log(0.02))[0], small.d.predict_one(math.log(0.02))[0]) < 0.02

    wanted = tiny_formula(small, B0, flops_of(B0) // 50)

    assert (wanted.r, wanted.d) == (0.02, 0.02)


def test_curve_without_skill_is_that_of_dwr_at_the_exact_cost() -> None:
    noise = np.random.default_rng(1).uniform(0.4, 0.8, 20).tolist()
    costs = np.geomspace(0.05, 1, 20).tolist()
    predictor = Predictor.fit([Point(c, c ** (1 / 4), d, 1.0) for c, d in zip(costs, noise, strict=True)])
    assert (predictor.has_skill("r"), predictor.has_skill("d")) == (True, False)

    for architecture in SCANNED:
        target = flops_of(architecture) // 5
        wanted = tiny_formula(predictor, architecture, target)

        assert (wanted.d, wanted.d_sd) == (solve_curve(architecture, target, "dwr").d, None)
        assert wanted.r == pytest.approx(0.2**0.25, rel=0.01)


@pytest.mark.parametrize(
    ("rule", "r", "d", "w"),
    [
        ("dwr", 1 / 6, 1 / 3, 1 / 6),
        ("fast", 0.05, 0.1, 0.4),
        ("resolution", 0.5, 0, 0),
        ("depth", 0, 1, 0),
        ("width", 0, 0, 0.5),
    ],
)
def test_curve_splits_cost_ratio_as_published(rule: str, r: float, d: float, w: float) -> None:
    quarter = CURVES[rule].at(math.log(0.25))

    assert (quarter.r, quarter.d, quarter.w) == pytest.approx((0.25**r, 0.25**d, 0.25**w))


@lru_cache(maxsize=1)
def fitted_predictor() -> Predictor:
    """A predictor with a surrogate; its networks are worse than any baseline is expected to be."""
    costs = np.geomspace(0.1, 0.9, 12).tolist()
    points = [Point(c, c ** (1 / 5), 0.9 * c ** (1 / 4), c**0.3, 0.7 + 0.1 * math.log(c)) for c in costs]
    return Predictor.fit(points, points)


@pytest.mark.parametrize("budget", [Budget(), Budget(tolerance=None), Budget(mode="at_most")])
@pytest.mark.parametrize("rule", SOLVED_RULES)
def test_every_rule_returns_every_baseline_at_its_cost(rule: SolvedRule, budget: Budget) -> None:
    for predictor in (published_predictor(), fitted_predictor()) if rule == "tiny_formula" else (fitted_predictor(),):
        for baseline in families.baselines().values():
            found = recommend(baseline, flops_of(baseline), rule, predictor=predictor, budget=budget)

            assert found.config == baseline.baseline
            assert found.multipliers == Multipliers(1, 1, 1)
            assert found.displacement is not None
            assert (found.displacement.px, found.displacement.depth, found.displacement.blocks) == (0, 0, 0)
            assert found.warnings == []


def test_constraint_that_excludes_the_baseline_leaves_the_rule_to_answer() -> None:
    constraints = Constraints(multiple_of=32, max_resolution=192)
    found = recommend(B0, flops_of(B0), "tiny_formula", predictor=published_predictor(), constraints=constraints)

    assert found.config.resolution == 192
    assert found.rule_target.r_sd is not None


@pytest.mark.parametrize("rule", ["compound", "dwr", "fast"])
@pytest.mark.parametrize("architecture", SCANNED, ids=[a.name for a in SCANNED])
def test_curve_keeps_its_width_within_one_step_or_says_so(architecture: Architecture, rule: str) -> None:
    for ratio in np.linspace(0.1, 0.95, 18).tolist():
        found = recommend(architecture, round(ratio * flops_of(architecture)), rule)
        assert found.displacement is not None and found.displacement.w is not None
        w = found.multipliers.w - found.displacement.w
        on_curve = architecture.scale(replace(found.multipliers, w=w, w_stages=None))
        divisor = architecture.rules.divisor

        steps = [
            abs(stage.channels - own.channels) / divisor
            for stage, own in zip(found.config.stages, on_curve.stages, strict=True)
        ]
        is_off = "off_curve" in [warning.code for warning in found.warnings]
        assert is_off or max(steps) <= 1


def test_off_curve_answer_names_both_widths() -> None:
    found = recommend(families.baseline("resnet18"), round(0.52 * flops_of(families.baseline("resnet18"))), "dwr")

    assert [warning.code for warning in found.warnings] == ["off_curve"]
    assert found.displacement is not None and found.displacement.w is not None
    for w in (found.multipliers.w, found.multipliers.w - found.displacement.w):
        assert f"{w:.3f}" in found.warnings[0].detail


def test_single_dimension_rule_fixes_the_others() -> None:
    half = flops_of(B0) // 2
    by_resolution = recommend(B0, half, "resolution")
    by_width = recommend(B0, half, "width")
    by_depth = recommend(B0, int(0.6 * flops_of(B0)), "depth")

    assert (by_resolution.multipliers.d, by_resolution.multipliers.w) == (1.0, 1.0)
    assert [s.channels for s in by_resolution.config.stages] == [s.channels for s in B0.baseline.stages]
    assert (by_width.multipliers.r, by_width.multipliers.d) == (1.0, 1.0)
    assert (by_depth.multipliers.r, by_depth.multipliers.w) == (1.0, 1.0)
    assert by_depth.config.resolution == 224


def test_depth_alone_cannot_shrink_b0_further() -> None:
    with pytest.raises(TargetOutOfRange) as refused:
        recommend(B0, 100_000_000, "depth")

    assert refused.value.minimum / 1e6 == pytest.approx(173, abs=0.5)


@pytest.mark.parametrize("rule", CURVES)
def test_multipliers_of_an_answer_reproduce_the_network(rule: str) -> None:
    found = recommend(B0, 200_000_000, rule)

    assert B0.scale(found.multipliers) == found.config
    assert families.network_cost(found.config) == found.cost
