from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from app.scaling.dominance import first_fronts, ranks

# Few different values, so that ties and doubles are drawn often.
NETWORKS = st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), max_size=60)


def by_pymoo(networks: list[tuple[int, int]]) -> list[int]:
    objectives = np.array([[cost, -accuracy] for cost, accuracy in networks], float).reshape(-1, 2)
    _, found = NonDominatedSorting().do(objectives, return_rank=True)
    return [int(rank) for rank in found]


def columns(networks: list[tuple[int, int]]) -> tuple[list[float], list[float]]:
    return [float(cost) for cost, _ in networks], [float(accuracy) for _, accuracy in networks]


@settings(deadline=None)
@given(NETWORKS.filter(bool))
def test_ranks_are_those_of_pymoo(networks: list[tuple[int, int]]) -> None:
    assert ranks(*columns(networks)).tolist() == by_pymoo(networks)


def test_ranks_of_many_networks_are_those_of_pymoo() -> None:
    random = np.random.default_rng(0)
    networks = [(int(c), int(a)) for c, a in random.integers(0, 1000, (1500, 2))]

    assert ranks(*columns(networks)).tolist() == by_pymoo(networks)


def test_nothing_has_no_ranks() -> None:
    assert ranks([], []).tolist() == []
    assert first_fronts(ranks([], []), 5).tolist() == []


@settings(deadline=None)
@given(NETWORKS.filter(bool), st.integers(1, 70))
def test_the_first_fronts_are_whole_and_no_more_than_it_takes(networks: list[tuple[int, int]], wanted: int) -> None:
    of = ranks(*columns(networks))
    chosen = of[first_fronts(of, wanted)]

    assert len(chosen) == (of <= chosen.max()).sum()
    assert len(chosen) >= min(wanted, len(networks))
    assert (chosen < chosen.max()).sum() < wanted
