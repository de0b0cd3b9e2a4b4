from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymoo.indicators.hv import HV

from app.scaling.families import flops_of, network_cost
from app.scaling.network import Multipliers
from app.scaling.pareto import ranks
from app.scaling.search.asha import Halving, RungResult, expect_results, promotable
from app.scaling.search.observations import Observation
from tests.scaling.baselines import SMALL

# Few distinct values, so that ties and duplicates are common.
RESULTS = st.lists(
    st.tuples(st.integers(1, 15).map(lambda n: n * 10**6), st.integers(1, 15).map(lambda n: n / 16)), max_size=40
).map(lambda drawn: [RungResult(str(i), flops, accuracy) for i, (flops, accuracy) in enumerate(drawn)])
ETAS = st.integers(2, 5)


def dominates(a: RungResult, b: RungResult) -> bool:
    return a.flops <= b.flops and a.accuracy >= b.accuracy and (a.flops, a.accuracy) != (b.flops, b.accuracy)


@pytest.mark.parametrize(
    ("epochs", "eta", "least", "expected"),
    [(9, 3, 1, [1, 3, 9]), (81, 3, 3, [3, 9, 27, 81]), (10, 4, 2, [2, 10]), (5, 2, 3, [5]), (1, 2, 1, [1])],
)
def test_rungs_are_powers_of_eta_below_the_epochs(epochs: int, eta: int, least: int, expected: list[int]) -> None:
    assert Halving(eta, least).rungs(epochs) == expected


@given(st.integers(1, 500), ETAS, st.integers(1, 20))
def test_rungs_increase_by_eta_from_the_minimum(epochs: int, eta: int, least: int) -> None:
    found = Halving(eta, least).rungs(epochs)

    assert found[-1] == epochs
    assert all(abs(later / eta - sooner) <= 0.5 for sooner, later in pairwise(found))
    assert found[0] >= min(least, epochs)
    assert found[0] < least * eta


@pytest.mark.parametrize(("epochs", "eta", "least"), [(0, 3, 1), (9, 1, 1), (9, 3, 0)])
def test_rungs_that_make_no_sense_are_refused(epochs: int, eta: int, least: int) -> None:
    with pytest.raises(ValueError, match="at least"):
        Halving(eta, least).rungs(epochs)


@given(RESULTS, ETAS)
def test_one_in_eta_is_promoted(results: list[RungResult], eta: int) -> None:
    found = promotable(results, set(), eta)

    assert len(found) == len(set(found)) == len(results) // eta


@given(RESULTS, ETAS)
def test_promoted_results_are_not_dominated_by_others(results: list[RungResult], eta: int) -> None:
    found = set(promotable(results, set(), eta))

    for result in results:
        if result.id not in found:
            assert not any(dominates(result, other) for other in results if other.id in found)


@given(RESULTS, ETAS, st.sets(st.integers(0, 39).map(str)))
def test_promoted_results_keep_their_rank(results: list[RungResult], eta: int, promoted: set[str]) -> None:
    everyone = promotable(results, set(), eta)

    assert promotable(results, promoted, eta) == [id for id in everyone if id not in promoted]


@given(RESULTS, ETAS)
def test_best_results_so_far_are_promoted(results: list[RungResult], eta: int) -> None:
    promoted: set[str] = set()
    for n in range(len(results) + 1):
        promoted |= set(promotable(results[:n], promoted, eta))

    assert set(promotable(results, set(), eta)) <= promoted


@given(RESULTS.filter(lambda results: len(results) >= 4))
def test_most_accurate_is_promoted(results: list[RungResult]) -> None:
    found = promotable(results, set(), eta=2)
    chosen = [result for result in results if result.id in found]

    best = max(results, key=lambda result: (result.accuracy, -result.flops))
    assert (best.flops, best.accuracy) in [(result.flops, result.accuracy) for result in chosen]


def test_largest_hypervolume_contributors_are_promoted_first() -> None:
    random = np.random.default_rng(0)
    flops = np.sort(random.integers(10**6, 10**9, 24))
    front = [
        RungResult(str(i), int(f), a) for i, (f, a) in enumerate(zip(flops, np.sort(random.random(24)), strict=True))
    ]
    objectives = np.array([[np.log10(result.flops), -result.accuracy] for result in front])
    assert (ranks(objectives[:, 0], -objectives[:, 1]) == 0).all()

    whole = HV(ref_point=objectives.max(0) + 1)
    lost = [float(whole(objectives) - whole(np.delete(objectives, i, 0))) for i in range(1, 23)]
    expected = {"23"} | {str(i + 1) for i in np.argsort(lost)[-6:]}
    assert expected <= set(promotable(front, set(), eta=3))


@pytest.mark.parametrize("n", [4, 9, 30])
@pytest.mark.parametrize("eta", [2, 3])
@pytest.mark.parametrize("accuracy", [0.01, 0.3])
def test_cheapest_network_is_not_promoted_for_its_cost_alone(n: int, eta: int, accuracy: float) -> None:
    random = np.random.default_rng(0)
    flops = np.geomspace(10**7, 10**8, n - 1)
    sound = 1 - 0.5 * (flops / 10**7) ** -0.2 + random.normal(0, 0.01, n - 1)
    results = [RungResult("cheapest", 9 * 10**6, accuracy)]
    results += [RungResult(str(i), int(f), float(a)) for i, (f, a) in enumerate(zip(flops, sound, strict=True))]

    assert "cheapest" not in promotable(results, set(), eta)


def test_cheapest_network_as_good_as_the_trend_is_promoted() -> None:
    flops = np.geomspace(10**7, 10**8, 9)
    front = [RungResult(str(i), int(f), 1 - 0.5 * (f / 10**7) ** -0.2) for i, f in enumerate(flops)]
    worse = [RungResult(f"worse-{i}", r.flops + 10**6, r.accuracy - 0.03) for i, r in enumerate(front)]

    assert "0" in promotable([*front, *worse], set(), eta=2)


def test_one_percent_of_cost_does_not_make_a_front() -> None:
    results = [RungResult("cheaper", 1_000_000, 0.50), RungResult("better", 1_004_000, 0.55)]
    results += [RungResult("costly", 5_000_000, 0.7), RungResult("waste", 5_100_000, 0.6)]

    assert set(promotable(results, set(), eta=2)) == {"better", "costly"}


def trainings(last: int, count: int = 12) -> dict[str, Observation]:
    """Networks whose accuracies after one epoch are in reverse order of those after nine."""
    found = {}
    for i, w in enumerate(np.linspace(0.5, 1.2, count)):
        cost = network_cost(SMALL.scale(Multipliers(1.0, 1.0, float(w))))
        c = cost.flops / flops_of(SMALL)
        curve = ((1, 0.5 - 0.02 * i), (9, 0.5 + 0.02 * i))[: 2 if i < last else 1]
        found[str(i)] = Observation(1.0, 1.0, float(w), c, cost.flops, cost.params, math.nan, curve=curve)
    return found


def test_results_are_those_of_the_rung_until_enough_networks_went_on() -> None:
    results = expect_results(SMALL, trainings(last=7), 1)

    assert [r.accuracy for r in results] == [pytest.approx(0.5 - 0.02 * i) for i in range(12)]
    assert expect_results(SMALL, trainings(last=12), 3) == []


def test_results_are_expected_from_learning_curves() -> None:
    results = expect_results(SMALL, trainings(last=9), 1)

    assert [r.id for r in results] == [str(i) for i in range(12)]
    assert [r.accuracy for r in results] == sorted(r.accuracy for r in results)
    assert [r.accuracy for r in results[:9]] == [pytest.approx(0.5 + 0.02 * i) for i in range(9)]


def test_result_that_is_not_finite_stays_so() -> None:
    diverged = replace(trainings(last=12)["3"], curve=((1, math.nan),))
    results = expect_results(SMALL, {**trainings(last=12), "diverged": diverged}, 1)

    assert len(results) == 13 and math.isnan(results[-1].accuracy)
    assert math.isfinite(results[0].accuracy)


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_missing_accuracy_counts_but_is_not_promoted(broken: float) -> None:
    failed = [RungResult(f"failed-{i}", 1, broken) for i in range(3)]

    assert promotable([*failed, RungResult("sound", 10, 0.5)], set(), eta=4) == ["sound"]
    assert promotable(failed, set(), eta=2) == []
