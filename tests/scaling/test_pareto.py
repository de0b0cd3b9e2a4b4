from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from app.scaling.pareto import first_fronts, ranks

# Few distinct values, so that ties and duplicates are common.
NETWORKS = st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), max_size=60)


def by_pymoo(networks: list[tuple[int, int]]) -> list[int]:
    objectives = np.array([[cost, -accuracy] for cost, accuracy in networks], float).reshape(-1, 2)
    _, found = NonDominatedSorting().do(objectives, return_rank=True)
    return [int(rank) for rank in found]


def columns(networks: list[tuple[int, int]]) -> tuple[list[float], list[float]]:
    return [float(cost) for cost, _ in networks], [float(accuracy) for _, accuracy in networks]


@given(NETWORKS.filter(bool))
def test_ranks_match_pymoo(networks: list[tuple[int, int]]) -> None:
    assert ranks(*columns(networks)).tolist() == by_pymoo(networks)


def test_ranks_of_many_networks_match_pymoo() -> None:
    random = np.random.default_rng(0)
    networks = [(int(c), int(a)) for c, a in random.integers(0, 1000, (1500, 2))]

    assert ranks(*columns(networks)).tolist() == by_pymoo(networks)


def test_empty_input_has_no_ranks() -> None:
    assert ranks([], []).tolist() == []
    assert first_fronts(ranks([], []), 5).tolist() == []


@given(NETWORKS.filter(bool), st.integers(1, 70))
def test_first_fronts_are_whole_and_minimal(networks: list[tuple[int, int]], wanted: int) -> None:
    of = ranks(*columns(networks))
    chosen = of[first_fronts(of, wanted)]

    assert len(chosen) == (of <= chosen.max()).sum()
    assert len(chosen) >= min(wanted, len(networks))
    assert (chosen < chosen.max()).sum() < wanted


@example([(1, 1), (1, 3), (2, 2), (3, 3)], 1, 0)  # the third network of a lower cost than the one it is behind
@given(NETWORKS, st.integers(0, 3), st.integers(0, 3))
def test_margins_add_dominance_by_networks_that_cost_little_more(
    networks: list[tuple[int, int]], cost_margin: int, accuracy_margin: int
) -> None:
    def dominates(a: tuple[int, int], b: tuple[int, int]) -> bool:
        is_better = a[0] <= b[0] and a[1] >= b[1] and a != b
        return is_better or (a[0] <= b[0] + cost_margin and a[1] > b[1] + accuracy_margin)

    left, expected, rank = set(range(len(networks))), [0] * len(networks), 0
    while left:
        front = [i for i in left if not any(dominates(networks[j], networks[i]) for j in left)]
        for i in front:
            expected[i] = rank
        left, rank = left - set(front), rank + 1

    assert ranks(*columns(networks), cost_margin, accuracy_margin).tolist() == expected
