from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.scaling.active import Tuned, propose
from app.scaling.architecture import Architecture
from app.scaling.errors import SpaceTooSmall
from app.scaling.front import hypervolume
from app.scaling.observations import NetworkKey, Observation, network_key
from app.scaling.pool import pool
from app.scaling.recommend import flops_of
from app.scaling.sampling import Space, sample
from app.scaling.surrogate import LEAST_NETWORKS
from app.scaling.width_solver import Solution
from tests.scaling.baselines import ARCHITECTURES, B0, SMALL

SEEDS = st.integers(0, 1)


def space_of(architecture: Architecture) -> Space:
    whole = flops_of(architecture)
    return Space(r=(0.5, 1.25), d=(0.35, 1.5), w=(0.25, 1.8), flops=(int(0.2 * whole), whole))


def expected(c: float, r: float, d: float) -> float:
    """Accuracy that saturates in cost, and has its best resolution, which rises with cost, and its best depth."""
    return float(0.82 - 0.06 * c**-0.4 - 0.3 * (r - 0.8 - 0.1 * np.log(c)) ** 2 - 0.04 * (d - 0.8) ** 2)


def observed(architecture: Architecture, network: Solution, noise: float = 0.0) -> Observation:
    c, m = network.cost.flops / flops_of(architecture), network.multipliers
    return Observation(m.r, m.d, m.w, c, network.cost.flops, network.cost.params, expected(c, m.r, m.d) + noise)


@lru_cache(maxsize=8)
def seen(architecture: Architecture, n: int) -> tuple[Observation, ...]:
    noise = np.random.default_rng(0).normal(0, 0.005, n).tolist()
    drawn = sample(architecture, space_of(architecture), n, seed=1)
    return tuple(observed(architecture, network, e) for network, e in zip(drawn, noise, strict=True))


def keys(architecture: Architecture, networks: list[Solution]) -> list[NetworkKey]:
    return [network_key(architecture, network.config) for network in networks]


@settings(deadline=None, max_examples=16)
@given(st.sampled_from(ARCHITECTURES), st.sampled_from([0, LEAST_NETWORKS - 1, 30]), st.integers(1, 6), SEEDS)
def test_proposals_are_networks_of_the_space_that_are_new(
    architecture: Architecture, known: int, n: int, seed: int
) -> None:
    space, before = space_of(architecture), list(seen(architecture, 30))
    observations, pending, out = before[:known], before[known : known + 3], before[known + 3 : known + 6]
    taken = {network_key(architecture, o) for o in before[: known + 6]}
    excluded = {network_key(architecture, o) for o in out}
    found = propose(architecture, space, observations, n, seed, pending=pending, excluded=excluded).networks

    assert len(set(keys(architecture, found)) - taken) == len(found) == n
    assert all(space.holds(network) for network in found)
    assert all(space.r[0] - 0.05 <= network.multipliers.r <= space.r[1] + 1e-4 for network in found)
    assert all(architecture.scaled(network.multipliers) == network.config for network in found)


def test_a_network_is_not_proposed_again_by_other_multipliers_that_give_it() -> None:
    before = list(seen(SMALL, 20))
    again = propose(SMALL, space_of(SMALL), before, 1, seed=0).networks[0]
    m, cost = again.multipliers, again.cost
    beside = Observation(m.r, m.d + 1e-3, m.w, cost.flops / flops_of(SMALL), cost.flops, cost.params, float("nan"))
    assert SMALL.scaled(replace(m, d=m.d + 1e-3)) == again.config

    others = propose(SMALL, space_of(SMALL), before, 5, seed=0, pending=[beside]).networks
    assert again.config not in [network.config for network in others]


def test_the_same_question_has_the_same_answer_and_another_seed_another() -> None:
    first, again, other = (propose(B0, space_of(B0), list(seen(B0, 30)), 3, seed) for seed in (0, 0, 1))

    assert first == again
    assert first.networks != other.networks


def test_the_first_proposals_are_spread_over_the_space() -> None:
    space = space_of(B0)
    found = propose(B0, space, [], 64, seed=0).networks
    columns = {
        space.r: [network.multipliers.r for network in found],
        space.d: [network.multipliers.d for network in found],
        tuple(np.log(space.flops)): [np.log(network.cost.flops) for network in found],
    }

    for (least, most), values in columns.items():
        quarters, _ = np.histogram(values, bins=4, range=(least - 1e-3, most + 1e-3))
        assert quarters.min() >= 8  # widths that the space has not leave gaps; 16 would be even


def test_networks_are_proposed_where_accuracy_is_expected() -> None:
    found = propose(B0, space_of(B0), list(seen(B0, 60)), 8, seed=0).networks

    for network in found:
        c = network.cost.flops / flops_of(B0)
        assert network.multipliers.r == pytest.approx(0.8 + 0.1 * np.log(c), abs=0.2)


def test_cheaper_networks_are_tried_though_they_are_expected_to_be_less_accurate_than_any_on_the_front() -> None:
    """Where accuracy falls steeply at the cheap end, all that is cheaper is far below the front."""
    before = [replace(o, accuracy=0.8 - 0.02 * o.c**-1.5) for o in seen(B0, 60) if o.c > 0.4]
    found = propose(B0, space_of(B0), before, 4, seed=0).networks

    assert min(network.cost.flops for network in found) < 0.75 * min(o.flops for o in before)


def test_those_chosen_together_are_not_side_by_side() -> None:
    found = propose(B0, space_of(B0), list(seen(B0, 60)), 6, seed=0).networks
    costs = np.sort([np.log10(network.cost.flops) for network in found])

    assert costs[-1] - costs[0] > 0.2
    assert len({network.cost.flops for network in found}) == 6


def test_what_is_being_trained_counts_as_trained() -> None:
    before, space = list(seen(B0, 40)), space_of(B0)
    first = propose(B0, space, before, 1, seed=0)
    pending = [replace(observed(B0, first.networks[0]), accuracy=float("nan"))]
    second = propose(B0, space, before, 1, seed=0, pending=pending, tuned=first.tuned).networks[0]
    both = propose(B0, space, before, 2, seed=0, tuned=first.tuned).networks

    assert both[0] == first.networks[0]
    assert second != first.networks[0]
    distance = abs(np.log(second.cost.flops / first.networks[0].cost.flops))
    assert distance > 0.02 or abs(second.multipliers.d - first.networks[0].multipliers.d) > 0.05


def test_hyperparameters_are_handed_on_and_found_anew_as_networks_come_in() -> None:
    space = space_of(B0)
    first = propose(B0, space, list(seen(B0, 40)), 1, seed=0).tuned
    kept = propose(B0, space, list(seen(B0, 45)), 1, seed=0, tuned=first).tuned
    anew = propose(B0, space, list(seen(B0, 60)), 1, seed=0, tuned=first).tuned

    assert isinstance(first, Tuned) and kept == first
    assert isinstance(anew, Tuned) and anew.networks == 60 and anew.prior != first.prior
    assert propose(B0, space, [], 1, seed=0).tuned is None


def test_observations_without_an_accuracy_teach_nothing_and_are_not_proposed() -> None:
    before = list(seen(B0, 30))
    failed = replace(observed(B0, propose(B0, space_of(B0), before, 1, seed=0).networks[0]), accuracy=float("nan"))
    found = propose(B0, space_of(B0), [*before, failed], 4, seed=0).networks

    assert network_key(B0, failed) not in keys(B0, found)


def test_a_space_is_proposed_to_the_last_network_and_then_is_too_small() -> None:
    one_size = Space(r=(1.0, 1.0), d=(1.0, 1.0), w=(0.8, 1.0), flops=(250_000_000, 400_000_000))
    observations: list[Observation] = []
    with pytest.raises(SpaceTooSmall) as refusal:
        while True:
            found = propose(B0, one_size, observations, 1, seed=0).networks
            observations += [observed(B0, network) for network in found]

    every = {candidate.key for candidate in pool(B0, one_size, 0, 1024)}
    assert {network_key(B0, o) for o in observations} == every
    assert len(observations) == len(every) > LEAST_NETWORKS
    assert refusal.value.found == 0


def test_a_larger_pool_begins_with_the_smaller_one_and_has_no_network_twice() -> None:
    space = space_of(B0)
    larger = pool(B0, space, 0, 3000)

    assert larger[:1000] == pool(B0, space, 0, 1000)
    assert len({candidate.key for candidate in larger}) == len(larger) == 3000


def test_hypervolume_grows_faster_than_at_random() -> None:
    """Of what the best of 1,000 networks reach, a third or less is missed of what as many random networks miss.

    The accuracies are a formula's: this is about the sampler's mechanics.
    """
    architecture, space = SMALL, space_of(SMALL)
    ideal = [observed(architecture, network) for network in sample(architecture, space, 1000, seed=9)]

    def area(observations: list[Observation]) -> float:
        true = [expected(o.c, o.r, o.d) for o in observations]
        return hypervolume([o.flops for o in observations], true, (flops_of(architecture) * 1.01, 0.3))

    best, missed = area(ideal), np.zeros((4, 2))
    for seed in range(4):
        random = np.random.default_rng(seed)
        at_random = [observed(architecture, n, random.normal(0, 0.005)) for n in sample(architecture, space, 48, seed)]
        chosen: list[Observation] = []
        tuned = None
        for n in (16, *[4] * 8):
            proposals = propose(architecture, space, chosen, n, seed, tuned=tuned)
            tuned = proposals.tuned
            chosen += [observed(architecture, network, random.normal(0, 0.005)) for network in proposals.networks]
        missed[seed] = best - area(at_random), best - area(chosen)

    assert (missed[:, 1] < missed[:, 0]).all()
    assert missed[:, 1].mean() < missed[:, 0].mean() / 3
