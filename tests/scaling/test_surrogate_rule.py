from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from app.scaling.architecture import Architecture
from app.scaling.constraints import Constraints
from app.scaling.errors import NotEnoughObservations
from app.scaling.point import Point
from app.scaling.predictor import Predictor
from app.scaling.published import published_predictor
from app.scaling.recommend import Budget, Recommendation, at_multipliers, flops_of, recommend
from app.scaling.sampling import Space, sample
from tests.scaling.baselines import B0, OF_EVERY_FAMILY

WHOLE = flops_of(B0)
SPACE = Space(r=(0.5, 1.2), d=(0.5, 1.4), w=(0.3, 1.5), flops=(WHOLE // 20, WHOLE))
BEST_R, BEST_D = 0.8, 0.9


def accuracy(c: float, r: float, d: float, saturation: float = 0.0) -> float:
    """Best at one r and d; past the cost of `saturation` it falls again."""
    falling = 0.1 * max(0.0, np.log(c / saturation)) if saturation else 0.0
    return float(0.8 - 0.05 * c**-0.3 - 0.4 * (r - BEST_R) ** 2 - 0.2 * (d - BEST_D) ** 2 - falling)


@lru_cache(maxsize=4)
def predictor(saturation: float = 0.0) -> Predictor:
    random = np.random.default_rng(0)
    points = []
    for drawn in sample(B0, SPACE, 80, seed=0):
        c, m = drawn.cost.flops / WHOLE, drawn.multipliers
        points.append(Point(c, m.r, m.d, m.w, accuracy(c, m.r, m.d, saturation) + float(random.normal(0, 0.004))))
    return Predictor.fitted(points[:20], points)


def codes(found: Recommendation) -> list[str]:
    return [warning.code for warning in found.warnings]


@pytest.mark.parametrize("c", [0.1, 0.3, 0.8])
def test_the_rule_finds_the_best_resolution_and_depth_and_spends_the_budget(c: float) -> None:
    found = recommend(B0, round(c * WHOLE), "surrogate", predictor=predictor())

    assert found.multipliers.r == pytest.approx(BEST_R, abs=0.12)
    assert found.multipliers.d == pytest.approx(BEST_D, abs=0.2)
    assert abs(found.budget_error or 0) <= 0.005
    assert codes(found) == []


@pytest.mark.parametrize("rule", ["compound", "dwr", "fast", "resolution", "width"])
@pytest.mark.parametrize("c", [0.5, 0.8])
def test_no_other_rule_is_expected_to_reach_more(rule: str, c: float) -> None:
    best = recommend(B0, round(c * WHOLE), "surrogate", predictor=predictor()).accuracy
    other = recommend(B0, round(c * WHOLE), rule, predictor=predictor()).accuracy  # type: ignore[arg-type]

    assert best is not None and other is not None and predictor().surrogate is not None
    assert best[0] >= other[0] - predictor().surrogate.noise_sd(best[0])  # type: ignore[union-attr]


def test_the_width_stays_within_that_of_the_data() -> None:
    widths = [p.w for p in predictor().surrogate.points]  # type: ignore[union-attr]
    in_place = Budget(px=0, depth=0, stages=False)
    for c in np.geomspace(0.06, 0.95, 12):
        found = recommend(B0, round(c * WHOLE), "surrogate", predictor=predictor(), budget=in_place)
        assert min(widths) - 0.06 <= found.multipliers.w <= max(widths) + 0.06  # to the nearest step of 8 channels


def test_where_more_is_expected_of_a_cheaper_network_it_is_taken_and_said() -> None:
    found = recommend(B0, round(0.9 * WHOLE), "surrogate", predictor=predictor(saturation=0.3))

    assert codes(found) == ["below_budget"]
    assert 0.15 * WHOLE < found.cost.flops < 0.6 * WHOLE
    assert found.budget_error is not None and found.budget_error < -0.3


def test_a_budget_below_the_best_is_spent() -> None:
    found = recommend(B0, round(0.2 * WHOLE), "surrogate", predictor=predictor(saturation=0.3))

    assert codes(found) == []
    assert abs(found.budget_error or 0) <= 0.005


def test_resolutions_that_are_not_allowed_are_not_chosen() -> None:
    for constraints in (Constraints(fixed_resolution=128), Constraints(multiple_of=32)):
        found = recommend(B0, WHOLE // 3, "surrogate", predictor=predictor(), constraints=constraints)
        assert found.config.resolution % 32 == 0
        assert found.wanted.r == pytest.approx(found.config.resolution / 224, abs=9 / 224)


@pytest.mark.parametrize("c", [0.045, 2.0])
def test_beyond_the_data_it_is_a_guess(c: float) -> None:
    assert "extrapolated" in codes(recommend(B0, round(c * WHOLE), "surrogate", predictor=predictor()))


def test_of_another_network_it_is_transferred() -> None:
    found = recommend(B0, WHOLE // 3, "surrogate", predictor=predictor(), transferred_from="another")

    assert codes(found) == ["transferred"]
    assert found.accuracy is None


def test_without_a_surrogate_the_rule_says_what_it_takes() -> None:
    for without in (None, published_predictor()):
        with pytest.raises(NotEnoughObservations, match="8 different networks or more"):
            recommend(B0, WHOLE // 3, "surrogate", predictor=without)


@pytest.mark.parametrize("architecture", OF_EVERY_FAMILY, ids=[a.name for a in OF_EVERY_FAMILY])
def test_a_network_of_every_family_is_found_near_the_budget(architecture: Architecture) -> None:
    whole = flops_of(architecture)
    space = Space(r=(0.6, 1.2), d=(0.5, 1.4), w=(0.4, 1.5), flops=(whole // 3, whole))
    drawn = [(network.cost.flops / whole, network.multipliers) for network in sample(architecture, space, 16, seed=0)]
    points = [Point(c, m.r, m.d, m.w, accuracy(c, m.r, m.d)) for c, m in drawn]
    found = recommend(architecture, whole // 2, "surrogate", predictor=Predictor.fitted(points, points))

    assert abs(found.budget_error or 0) <= 0.01
    assert architecture.scaled(found.multipliers) == found.config
    assert found.accuracy is not None


@pytest.mark.parametrize("rule", ["tiny_formula", "compound", "width", "surrogate"])
def test_every_rules_network_has_the_accuracy_that_the_surrogate_expects_of_it(rule: str) -> None:
    found = recommend(B0, WHOLE // 2, rule, predictor=predictor())  # type: ignore[arg-type]
    m, surrogate = found.multipliers, predictor().surrogate
    assert surrogate is not None and found.accuracy is not None

    assert found.accuracy == surrogate.at(found.cost.flops / WHOLE, m.r, m.d)
    assert found.accuracy[0] == pytest.approx(accuracy(found.cost.flops / WHOLE, m.r, m.d), abs=0.02)
    assert at_multipliers(B0, m, predictor=predictor()).accuracy == found.accuracy
    assert at_multipliers(B0, m, predictor=predictor(), transferred_from="another").accuracy is None


def test_a_predictor_without_a_surrogate_knows_the_accuracy_of_the_tiny_formula_alone() -> None:
    assert recommend(B0, WHOLE // 2, "tiny_formula", predictor=published_predictor()).accuracy is not None
    assert recommend(B0, WHOLE // 2, "compound", predictor=published_predictor()).accuracy is None
