from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymoo.indicators.hv import HV

from app.scaling.dominance import ranks
from app.scaling.halving import RungResult, promotable, rungs

# Few different values, so that ties and doubles are drawn often.
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
    assert rungs(epochs, eta, least) == expected


@given(st.integers(1, 500), ETAS, st.integers(1, 20))
def test_rungs_rise_by_about_eta_to_the_epochs_and_none_is_below_the_least(epochs: int, eta: int, least: int) -> None:
    found = rungs(epochs, eta, least)

    assert found[-1] == epochs
    assert all(abs(later / eta - sooner) <= 0.5 for sooner, later in pairwise(found))
    assert found[0] >= min(least, epochs)
    assert found[0] < least * eta


@pytest.mark.parametrize(("epochs", "eta", "least"), [(0, 3, 1), (9, 1, 1), (9, 3, 0)])
def test_rungs_that_make_no_sense_are_refused(epochs: int, eta: int, least: int) -> None:
    with pytest.raises(ValueError, match="rungs need"):
        rungs(epochs, eta, least)


@settings(deadline=None)
@given(RESULTS, ETAS)
def test_one_in_eta_goes_on(results: list[RungResult], eta: int) -> None:
    found = promotable(results, set(), eta)

    assert len(found) == len(set(found)) == len(results) // eta


@settings(deadline=None)
@given(RESULTS, ETAS)
def test_what_goes_on_is_never_beaten_by_what_does_not(results: list[RungResult], eta: int) -> None:
    found = set(promotable(results, set(), eta))

    for result in results:
        if result.id not in found:
            assert not any(dominates(result, other) for other in results if other.id in found)


@settings(deadline=None)
@given(RESULTS, ETAS, st.sets(st.integers(0, 39).map(str)))
def test_what_has_gone_on_does_not_again_and_keeps_its_place(
    results: list[RungResult], eta: int, promoted: set[str]
) -> None:
    everyone = promotable(results, set(), eta)

    assert promotable(results, promoted, eta) == [id for id in everyone if id not in promoted]


@settings(deadline=None)
@given(RESULTS, ETAS)
def test_the_best_of_those_that_have_come_have_gone_on_by_then(results: list[RungResult], eta: int) -> None:
    promoted: set[str] = set()
    for n in range(len(results) + 1):
        promoted |= set(promotable(results[:n], promoted, eta))

    assert set(promotable(results, set(), eta)) <= promoted


@settings(deadline=None)
@given(RESULTS.filter(lambda results: len(results) >= 4))
def test_the_cheapest_and_the_most_accurate_go_on(results: list[RungResult]) -> None:
    found = promotable(results, set(), eta=2)
    chosen = [result for result in results if result.id in found]

    cheapest = min(results, key=lambda result: (result.flops, -result.accuracy))
    best = max(results, key=lambda result: (result.accuracy, -result.flops))
    assert (cheapest.flops, cheapest.accuracy) in [(result.flops, result.accuracy) for result in chosen]
    assert (best.flops, best.accuracy) in [(result.flops, result.accuracy) for result in chosen]


def test_within_a_front_those_go_on_that_add_most_to_its_hypervolume() -> None:
    random = np.random.default_rng(0)
    flops = np.sort(random.integers(10**6, 10**9, 24))
    front = [
        RungResult(str(i), int(f), a) for i, (f, a) in enumerate(zip(flops, np.sort(random.random(24)), strict=True))
    ]
    objectives = np.array([[np.log10(result.flops), -result.accuracy] for result in front])
    assert (ranks(objectives[:, 0], -objectives[:, 1]) == 0).all()

    whole = HV(ref_point=objectives.max(0) + 1)
    lost = [float(whole(objectives) - whole(np.delete(objectives, i, 0))) for i in range(1, 23)]
    expected = {"0", "23"} | {str(i + 1) for i in np.argsort(lost)[-6:]}
    assert set(promotable(front, set(), eta=3)) == expected


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_what_has_no_accuracy_counts_and_does_not_go_on(broken: float) -> None:
    failed = [RungResult(f"failed-{i}", 1, broken) for i in range(3)]

    assert promotable([*failed, RungResult("sound", 10, 0.5)], set(), eta=4) == ["sound"]
    assert promotable(failed, set(), eta=2) == []
