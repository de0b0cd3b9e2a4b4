from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from app.scaling.gate import Decision, Gate, decide
from app.scaling.point import Point
from app.scaling.predictor import Hyperparameters, Predictor


def front(n: int, noise: float = 0.01, seed: int = 0, least: float = 0.05) -> list[Point]:
    """Networks on a line over log c, but for the noise."""
    random = np.random.default_rng(seed)
    return [
        Point(float(c), float(0.9 + 0.15 * np.log(c) + e), float(1.1 + 0.2 * np.log(c) + f), 0.7, 0.6)
        for c, e, f in zip(
            np.geomspace(least, 1, n), random.normal(0, noise, n), random.normal(0, noise, n), strict=True
        )
    ]


def wild() -> Predictor:
    """Curves that go through every network's noise, and so foretell none."""
    found = Predictor.fitted(front(20, noise=0.05, seed=2))
    through = Hyperparameters(variance=4.0, length=0.15, noise=1e-4)
    return replace(found, r=replace(found.r, hyperparameters=through), d=replace(found.d, hyperparameters=through))


def named(decision: Decision) -> dict[str, bool]:
    return {check.name: check.passed for check in decision.checks}


def test_the_first_predictor_of_enough_networks_is_promoted_and_says_why() -> None:
    decision = decide(Predictor.fitted(front(12)), None)

    assert decision.promoted
    assert decision.why.startswith("Promoted: 12 networks of different costs")


def test_too_few_networks_are_not_enough() -> None:
    decision = decide(Predictor.fitted(front(5)), None)

    assert named(decision)["points"] is False
    assert decision.why == "Not promoted: 5 networks of different costs, 6 asked."
    assert decide(Predictor.fitted(front(5)), None, Gate(least_points=5)).promoted


def test_networks_of_one_cost_count_once() -> None:
    points = front(5)

    assert not decide(Predictor.fitted([*points, *(replace(p, r=p.r + 0.01) for p in points)]), None).promoted


def test_what_foretells_new_networks_worse_than_the_active_one_is_not_promoted() -> None:
    active = Predictor.fitted(front(20, seed=1))

    decision = decide(wild(), active)

    assert named(decision)["error"] is False
    assert "error" not in named(decide(wild(), None)), "alone it is the best there is"


def test_an_active_predictor_of_worse_networks_gives_way() -> None:
    elsewhere = Predictor.fitted([replace(p, r=1.4 - 0.5 * p.r) for p in front(12, seed=1)])

    assert decide(Predictor.fitted(front(12, seed=2)), elsewhere).promoted


def test_without_a_new_network_nothing_changes() -> None:
    points = front(12)

    decision = decide(Predictor.fitted(points), Predictor.fitted(points))

    assert not decision.promoted
    assert "nothing new" in decision.why


def test_bands_that_miss_most_networks_are_not_promoted() -> None:
    # Two clusters in which r jumps at random: what is left out is foretold badly and surely.
    found = Predictor.fitted(front(12))
    sure = replace(found, r=replace(found.r, hyperparameters=replace(found.r.hyperparameters, noise=1e-4, length=6.0)))

    decision = decide(sure, None)

    assert named(decision)["coverage"] is False


@pytest.mark.parametrize("most_error", [1.0, 1e9])
def test_the_gate_is_settable(most_error: float) -> None:
    active = Predictor.fitted(front(20, seed=1))

    assert named(decide(wild(), active, Gate(most_error=most_error)))["error"] is (most_error > 1)
