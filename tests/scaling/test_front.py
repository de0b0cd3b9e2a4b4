from __future__ import annotations

import math
import warnings
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymoo.algorithms.moo.nsga3 import ReferenceDirectionSurvival
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.util.ref_dirs import get_reference_directions
from scipy.stats import bootstrap, pearsonr, spearmanr

from app.scaling.families import flops_of, network_cost
from app.scaling.network import Multipliers
from app.scaling.search.front import correlations, hypervolume, non_dominated, select_front, smooth
from app.scaling.search.observations import Observation
from tests.scaling.baselines import SMALL
from tests.support import example_count

# Few distinct values, so that ties and duplicates are common.
NETWORKS = st.lists(
    st.tuples(st.integers(1, 30).map(lambda n: n * 10**6), st.integers(1, 30).map(lambda n: n / 30)), max_size=40
)


def observed(networks: list[tuple[int, float]]) -> list[Observation]:
    return [Observation(0.8, 1.0, 1.0, flops / 4e8, flops, 1, accuracy) for flops, accuracy in networks]


def many(n: int = 300, seed: int = 0) -> list[Observation]:
    """Networks below a saturating curve from 20 to 400 million."""
    random = np.random.default_rng(seed)
    flops = np.exp(random.uniform(np.log(2e7), np.log(4e8), n))
    accuracy = 0.8 - 0.2 * (flops / 2e7) ** -0.45 - random.exponential(0.02, n)
    return observed([(int(f), float(a)) for f, a in zip(flops, accuracy, strict=True)])


def on_the_curve(n: int = 300) -> list[Observation]:
    """Networks of which none dominates another one."""
    flops = np.geomspace(2e7, 4e8, n)
    return observed([(int(f), float(0.8 - 0.2 * (f / 2e7) ** -0.45)) for f in flops])


def front_of(observations: list[Observation]) -> list[int]:
    return non_dominated([o.flops for o in observations], [o.accuracy for o in observations])


def dominates(a: tuple[int, float], b: tuple[int, float]) -> bool:
    return a[0] <= b[0] and a[1] >= b[1] and a != b


@given(NETWORKS)
def test_the_front_is_what_nothing_dominates(networks: list[tuple[int, float]]) -> None:
    brute = [i for i, own in enumerate(networks) if not any(dominates(other, own) for other in networks)]

    assert non_dominated([f for f, _ in networks], [a for _, a in networks]) == brute


@given(NETWORKS, st.integers(1, 25), st.integers(1, 8))
def test_selection_has_requested_size_is_sorted_and_distinct(
    networks: list[tuple[int, float]], k: int, least: int
) -> None:
    observations = observed(networks)
    selected = select_front(observations, k, least)

    assert len(selected) == len(set(selected)) == min(k, max(len(front_of(observations)), min(least, len(networks))))
    assert all(observations[a].flops <= observations[b].flops for a, b in pairwise(selected))


@given(NETWORKS, st.integers(5, 25))
def test_only_short_fronts_are_filled(networks: list[tuple[int, float]], k: int) -> None:
    observations = observed(networks)
    front, selected = set(front_of(observations)), set(select_front(observations, k))

    if len(front) >= 5:
        assert selected <= front
    else:
        assert selected >= front


@given(NETWORKS)
def test_short_front_is_filled_from_next_fronts(networks: list[tuple[int, float]]) -> None:
    observations = observed(networks)
    selected, left = set(select_front(observations, 20, min_size=8)), list(range(len(networks)))
    while left:
        front = {left[i] for i in front_of([observations[i] for i in left])}
        if not front <= selected:
            assert selected.isdisjoint(set(left) - front)
            return
        left = [i for i in left if i not in front]


def test_the_selection_is_that_of_nsga_iii() -> None:
    observations = many(600)
    front = front_of(observations)
    objectives = np.array([[np.log10(observations[i].flops), -observations[i].accuracy] for i in front])
    directions = get_reference_directions("das-dennis", 2, n_partitions=9)
    with warnings.catch_warnings():
        survivors = ReferenceDirectionSurvival(directions).do(
            Problem(n_var=1, n_obj=2),
            Population.new(F=objectives, i=np.array(front)),
            n_survive=10,
            random_state=np.random.default_rng(0),
        )
    assert len(front) > 10

    assert select_front(observations, k=10) == sorted(survivors.get("i"), key=lambda i: observations[i].flops)


@settings(max_examples=example_count(40))
@given(NETWORKS.filter(bool), st.integers(1, 25))
def test_prefilter_drops_no_network_nsga_iii_selects(networks: list[tuple[int, float]], k: int) -> None:
    observations = observed(networks)
    wanted = min(k, max(len(front_of(observations)), 5), len(networks))
    directions = get_reference_directions("das-dennis", 2, n_partitions=max(1, wanted - 1))
    with warnings.catch_warnings():
        kept = ReferenceDirectionSurvival(directions).do(
            Problem(n_var=1, n_obj=2),
            Population.new(
                F=np.array([[np.log10(flops), -accuracy] for flops, accuracy in networks]), i=np.arange(len(networks))
            ),
            n_survive=wanted,
            random_state=np.random.default_rng(0),
        )

    assert sorted(select_front(observations, k)) == sorted(kept.get("i"))


def test_a_hundred_thousand_networks_are_selected_from() -> None:
    observations = many(100_000)  # comparing all pairs would take minutes and 80 GB
    selected = select_front(observations)

    assert len(selected) == 20
    assert set(selected) <= set(front_of(observations))


def test_the_selection_is_the_same_each_time() -> None:
    observations = many(100, seed=1)  # here NSGA-III has ties to break at random

    assert len({tuple(select_front(observations, k=10)) for _ in range(8)}) == 1


def test_selection_keeps_ends_and_spreads_evenly() -> None:
    observations = on_the_curve()
    selected = select_front(observations)
    decades = [math.log10(observations[i].flops) for i in selected]

    assert len(selected) == 20
    assert (selected[0], selected[-1]) == (0, len(observations) - 1)
    assert max(b - a for a, b in pairwise(decades)) < 0.15


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_non_finite_accuracy_is_never_selected(broken: float) -> None:
    observations = [*observed([(10, broken)]), *observed([(20, 0.5), (30, 0.6)]), *observed([(40, broken)])]

    assert select_front(observations) == [1, 2]
    assert select_front(observed([(10, broken)])) == []


def test_selection_keeps_warning_filters() -> None:
    before = list(warnings.filters)
    select_front(many(), k=5)

    assert warnings.filters == before


@given(NETWORKS)
def test_hypervolume_is_the_staircase_area(networks: list[tuple[int, float]]) -> None:
    worst, area, reached = (2e7, 0.2), 0.0, 0.2
    front = sorted(networks[i] for i in non_dominated([f for f, _ in networks], [a for _, a in networks]))
    for flops, accuracy in front:
        if flops < worst[0] and accuracy > reached:
            area += (accuracy - reached) * (math.log10(worst[0]) - math.log10(flops))
            reached = accuracy

    assert hypervolume([f for f, _ in networks], [a for _, a in networks], worst) == pytest.approx(area, abs=1e-12)


def test_correlations_are_those_of_the_textbook() -> None:
    random = np.random.default_rng(0)
    flops = random.integers(10**7, 4 * 10**8, 15)
    observations = [
        Observation(float(f**0.5), float(-np.log(f)), float(random.uniform()), 0.5, int(f), 1, 0.5) for f in flops
    ]
    found = correlations(observations)

    assert found["r"]["spearman"] == pytest.approx(1)
    assert found["d"]["spearman"] == pytest.approx(-1)
    assert abs(found["w"]["spearman"] or 1) < 0.6
    for name in ("r", "d", "w"):
        expected = np.corrcoef([getattr(o, name) for o in observations], flops)[0, 1]
        assert found[name]["pearson"] == pytest.approx(expected)


def scattered(n: int, seed: int = 0) -> list[Observation]:
    """r follows flops closely, d loosely and w not at all."""
    random = np.random.default_rng(seed)
    flops = random.integers(10**7, 4 * 10**8, n)
    loose = flops / 4e8 + random.normal(0, 0.4, n)
    return [
        Observation(0.5 + float(f) / 8e8 + float(e) / 50, float(d), float(random.uniform()), 0.5, int(f), 1, 0.5)
        for f, d, e in zip(flops, loose, random.normal(size=n), strict=True)
    ]


@pytest.mark.parametrize("measure", ["pearson", "spearman"])
@pytest.mark.parametrize("name", ["r", "d", "w"])
def test_an_interval_is_that_of_scipys_bootstrap(measure: str, name: str) -> None:
    observations = scattered(25)
    flops, values = [o.flops for o in observations], [getattr(o, name) for o in observations]
    of_scipy = {"pearson": pearsonr, "spearman": spearmanr}[measure]
    expected = bootstrap(
        (values, flops),
        lambda x, y: of_scipy(x, y).statistic,
        paired=True,
        vectorized=False,
        confidence_level=0.9,
        n_resamples=1000,
        method="percentile",
        random_state=1,
    )
    found = correlations(observations)[name]

    assert found[measure] == pytest.approx(of_scipy(values, flops).statistic)
    assert found[f"{measure}_interval"] == pytest.approx(tuple(expected.confidence_interval), abs=0.05)


def test_intervals_are_deterministic_and_shrink_with_data() -> None:
    def width(n: int) -> float:
        least, most = correlations(scattered(n))["d"]["pearson_interval"]  # type: ignore[misc]
        return most - least

    assert correlations(scattered(20)) == correlations(scattered(20))
    assert width(200) < 0.7 * width(20)


@pytest.mark.parametrize(
    "observations",
    [
        [],
        [Observation(r, r, r, 0.5, f, 1, 0.5) for r, f in ((0.3, 1), (0.5, 2))],
        many(20),  # r, d and w are constant
        [Observation(r, r, r, 0.5, 10**6, 1, 0.5) for r in (0.1, 0.2, 0.3)],  # flops are constant
        [
            Observation(r, r, r, 0.5, f, 1, 0.5) for r, f in ((0.3, 1), (0.1 + 0.2, 2), (0.3, 3))
        ],  # constant except for noise
    ],
)
def test_undefined_correlation_is_none(observations: list[Observation]) -> None:
    undefined = dict.fromkeys(("pearson", "pearson_interval", "spearman", "spearman_interval"))

    assert correlations(observations) == {"r": undefined, "d": undefined, "w": undefined}


def test_slightly_cheaper_network_that_is_much_worse_is_not_on_the_front() -> None:
    """The recorded study had a network of accuracy .386 on its front for .4 % fewer multiply-adds than one of .690."""
    observations = observed([(996_000, 0.386), (1_000_000, 0.690), (2_000_000, 0.75), (2_015_000, 0.755)])

    assert front_of(observations) == [1, 2, 3]
    assert select_front(observations, min_size=1) == [1, 2, 3]
    assert 0 in non_dominated([o.flops for o in observations], [o.accuracy for o in observations], noise=0.4)


def trained(n: int, noise: float) -> tuple[list[Observation], list[float]]:
    """Random networks of the small baseline whose accuracy rises with cost, with noise, and their true accuracies."""
    random, true, found = np.random.default_rng(0), [], []
    for r, d, w in random.uniform([0.6, 0.5, 0.4], [1.2, 1.4, 1.4], (n, 3)).tolist():
        cost = network_cost(SMALL.scale(Multipliers(r, d, w)))
        c = cost.flops / flops_of(SMALL)
        true.append(float(0.75 + 0.08 * np.log(c) - 0.3 * (r - 0.9) ** 2))
        measured = true[-1] + float(random.normal(0, noise))
        found.append(Observation(r, d, w, c, cost.flops, cost.params, measured))
    return found, true


def test_lucky_networks_are_smoothed() -> None:
    observations, true = trained(60, noise=0.02)
    smoothed = smooth(SMALL, observations)
    raw = np.array([o.accuracy for o in observations])
    front = select_front(observations, k=12, smoothed=smoothed)

    assert np.abs(np.array(smoothed.accuracy) - true).mean() < 0.7 * np.abs(raw - true).mean()
    assert smoothed.noise == pytest.approx(0.02, rel=0.5)
    luck = (raw - true)[front].mean()
    assert luck < 0.5 * (raw - true)[select_front(observations, k=12)].mean()


@pytest.mark.parametrize("n", [0, 1, 19])
def test_few_networks_are_not_smoothed(n: int) -> None:
    observations, _ = trained(n, noise=0.02)

    assert list(smooth(SMALL, observations).accuracy) == [o.accuracy for o in observations]


def test_accuracies_without_a_pattern_are_not_smoothed() -> None:
    random = np.random.default_rng(1)
    observations = [replace(o, accuracy=float(random.uniform(0.4, 0.8))) for o in trained(60, noise=0.0)[0]]

    assert list(smooth(SMALL, observations).accuracy) == [o.accuracy for o in observations]
