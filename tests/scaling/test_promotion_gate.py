from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from app.scaling.predictors.point import Point
from app.scaling.predictors.predictor import Predictor
from app.scaling.predictors.promotion_gate import Decision, Gate, decide
from app.scaling.predictors.regression import Regression


def front(n: int, noise: float = 0.01, seed: int = 0, least: float = 0.05) -> list[Point]:
    """Return networks on a line over log c, with noise."""
    random = np.random.default_rng(seed)
    return [
        Point(float(c), float(0.9 + 0.15 * np.log(c) + e), float(1.1 + 0.2 * np.log(c) + f), 0.7, 0.6)
        for c, e, f in zip(
            np.geomspace(least, 1, n), random.normal(0, noise, n), random.normal(0, noise, n), strict=True
        )
    ]


def overconfident() -> Predictor:
    """Return curves whose bands miss most networks, as a cheat or a bug would give them."""
    found = Predictor.fit(front(20, noise=0.05, seed=2))
    exact = Regression.fit("r", found.r.x, found.r.y, is_exact=True)
    return replace(found, r=replace(exact, min_sd=1e-9))


def noise(n: int, seed: int, accuracies: str) -> list[Point]:
    """Return networks whose r and d have nothing to do with their cost, and their accuracy perhaps neither."""
    random = np.random.default_rng(seed)
    c = np.exp(random.uniform(np.log(0.05), 0, n))
    accuracy = {"none": [None] * n, "rising": 0.79 + 0.04 * np.log(c), "noise": random.uniform(0.2, 0.8, n)}[accuracies]
    drawn = zip(c, random.uniform(0.4, 1.2, n), random.uniform(0.4, 1.2, n), accuracy, strict=True)
    return [Point(float(c), float(r), float(d), 0.7, None if a is None else float(a)) for c, r, d, a in drawn]


def mistaken() -> list[Point]:
    """Return networks on the same line, with much noise."""
    return front(20, noise=0.15, seed=2)


def named(decision: Decision) -> dict[str, bool]:
    return {check.name: check.passed for check in decision.checks}


def test_first_predictor_with_enough_networks_is_promoted() -> None:
    decision = decide(Predictor.fit(front(12)), None)

    assert decision.promoted
    assert decision.reason.startswith("Passed: 12 networks of different costs")


def test_too_few_networks_are_not_enough() -> None:
    decision = decide(Predictor.fit(front(5)), None)

    assert named(decision)["points"] is False
    assert decision.reason == "Not passed: 5 networks of different costs, 6 required."
    assert decide(Predictor.fit(front(5)), None, Gate(min_points=5)).promoted


def test_networks_of_one_cost_count_once() -> None:
    points = front(5)

    assert not decide(Predictor.fit([*points, *(replace(p, r=p.r + 0.01) for p in points)]), None).promoted


def test_worse_prediction_of_new_networks_is_not_promoted() -> None:
    active, worse = Predictor.fit(front(20, seed=1)), Predictor.fit(mistaken())

    decision = decide(worse, active)

    assert named(decision)["error"] is False
    assert "error" not in named(decide(worse, None)), "alone it is the best there is"


def test_worse_active_predictor_is_replaced() -> None:
    elsewhere = Predictor.fit([replace(p, r=1.4 - 0.5 * p.r) for p in front(12, seed=1)])

    assert decide(Predictor.fit(front(12, seed=2)), elsewhere).promoted


def test_without_a_new_network_nothing_changes() -> None:
    points = front(12)

    decision = decide(Predictor.fit(points), Predictor.fit(points))

    assert not decision.promoted
    assert "nothing new" in decision.reason


def test_bands_that_miss_most_networks_are_not_promoted() -> None:
    assert named(decide(overconfident(), None))["coverage"] is False


@pytest.mark.parametrize("accuracies", ["none", "rising", "noise"])
@pytest.mark.parametrize("n", [6, 10, 20, 40])
def test_pure_noise_is_hardly_ever_promoted(n: int, accuracies: str) -> None:
    promoted = [decide(Predictor.fit(noise(n, seed, accuracies)), None).promoted for seed in range(25)]

    assert sum(promoted) <= 2


def test_a_true_curve_with_the_recorded_noise_is_promoted() -> None:
    random = np.random.default_rng(0)
    promoted = 0
    for _ in range(40):
        c = np.exp(random.uniform(np.log(0.06), 0, 20))
        r, d = (np.maximum(of + random.normal(0, sd, 20), 0.1) for of, sd in ((0.95 * c**0.2, 0.16), (c**0.33, 0.136)))
        accuracy = 0.79 + 0.04 * np.log(c) + random.normal(0, 0.012, 20)
        points = [Point(*map(float, values)) for values in zip(c, r, d, c, accuracy, strict=True)]
        promoted += decide(Predictor.fit(points), None).promoted

    assert promoted >= 36


def test_a_curve_without_skill_is_named_and_stays_on_that_of_dwr() -> None:
    random = np.random.default_rng(1)
    predictor = Predictor.fit([replace(p, d=float(random.uniform(0.4, 0.8))) for p in front(20)])
    decision = decide(predictor, None)

    assert decision.promoted
    assert "no skill" in decision.reason.split("d ", 2)[-1]
    assert (predictor.has_skill("r"), predictor.has_skill("d")) == (True, False)
    assert predictor.multiplier("d", float(np.log(0.2))) == (pytest.approx(0.2 ** (1 / 3)), None)


def test_an_accuracy_that_is_noise_over_all_networks_is_not_promoted() -> None:
    """On a front, accuracy rises with cost even if it is pure noise."""
    random = np.random.default_rng(2)
    every = [replace(p, accuracy=float(a)) for p, a in zip(front(60), random.uniform(0.2, 0.8, 60), strict=True)]
    best, selected = 0.0, []
    for point in every:
        if point.accuracy is not None and point.accuracy > best:
            best, selected = point.accuracy, [*selected, point]
    decision = decide(Predictor.fit(selected, every), None, Gate(min_points=3))

    assert named(decision)["skill"] is False


@pytest.mark.parametrize("max_error", [1.0, 1e9])
def test_the_gate_is_settable(max_error: float) -> None:
    active = Predictor.fit(front(20, seed=1))

    assert named(decide(Predictor.fit(mistaken()), active, Gate(max_error=max_error)))["error"] is (max_error > 1)
