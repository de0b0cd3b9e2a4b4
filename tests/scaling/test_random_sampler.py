from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.scaling import families
from app.scaling.errors import ScalingError, SpaceTooSmall
from app.scaling.families import flops_of
from app.scaling.network import Architecture
from app.scaling.search.random_sampler import Space, sample
from tests.scaling.baselines import ARCHITECTURES, B0, SMALL
from tests.support import example_count

WIDE = Space(r=(0.5, 1.2), d=(0.5, 1.4), w=(0.3, 1.5), flops=(30_000_000, 386_000_000))


def space_of(architecture: Architecture) -> Space:
    whole = flops_of(architecture)
    return replace(WIDE, flops=(int(0.2 * whole), whole))


@settings(max_examples=example_count(20))
@given(st.sampled_from(ARCHITECTURES), st.integers(1, 12), st.integers(0, 2**31 - 1))
def test_networks_are_different_and_within_the_space(architecture: Architecture, n: int, seed: int) -> None:
    space = space_of(architecture)
    found = sample(architecture, space, n, seed)

    assert len(found) == len({network.config for network in found}) == n
    for network in found:
        assert space.r[0] - 1e-4 <= network.multipliers.r <= space.r[1] + 1e-4
        assert space.d[0] - 1e-4 <= network.multipliers.d <= space.d[1] + 1e-4
        assert space.w[0] <= network.multipliers.w <= space.w[1]
        assert space.flops[0] <= network.cost.flops <= space.flops[1]
        assert architecture.scale(network.multipliers) == network.config
        assert families.network_cost(network.config) == network.cost


def test_sample_depends_only_on_the_seed() -> None:
    assert sample(B0, WIDE, 10, seed=3) == sample(B0, WIDE, 10, seed=3)
    assert sample(B0, WIDE, 10, seed=3) != sample(B0, WIDE, 10, seed=4)


def test_more_networks_begin_with_the_same_ones() -> None:
    assert sample(B0, WIDE, 20, seed=3)[:5] == sample(B0, WIDE, 5, seed=3)


def test_samples_are_uniform_in_multipliers_and_log_flops() -> None:
    everything = replace(WIDE, w=(0.0, 4.0))
    found = sample(B0, everything, 400, seed=0)
    columns = {
        everything.r: [network.multipliers.r for network in found],
        everything.d: [network.multipliers.d for network in found],
        (np.log(30e6), np.log(386e6)): [np.log(network.cost.flops) for network in found],
    }

    for (least, most), values in columns.items():
        quarters, _ = np.histogram(values, bins=4, range=(least, most))
        assert quarters.sum() >= 398
        assert quarters.min() > 70  # 100 are expected; 70 is 3.5 standard deviations off


def test_narrow_constraint_is_respected() -> None:
    half = replace(WIDE, flops=(190_000_000, 196_000_000))

    assert all(190_000_000 <= network.cost.flops <= 196_000_000 for network in sample(B0, half, 30, seed=1))


def test_range_of_one_point_fixes_the_multiplier() -> None:
    fixed = replace(WIDE, r=(1.0, 1.0))

    assert {network.config.resolution for network in sample(B0, fixed, 10, seed=0)} == {224}


def test_resolution_moved_by_the_solver_is_not_sampled() -> None:
    low = replace(space_of(SMALL), r=(0.1, 0.3), w=(0.0, 4.0), flops=(100_000, 10_000_000))  # 3 to 9 px; at least 8

    assert all(network.config.resolution in (8, 9) for network in sample(SMALL, low, 5, seed=0))
    assert all(network.multipliers.r <= 0.3 for network in sample(SMALL, low, 5, seed=0))


def test_resolution_below_minimum_gives_no_network() -> None:
    too_low = replace(space_of(SMALL), r=(0.1, 0.2), w=(0.0, 4.0), flops=(100_000, 10_000_000))  # 3 to 6 px

    with pytest.raises(SpaceTooSmall):
        sample(SMALL, too_low, 1, seed=0)


@pytest.mark.parametrize("flops", [(1, 1000), (0, 0), (10**13, 10**14)])
def test_unreachable_space_gives_no_network(flops: tuple[int, int]) -> None:
    with pytest.raises(SpaceTooSmall) as refusal:
        sample(B0, replace(WIDE, flops=flops), 5, seed=0)
    assert refusal.value.found == 0
    assert isinstance(refusal.value, ScalingError)


def test_space_too_small_reports_networks_found() -> None:
    one_size = Space(r=(1.0, 1.0), d=(1.0, 1.0), w=(0.9, 1.0), flops=(300_000_000, 400_000_000))
    with pytest.raises(SpaceTooSmall, match=r"has only \d+ of 1000 different networks") as refusal:
        sample(B0, one_size, 1000, seed=0)

    assert 2 <= refusal.value.found < 1000
    assert len(sample(B0, one_size, refusal.value.found, seed=0)) == refusal.value.found
