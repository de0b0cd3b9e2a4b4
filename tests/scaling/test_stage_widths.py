from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.scaling import families
from app.scaling.architecture import Architecture, Config
from app.scaling.cost_sheet import Indices
from app.scaling.cost_table import cost_table
from app.scaling.stage_widths import between
from tests.scaling.baselines import ARCHITECTURES, B0, OF_EVERY_FAMILY

ALL = (*ARCHITECTURES, *OF_EVERY_FAMILY)
EVERY_FAMILY = pytest.mark.parametrize("architecture", ALL, ids=[a.name for a in ALL])
PLACE = st.floats(0, 1)


def low_at(architecture: Architecture, place: float) -> int:
    return round(place * (len(cost_table(architecture).widths) - 2))


def networks_of(architecture: Architecture, low: int, d: float = 1.0, px: int = 64) -> list[Config]:
    table, repeats = cost_table(architecture), architecture.repeats(d)
    return [table.network(tuple(row), repeats, px) for row in between(table, low).segments.tolist()]


def channels(architecture: Architecture, segments: Indices) -> list[tuple[int, ...]]:
    """The channels of stem, stages and head of the networks of these segments, [network, stage]."""
    many = cost_table(architecture).network(segments.T, architecture.repeats(1.0), 64)
    counts = (many.stem.channels, *(stage.channels for stage in many.stages), many.head.channels)
    return list(zip(*(np.broadcast_to(count, len(segments)).tolist() for count in counts), strict=True))


def of_one_width(architecture: Architecture) -> list[tuple[int, ...]]:
    widths, stages = len(cost_table(architecture).widths), len(architecture.baseline.stages)
    return channels(architecture, np.tile(np.arange(widths), (stages + 1, 1)).T)


@EVERY_FAMILY
@settings(deadline=None, max_examples=10)
@given(PLACE)
def test_the_networks_of_the_two_widths_are_among_them_and_none_twice(architecture: Architecture, place: float) -> None:
    low, uniform = low_at(architecture, place), of_one_width(architecture)
    found = channels(architecture, between(cost_table(architecture), low).segments)

    assert {uniform[low], uniform[low + 1]} <= set(found)
    assert len(set(found)) == len(found) <= 256


@EVERY_FAMILY
@settings(deadline=None, max_examples=10)
@given(PLACE)
def test_those_of_one_width_are_regular(architecture: Architecture, place: float) -> None:
    near, uniform = between(cost_table(architecture), low_at(architecture, place)), set(of_one_width(architecture))
    found = channels(architecture, near.segments)

    assert all(near.irregularity[i] == 0 for i in range(len(found)) if found[i] in uniform)


def test_those_of_no_one_width_are_irregular() -> None:
    table, uniform = cost_table(B0), set(of_one_width(B0))

    for low in range(0, len(table.widths) - 1, 9):
        near = between(table, low)
        found = channels(B0, near.segments)
        assert all(near.irregularity[i] > 0 for i in range(len(found)) if found[i] not in uniform)


@EVERY_FAMILY
@settings(deadline=None, max_examples=5)
@given(PLACE, st.floats(0.1, 2), st.integers(32, 300))
def test_the_sheet_agrees_with_the_costs_of_the_networks(
    architecture: Architecture, place: float, d: float, px: int
) -> None:
    low, repeats = low_at(architecture, place), architecture.repeats(d)
    sheet = between(cost_table(architecture), low).sheet
    networks = networks_of(architecture, low, d, px)
    flops, params, peaks = sheet.flops(repeats, px), sheet.params(repeats), sheet.peaks(repeats, px)

    assert sheet.n == len(networks)
    for i in range(0, len(networks), 17):
        cost = families.network_cost(networks[i])
        assert (flops[i], params[i], peaks[i]) == (cost.flops, cost.params, cost.peak_activation_bytes)
        assert sheet.cost(i, repeats, px) == cost


@EVERY_FAMILY
@settings(deadline=None, max_examples=5)
@given(PLACE)
def test_every_network_can_be_built_and_follows_from_its_widths(architecture: Architecture, place: float) -> None:
    low, table = low_at(architecture, place), cost_table(architecture)
    segments = between(table, low).segments.tolist()

    for network, row in list(zip(networks_of(architecture, low), segments, strict=True))[::7]:
        families.check(network)
        w_stages = tuple(table.short_width(segment) for segment in row)
        assert architecture.assembled(64, architecture.repeats(1.0), 1.0, w_stages) == network


@EVERY_FAMILY
@settings(deadline=None, max_examples=5)
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
def test_beyond_the_ends_are_the_networks_at_the_ends(architecture: Architecture) -> None:
    table = cost_table(architecture)
    most = len(table.widths) - 2

    assert (between(table, -1).segments == between(table, 0).segments).all()
    assert (between(table, most + 1).segments == between(table, most).segments).all()
