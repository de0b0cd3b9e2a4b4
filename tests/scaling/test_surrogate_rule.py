from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from app.scaling.errors import NotEnoughObservations
from app.scaling.families import flops_of
from app.scaling.network import Architecture
from app.scaling.predictors.network_features import features_of
from app.scaling.predictors.point import BuiltPoint, Point
from app.scaling.predictors.predictor import Predictor
from app.scaling.predictors.published_tinynets import published_predictor
from app.scaling.rules.recommend import Budget, Recommendation, evaluate_multipliers, recommend
from app.scaling.search.random_sampler import Space, sample
from app.scaling.solver.constraints import Constraints
from tests.scaling.baselines import B0, OF_EVERY_FAMILY, SMALL

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
        measured = accuracy(c, m.r, m.d, saturation) + float(random.normal(0, 0.004))
        features = features_of(B0, drawn.config, drawn.cost.flops)[0]
        points.append(BuiltPoint(c, m.r, m.d, m.w, measured, features=tuple(features.tolist())))
    return Predictor.fit([Point(p.c, p.r, p.d, p.w, p.accuracy) for p in points[:20]], [*points])


def codes(found: Recommendation) -> list[str]:
    return [warning.code for warning in found.warnings]


@pytest.mark.parametrize("c", [0.1, 0.3, 0.8])
def test_rule_finds_the_optimum_at_full_budget(c: float) -> None:
    found = recommend(B0, round(c * WHOLE), "surrogate", predictor=predictor())

    assert found.multipliers.r == pytest.approx(BEST_R, abs=0.12)
    assert found.multipliers.d == pytest.approx(BEST_D, abs=0.2)
    assert abs(found.budget_error or 0) <= 0.005
    assert codes(found) == []


@pytest.mark.parametrize("rule", ["compound", "dwr", "fast", "resolution", "width"])
@pytest.mark.parametrize("c", [0.5, 0.8])
def test_no_rule_has_higher_expected_accuracy(rule: str, c: float) -> None:
    best = recommend(B0, round(c * WHOLE), "surrogate", predictor=predictor()).accuracy
    other = recommend(B0, round(c * WHOLE), rule, predictor=predictor()).accuracy  # type: ignore[arg-type]

    assert best is not None and other is not None and predictor().surrogate is not None
    assert best[0] >= other[0] - predictor().surrogate.noise_sd(best[0])  # type: ignore[union-attr]


def test_width_stays_within_the_data() -> None:
    widths = [p.w for p in predictor().surrogate.points]  # type: ignore[union-attr]
    in_place = Budget(px=0, depth=0, stages=False)
    for c in np.geomspace(0.06, 0.95, 12):
        found = recommend(B0, round(c * WHOLE), "surrogate", predictor=predictor(), budget=in_place)
        assert min(widths) - 0.06 <= found.multipliers.w <= max(widths) + 0.06  # to the nearest step of 8 channels


def test_cheaper_network_with_more_accuracy_is_recommended() -> None:
    found = recommend(B0, round(0.9 * WHOLE), "surrogate", predictor=predictor(saturation=0.3))

    assert codes(found) == ["below_budget"]
    assert 0.15 * WHOLE < found.cost.flops < 0.6 * WHOLE
    assert found.budget_error is not None and found.budget_error < -0.3


@pytest.mark.parametrize("c", [0.5, 0.7, 0.9])
def test_network_above_the_budget_is_not_called_cheaper(c: float) -> None:
    observed = [
        Point(0.237, 0.56, 1.342, 0.648, 0.979), Point(0.245, 0.686, 0.972, 0.463, 0.972),
        Point(0.267, 0.669, 0.55, 0.648, 0.972), Point(0.346, 0.541, 1.263, 1.087, 0.986),
        Point(0.465, 1.086, 0.434, 0.463, 0.965), Point(0.502, 0.864, 0.699, 0.648, 0.993),
        Point(0.762, 0.789, 1.29, 1.087, 0.993), Point(0.908, 0.892, 0.784, 1.087, 0.986),
    ]  # fmt: skip
    found = recommend(SMALL, round(c * flops_of(SMALL)), "surrogate", predictor=Predictor.fit(observed, observed))

    assert "below_budget" not in codes(found) or found.cost.flops < round(c * flops_of(SMALL))


def test_budget_below_the_optimum_is_spent() -> None:
    found = recommend(B0, round(0.2 * WHOLE), "surrogate", predictor=predictor(saturation=0.3))

    assert codes(found) == []
    assert abs(found.budget_error or 0) <= 0.005


def test_forbidden_resolutions_are_not_chosen() -> None:
    for constraints in (Constraints(fixed_resolution=128), Constraints(multiple_of=32)):
        found = recommend(B0, WHOLE // 3, "surrogate", predictor=predictor(), constraints=constraints)
        assert found.config.resolution % 32 == 0
        assert found.rule_target.r == pytest.approx(found.config.resolution / 224, abs=9 / 224)


@pytest.mark.parametrize("c", [0.045, 2.0])
def test_target_beyond_data_warns_of_guess(c: float) -> None:
    assert "extrapolated" in codes(recommend(B0, round(c * WHOLE), "surrogate", predictor=predictor()))


def test_predictor_of_another_network_is_transferred() -> None:
    found = recommend(B0, WHOLE // 3, "surrogate", predictor=predictor(), transferred_from="another")

    assert codes(found) == ["transferred"]
    assert found.accuracy is None


def test_missing_surrogate_is_explained() -> None:
    for without in (None, published_predictor()):
        with pytest.raises(NotEnoughObservations, match="8 different networks or more"):
            recommend(B0, WHOLE // 3, "surrogate", predictor=without)


@pytest.mark.parametrize("architecture", OF_EVERY_FAMILY, ids=[a.name for a in OF_EVERY_FAMILY])
def test_every_family_meets_the_budget(architecture: Architecture) -> None:
    whole = flops_of(architecture)
    space = Space(r=(0.6, 1.2), d=(0.5, 1.4), w=(0.4, 1.5), flops=(whole // 3, whole))
    drawn = [(network.cost.flops / whole, network.multipliers) for network in sample(architecture, space, 16, seed=0)]
    points = [Point(c, m.r, m.d, m.w, accuracy(c, m.r, m.d)) for c, m in drawn]
    found = recommend(architecture, whole // 2, "surrogate", predictor=Predictor.fit(points, points))

    assert abs(found.budget_error or 0) <= 0.01
    assert architecture.scale(found.multipliers) == found.config
    assert found.accuracy is not None


@pytest.mark.parametrize("rule", ["tiny_formula", "compound", "width", "surrogate"])
def test_every_rule_reports_the_surrogates_accuracy(rule: str) -> None:
    found = recommend(B0, WHOLE // 2, rule, predictor=predictor())  # type: ignore[arg-type]
    m, surrogate = found.multipliers, predictor().surrogate
    assert surrogate is not None and found.accuracy is not None

    assert found.accuracy == surrogate.predict_one(features_of(B0, found.config, found.cost.flops))
    assert found.accuracy[0] == pytest.approx(accuracy(found.cost.flops / WHOLE, m.r, m.d), abs=0.02)
    assert evaluate_multipliers(B0, m, predictor=predictor()).accuracy == found.accuracy
    assert evaluate_multipliers(B0, m, predictor=predictor(), transferred_from="another").accuracy is None


def test_without_surrogate_only_tiny_formula_predicts_accuracy() -> None:
    assert recommend(B0, WHOLE // 2, "tiny_formula", predictor=published_predictor()).accuracy is not None
    assert recommend(B0, WHOLE // 2, "compound", predictor=published_predictor()).accuracy is None
