from __future__ import annotations

import math

import pytest

from app.scaling.observations import Observation, points
from app.scaling.predictor import Point

A = Observation(0.8, 1.0, 0.7, 0.5, 200, 10, 0.70, "trial-a")
B = Observation(0.6, 0.8, 0.6, 0.2, 80, 5, 0.60)


def again(o: Observation, accuracy: float, **changes: float) -> Observation:
    return Observation(**{**vars(o), "accuracy": accuracy, "trial": None, **changes})


def test_an_observation_is_a_point() -> None:
    assert points([A, B]) == [Point(0.5, 0.8, 1.0, 0.7, 0.70), Point(0.2, 0.6, 0.8, 0.6, 0.60)]


def test_nothing_gives_nothing() -> None:
    assert points([]) == []


def test_the_accuracies_of_one_network_are_averaged() -> None:
    found = points([A, B, again(A, 0.74), again(A, 0.72)])

    assert [(p.c, p.accuracy) for p in found] == [(0.5, pytest.approx(0.72)), (0.2, 0.60)]


@pytest.mark.parametrize("changes", [{"r": 0.81}, {"d": 1.1}, {"w": 0.71}, {"flops": 201}])
def test_what_differs_in_a_multiplier_or_in_cost_is_another_network(changes: dict[str, float]) -> None:
    assert len(points([A, again(A, 0.72, **changes)])) == 2


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_an_accuracy_that_is_no_number_is_dropped(broken: float) -> None:
    assert points([again(A, broken), B]) == points([B])
    assert points([again(A, broken), A]) == points([A])
