from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pymoo.indicators.hv import HV
from scipy.stats import norm

from app.scaling.search.ehvi import expected_improvement
from tests.support import example_count

Array = NDArray[np.float64]

WORST = (10.0, 0.0)
FRONTS = st.lists(st.tuples(st.floats(0, 12), st.floats(-0.2, 1)), max_size=8)
CANDIDATE = st.tuples(st.floats(0, 11), st.floats(-0.5, 1.5), st.floats(0.01, 0.5))


def area(networks: list[tuple[float, float]]) -> float:
    """By pymoo: what is dominated between the networks and the worst corner."""
    return float(HV(ref_point=np.array([WORST[0], -WORST[1]]))(np.array([[x, -y] for x, y in networks]).reshape(-1, 2)))


def improvement(candidate: tuple[float, float, float], front: list[tuple[float, float]]) -> float:
    x, mean, sd = (np.array([value]) for value in candidate)
    costs, accuracy = np.array(front, float).reshape(-1, 2).T
    return float(expected_improvement(x, mean, sd, (costs, accuracy), WORST)[0])


@settings(max_examples=example_count(40))
@given(FRONTS, CANDIDATE)
def test_expectation_matches_pymoo_simulation(
    front: list[tuple[float, float]], candidate: tuple[float, float, float]
) -> None:
    x, mean, sd = candidate
    quantiles = norm.ppf((np.arange(400) + 0.5) / 400)  # as accurate as 100,000 random draws
    before = area(front)
    improvements = [area([*front, (x, mean + sd * z)]) - before for z in quantiles]

    assert improvement(candidate, front) == pytest.approx(float(np.mean(improvements)), abs=0.02 * sd)


@settings(max_examples=example_count(60))
@given(FRONTS, st.floats(0, 11), st.floats(-0.5, 1.5))
def test_certain_accuracy_improves_by_the_area_gained(front: list[tuple[float, float]], x: float, mean: float) -> None:
    gained = area([*front, (x, mean)]) - area(front)

    assert improvement((x, mean, 0.0), front) == pytest.approx(gained, abs=1e-6)


@settings(max_examples=example_count(60))
@given(FRONTS, CANDIDATE, st.tuples(st.floats(0, 12), st.floats(-0.2, 1)))
def test_larger_front_reduces_expected_improvement(
    front: list[tuple[float, float]], candidate: tuple[float, float, float], more: tuple[float, float]
) -> None:
    assert improvement(candidate, [*front, more]) <= improvement(candidate, front) + 1e-9


@settings(max_examples=example_count(60))
@given(FRONTS, CANDIDATE, st.floats(0, 1), st.floats(0, 1))
def test_cheaper_better_or_uncertain_networks_promise_more(
    front: list[tuple[float, float]], candidate: tuple[float, float, float], less: float, more: float
) -> None:
    x, mean, sd = candidate
    own = improvement(candidate, front)

    assert improvement((x - less, mean, sd), front) >= own - 1e-9
    assert improvement((x, mean + more, sd), front) >= own - 1e-9
    assert improvement((x, mean, sd + more), front) >= own - 1e-9
    assert own >= 0


def test_candidates_are_evaluated_independently() -> None:
    random = np.random.default_rng(0)
    front = random.uniform(0, 1, (2, 12)) * np.array([[10], [1]])
    x, mean, sd = random.uniform(0, 10, 30), random.uniform(0, 1, 30), random.uniform(0.01, 0.3, 30)
    found = expected_improvement(x, mean, sd, (front[0], front[1]), WORST)

    assert found == pytest.approx([improvement(c, front.T.tolist()) for c in zip(x, mean, sd, strict=True)])
