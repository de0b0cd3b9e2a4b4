from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.scaling import families
from app.scaling.architecture import Architecture, Multipliers, ScalingRules
from app.scaling.errors import TargetOutOfRange
from app.scaling.predictor import Point, Predictor
from app.scaling.published import published_predictor
from app.scaling.recommend import Budget, flops_of, recommend
from app.scaling.rules import COMPOUND, CURVES, on_curve, tiny_formula
from tests.scaling.baselines import ARCHITECTURES, B0, SMALL

B0_CEIL = replace(B0, rules=ScalingRules(depth="ceil"))
B0_HEAD = replace(B0, rules=ScalingRules(head="scaled"))
SCANNED = (SMALL, B0, families.baseline("convnext_atto"), families.baseline("mobilenetv3_small_100"))


def flops_at(architecture: Architecture, multipliers: Multipliers) -> int:
    return families.network_cost(architecture.scaled(multipliers)).flops


@pytest.mark.parametrize(("phi", "millions"), [(-1, 247), (-2, 137), (-3, 87), (-4, 42)])
def test_literal_compound_shrinking_of_b0_costs_what_was_measured(phi: int, millions: int) -> None:
    assert flops_at(B0, COMPOUND.at(phi)) / 1e6 == pytest.approx(millions, abs=0.5)


@pytest.mark.parametrize(("phi", "millions"), [(-1, 302), (-2, 182), (-3, 111), (-4, 50)])
def test_compound_shrinking_with_depth_rounded_up_costs_what_was_measured(phi: int, millions: int) -> None:
    assert flops_at(B0_CEIL, COMPOUND.at(phi)) / 1e6 == pytest.approx(millions, abs=0.75)


@pytest.mark.parametrize(("target", "phi"), [(201e6, -1.2), (98e6, -2.5), (52e6, -3.85), (24e6, -5.4)])
def test_the_phi_of_the_papers_targets_is_the_measured_one(target: float, phi: float) -> None:
    assert on_curve(B0_HEAD, int(target), "compound").phi == pytest.approx(phi, abs=0.1)


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(ARCHITECTURES), st.floats(0.1, 8))
def test_compound_lies_on_its_curve(architecture: Architecture, ratio: float) -> None:
    found = on_curve(architecture, round(ratio * flops_of(architecture)), "compound")
    assert found.phi is not None

    assert found.r == pytest.approx(1.15**found.phi)
    assert found.d == pytest.approx(1.2**found.phi)
    assert (found.r_sd, found.d_sd) == (None, None)


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(ARCHITECTURES), st.floats(0.1, 8), st.floats(-3, 3) | st.sampled_from([-1e-9, 1e-9]))
def test_no_other_phi_comes_nearer_to_the_target(architecture: Architecture, ratio: float, off: float) -> None:
    target = round(ratio * flops_of(architecture))
    phi = on_curve(architecture, target, "compound").phi
    assert phi is not None
    miss = abs(flops_at(architecture, COMPOUND.at(phi)) - target)

    assert miss <= abs(flops_at(architecture, COMPOUND.at(phi + off)) - target)


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("architecture", SCANNED, ids=[a.name for a in SCANNED])
def test_no_t_of_a_scan_comes_nearer_to_the_target(architecture: Architecture, name: str) -> None:
    curve, px = CURVES[name], architecture.baseline.resolution
    scanned = [curve.at(t) for t in np.linspace(-4, 2, 240).tolist()]
    costs = [flops_at(architecture, m) for m in scanned if int(px * m.r) >= min(32, px // 4) and max(m.d, m.w) < 4]

    for ratio in (0.3, 0.62, 1.0, 1.9):
        target = round(ratio * flops_of(architecture))
        wanted = on_curve(architecture, target, name)
        w = math.exp(curve.w / (curve.r or curve.d or 1) * math.log(wanted.r if curve.r else wanted.d))
        if name == "width":
            assert (wanted.r, wanted.d, wanted.w) == (1, 1, None)
            continue
        miss = abs(flops_at(architecture, Multipliers(wanted.r, wanted.d, w)) - target)
        assert miss <= min(abs(cost - target) for cost in costs)
        assert wanted.w == (None if curve.w else 1.0)


def test_phi_one_is_efficientnets_first_step() -> None:
    assert COMPOUND.at(1) == Multipliers(r=1.15, d=1.2, w=1.1)
    assert COMPOUND.at(0) == Multipliers(1, 1, 1)


@settings(deadline=None)
@given(st.floats(0.05, 1.0))
def test_the_tiny_formula_is_the_predictors_mean_and_deviation(c: float) -> None:
    predictor = published_predictor()
    wanted = tiny_formula(predictor, c)

    assert (wanted.r, wanted.r_sd) == predictor.r.at(math.log(c))
    assert (wanted.d, wanted.d_sd) == predictor.d.at(math.log(c))
    assert wanted.phi is None


def test_the_tiny_formula_asks_for_no_less_than_a_network_can_have_where_the_curve_is_steep() -> None:
    steep = Predictor.fitted([Point(c, m, m, 1.0) for c, m in [(0.4, 0.02), (0.5, 0.3), (0.7, 0.9), (1.0, 1.4)]])
    assert max(steep.r.at(math.log(0.25))[0], steep.d.at(math.log(0.25))[0]) < 0.02

    wanted = tiny_formula(steep, 0.25)

    assert (wanted.r, wanted.d) == (0.02, 0.02)


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
def test_a_curve_shares_a_cost_ratio_out_as_published(rule: str, r: float, d: float, w: float) -> None:
    quarter = CURVES[rule].at(math.log(0.25))

    assert (quarter.r, quarter.d, quarter.w) == pytest.approx((0.25**r, 0.25**d, 0.25**w))


@pytest.mark.parametrize("rule", CURVES)
def test_every_rule_gives_the_baseline_back_at_its_own_cost(rule: str) -> None:
    found = recommend(B0, flops_of(B0), rule, budget=Budget(tolerance=None))

    assert found.cost.flops == pytest.approx(flops_of(B0), rel=0.01)
    assert found.config.resolution == pytest.approx(224, abs=4)
    assert [s.repeats for s in found.config.stages] == [s.repeats for s in B0.baseline.stages]


def test_a_rule_of_one_dimension_moves_in_no_other() -> None:
    half = flops_of(B0) // 2
    by_resolution = recommend(B0, half, "resolution")
    by_width = recommend(B0, half, "width")
    by_depth = recommend(B0, int(0.6 * flops_of(B0)), "depth")

    assert (by_resolution.multipliers.d, by_resolution.multipliers.w) == (1.0, 1.0)
    assert [s.channels for s in by_resolution.config.stages] == [s.channels for s in B0.baseline.stages]
    assert (by_width.multipliers.r, by_width.multipliers.d) == (1.0, 1.0)
    assert (by_depth.multipliers.r, by_depth.multipliers.w) == (1.0, 1.0)
    assert by_depth.config.resolution == 224


def test_depth_alone_cannot_shrink_b0_below_what_was_measured() -> None:
    with pytest.raises(TargetOutOfRange) as refused:
        recommend(B0, 100_000_000, "depth")

    assert refused.value.least / 1e6 == pytest.approx(173, abs=0.5)


@pytest.mark.parametrize("rule", CURVES)
def test_what_a_curve_gives_typed_back_in_is_the_same_network(rule: str) -> None:
    found = recommend(B0, 200_000_000, rule)

    assert B0.scaled(found.multipliers) == found.config
    assert families.network_cost(found.config) == found.cost
