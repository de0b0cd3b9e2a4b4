from __future__ import annotations

import math
from dataclasses import replace

import pytest

from app.scaling.families import flops_of
from app.scaling.network import Architecture
from app.scaling.predictors.point import Point
from app.scaling.search.front import select_front
from app.scaling.search.observations import Observation, average_repeats, network_key, to_points
from app.scaling.search.random_sampler import Space, sample
from tests.scaling.baselines import B0, SMALL

A = Observation(0.8, 1.0, 0.7, 0.5, 200, 10, 0.70, "trial-a")
B = Observation(0.6, 0.8, 0.6, 0.2, 80, 5, 0.60)


def again(o: Observation, accuracy: float, **changes: float) -> Observation:
    return Observation(**{**vars(o), "accuracy": accuracy, "trial": None, **changes})


def test_an_observation_is_a_point() -> None:
    assert to_points([A, B]) == [Point(0.5, 0.8, 1.0, 0.7, 0.70), Point(0.2, 0.6, 0.8, 0.6, 0.60)]


def test_nothing_gives_nothing() -> None:
    assert to_points([]) == []


def test_the_accuracies_of_one_network_are_averaged() -> None:
    found = to_points([A, B, again(A, 0.74), again(A, 0.72)])

    assert [(p.c, p.accuracy) for p in found] == [(0.5, pytest.approx(0.72)), (0.2, 0.60)]


@pytest.mark.parametrize("changes", [{"r": 0.81}, {"d": 1.1}, {"w": 0.71}, {"flops": 201}])
def test_different_multipliers_or_cost_are_not_averaged(changes: dict[str, float]) -> None:
    assert len(to_points([A, again(A, 0.72, **changes)])) == 2


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_nan_accuracy_is_dropped(broken: float) -> None:
    assert to_points([again(A, broken), B]) == to_points([B])
    assert to_points([again(A, broken), A]) == to_points([A])


def test_repeats_average_to_one_observation() -> None:
    timed = [replace(A, accuracy=0.7, latency_ms=ms) for ms in (2.0, 9.0, 3.0)]
    found = average_repeats([*timed, B, again(A, 0.78)])

    assert [(o.flops, o.accuracy, o.latency_ms, o.trial) for o in found] == [
        (200, pytest.approx(0.72), 3.0, "trial-a"),
        (80, 0.60, None, None),
    ]


def test_lucky_seed_does_not_reach_the_front() -> None:
    lucky = [again(A, 0.5), again(A, 0.9), again(A, 0.5)]
    steady = replace(A, w=0.6, flops=190, accuracy=0.7)

    assert select_front([*lucky, steady], min_size=1) != select_front(average_repeats([*lucky, steady]), min_size=1)
    assert [
        average_repeats([*lucky, steady])[i] for i in select_front(average_repeats([*lucky, steady]), min_size=1)
    ] == [steady]


@pytest.mark.parametrize("architecture", [B0, SMALL], ids=["b0", "small"])
def test_network_key_matches_observation_and_config(architecture: Architecture) -> None:
    whole = flops_of(architecture)
    drawn = sample(architecture, Space((0.5, 1.2), (0.5, 1.4), (0.3, 1.5), (whole // 5, whole)), 60, seed=0)
    keys = [network_key(architecture, network.config) for network in drawn]
    observed = [
        Observation(m.r, m.d, m.w, cost.flops / whole, cost.flops, cost.params, 0.5)
        for m, cost in ((network.multipliers, network.cost) for network in drawn)
    ]

    assert len(set(keys)) == 60
    assert [network_key(architecture, o) for o in observed] == keys
