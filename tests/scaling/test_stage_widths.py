from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.scaling import families
from app.scaling.network import Architecture, Config
from app.scaling.solver.cost_batch import Indices
from app.scaling.solver.stage_widths import candidates_around
from app.scaling.solver.width_grid import get_width_grid
from tests.scaling.baselines import ARCHITECTURES, B0, OF_EVERY_FAMILY
from tests.support import example_count

ALL = (*ARCHITECTURES, *OF_EVERY_FAMILY)
EVERY_FAMILY = pytest.mark.parametrize("architecture", ALL, ids=[a.name for a in ALL])
PLACE = st.floats(0, 1)


def low_at(architecture: Architecture, place: float) -> int:
    return round(place * (len(get_width_grid(architecture).widths) - 2))


def networks_of(architecture: Architecture, low: int, d: float = 1.0, px: int = 64) -> list[Config]:
    grid, repeats = get_width_grid(architecture), architecture.repeats(d)
    return [grid.network(tuple(row), repeats, px) for row in candidates_around(grid, low).segments.tolist()]


def channels(architecture: Architecture, segments: Indices) -> list[tuple[int, ...]]:
    """The channels of stem, stages and head of the networks of these segments, [network, stage]."""
    many = get_width_grid(architecture).network(segments.T, architecture.repeats(1.0), 64)
    counts = (many.stem.channels, *(stage.channels for stage in many.stages), many.head.channels)
    return list(zip(*(np.broadcast_to(count, len(segments)).tolist() for count in counts), strict=True))


def of_one_width(architecture: Architecture) -> list[tuple[int, ...]]:
    widths, stages = len(get_width_grid(architecture).widths), len(architecture.baseline.stages)
    return channels(architecture, np.tile(np.arange(widths), (stages + 1, 1)).T)


@EVERY_FAMILY
@settings(max_examples=example_count(10))
@given(PLACE)
def test_candidates_include_both_widths_without_repeats(architecture: Architecture, place: float) -> None:
    low, uniform = low_at(architecture, place), of_one_width(architecture)
    found = channels(architecture, candidates_around(get_width_grid(architecture), low).segments)

    assert {uniform[low], uniform[low + 1]} <= set(found)
    assert len(set(found)) == len(found) <= 256


@EVERY_FAMILY
@settings(max_examples=example_count(10))
@given(PLACE)
def test_uniform_networks_have_distance_zero(architecture: Architecture, place: float) -> None:
    near, uniform = (
        candidates_around(get_width_grid(architecture), low_at(architecture, place)),
        set(of_one_width(architecture)),
    )
    found = channels(architecture, near.segments)

    assert all(near.uniformity_distance[i] == 0 for i in range(len(found)) if found[i] in uniform)


def test_non_uniform_networks_have_positive_distance() -> None:
    grid, uniform = get_width_grid(B0), set(of_one_width(B0))

    for low in range(0, len(grid.widths) - 1, 9):
        near = candidates_around(grid, low)
        found = channels(B0, near.segments)
        assert all(near.uniformity_distance[i] > 0 for i in range(len(found)) if found[i] not in uniform)


@EVERY_FAMILY
@settings(max_examples=example_count(5))
@given(PLACE, st.floats(0.1, 2), st.integers(32, 300))
def test_batch_costs_equal_network_costs(architecture: Architecture, place: float, d: float, px: int) -> None:
    low, repeats = low_at(architecture, place), architecture.repeats(d)
    batch = candidates_around(get_width_grid(architecture), low).batch
    networks = networks_of(architecture, low, d, px)
    flops, params, peaks = batch.flops(repeats, px), batch.params(repeats), batch.peaks(repeats, px)

    assert batch.n == len(networks)
    for i in range(0, len(networks), 17):
        cost = families.network_cost(networks[i])
        assert (flops[i], params[i], peaks[i]) == (cost.flops, cost.params, cost.peak_activation_bytes)
        assert batch.cost(i, repeats, px) == cost


@EVERY_FAMILY
@settings(max_examples=example_count(5))
@given(PLACE)
def test_candidates_are_valid_and_match_their_widths(architecture: Architecture, place: float) -> None:
    low, grid = low_at(architecture, place), get_width_grid(architecture)
    segments = candidates_around(grid, low).segments.tolist()

    for network, row in list(zip(networks_of(architecture, low), segments, strict=True))[::7]:
        families.check(network)
        w_stages = tuple(grid.short_width(segment) for segment in row)
        assert architecture.assemble(64, architecture.repeats(1.0), 1.0, w_stages) == network


@EVERY_FAMILY
@settings(max_examples=example_count(5))
@given(PLACE)
def test_stages_of_equal_channels_stay_equal(architecture: Architecture, place: float) -> None:
    alike = [
        i
        for i, (one, other) in enumerate(pairwise(architecture.baseline.stages))
        if (one.channels, one.group_width) == (other.channels, other.group_width)
    ]

    for network in networks_of(architecture, low_at(architecture, place)):
        assert all(network.stages[i].channels == network.stages[i + 1].channels for i in alike)


@EVERY_FAMILY
def test_candidates_beyond_the_ends_are_clipped(architecture: Architecture) -> None:
    grid = get_width_grid(architecture)
    most = len(grid.widths) - 2

    assert (candidates_around(grid, -1).segments == candidates_around(grid, 0).segments).all()
    assert (candidates_around(grid, most + 1).segments == candidates_around(grid, most).segments).all()
