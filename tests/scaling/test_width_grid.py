from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from app.scaling import families
from app.scaling.architecture import Architecture, Multipliers
from app.scaling.cost_table import DEEPEST, WIDEST, cost_table
from tests.scaling.baselines import ARCHITECTURES, OF_EVERY_FAMILY

ALL = (*ARCHITECTURES, *OF_EVERY_FAMILY)
EVERY_FAMILY = pytest.mark.parametrize("architecture", ALL, ids=[a.name for a in ALL])
PLACE, D, PX = st.floats(0, 1), st.floats(0.05, 3), st.integers(32, 400)


def segment_at(architecture: Architecture, place: float) -> int:
    return round(place * (len(cost_table(architecture).widths) - 1))


def test_every_family_is_looked_at() -> None:
    assert {a.baseline.family for a in OF_EVERY_FAMILY} == set(families.families())


@EVERY_FAMILY
@settings(deadline=None, max_examples=8)
@given(PLACE, D, PX)
def test_the_sheet_agrees_with_the_cost_of_the_network(
    architecture: Architecture, place: float, d: float, px: int
) -> None:
    table, repeats, i = cost_table(architecture), architecture.repeats(d), segment_at(architecture, place)
    cost = families.network_cost(architecture.assembled(px, repeats, float(table.widths[i])))

    assert table.sheet.flops(repeats, px)[i] == cost.flops
    assert table.sheet.params(repeats)[i] == cost.params
    assert table.sheet.peaks(repeats, px)[i] == cost.peak_activation_bytes
    assert table.sheet.cost(i, repeats, px) == cost


@EVERY_FAMILY
@settings(deadline=None, max_examples=8)
@given(st.floats(0.001, WIDEST - 0.001), D, PX)
def test_a_width_belongs_to_the_segment_that_gives_its_network(
    architecture: Architecture, width: float, d: float, px: int
) -> None:
    table, repeats = cost_table(architecture), architecture.repeats(d)
    assume(np.abs(table.edges - width).min() > 1e-9)
    segments = (table.segment(width),) * (len(repeats) + 1)

    assert table.network(segments, repeats, px) == architecture.assembled(px, repeats, width)


@EVERY_FAMILY
def test_every_segment_is_another_network(architecture: Architecture) -> None:
    table, repeats = cost_table(architecture), architecture.repeats(1.0)
    networks = [table.network((i,) * (len(repeats) + 1), repeats, 64) for i in range(len(table.widths))]

    assert (table.edges[0], table.edges[-1]) == (0, WIDEST)
    assert all(one != other for one, other in pairwise(networks))


@EVERY_FAMILY
@settings(deadline=None, max_examples=8)
@given(D, PX)
def test_a_wider_network_costs_more_but_where_a_shortcut_needs_no_convolution(
    architecture: Architecture, d: float, px: int
) -> None:
    flops = cost_table(architecture).sheet.flops(architecture.repeats(d), px)
    falls = np.diff(flops) <= 0

    assert falls.sum() <= (1 if architecture.baseline.family == "ghostnet" else 0)


@EVERY_FAMILY
def test_the_short_width_of_a_segment_lies_in_it(architecture: Architecture) -> None:
    table = cost_table(architecture)

    for i in range(0, len(table.widths), 5):
        width = table.short_width(i)
        assert table.edges[i] < width < table.edges[i + 1]
        assert table.segment(width) == i
    assert len(repr(table.short_width(len(table.widths) // 2))) <= 8


@EVERY_FAMILY
@settings(deadline=None, max_examples=40)
@given(st.floats(0, 1.5 * DEEPEST))
def test_repeats_are_the_architectures(architecture: Architecture, d: float) -> None:
    assert cost_table(architecture).repeats(d) == architecture.repeats(d)


@EVERY_FAMILY
def test_repeats_are_the_architectures_at_and_beside_every_step(architecture: Architecture) -> None:
    table = cost_table(architecture)
    totals = {sum(stage.repeats for stage in joined) for joined in architecture.baseline.joined()}
    steps = {k / (2 * n) for n in totals for k in range(1, min(int(2.2 * DEEPEST * n), 120))}
    steps |= {DEEPEST, *(k / (2 * max(totals)) for k in range(int(19.5 * max(totals)), int(20.5 * max(totals))))}

    for step in steps:
        for d in (step, *(step + off for off in (1e-12, -1e-12, 1e-9, -1e-9, 3e-9, -3e-9, 1e-6, -1e-6))):
            assert table.repeats(d) == architecture.repeats(d), d
        assert table.repeats(np.nextafter(step, 0)) == architecture.repeats(np.nextafter(step, 0))
        assert table.repeats(np.nextafter(step, 99)) == architecture.repeats(np.nextafter(step, 99))


@EVERY_FAMILY
@settings(deadline=None, max_examples=12)
@given(st.floats(0.02, 2.5), st.floats(0, 0.4))
def test_depths_are_all_repeats_within_the_latitude_each_at_its_nearest(
    architecture: Architecture, d: float, latitude: float
) -> None:
    found = cost_table(architecture).depths(d, latitude)
    nearest = {repeats: depth for depth, repeats in found}
    scanned = np.linspace(max(d - latitude, 1e-4), d + latitude, 101)[1:-1] + 1.2345678e-7

    assert found[0] == (d, architecture.repeats(d))
    assert len(nearest) == len(found)
    for depth, repeats in found:
        assert architecture.repeats(depth) == repeats
        assert abs(depth - d) <= latitude + 1e-9
    for depth in scanned[np.abs(scanned - d) < latitude].tolist():
        assert abs(nearest[architecture.repeats(depth)] - d) <= abs(depth - d) + 2e-9


@EVERY_FAMILY
def test_the_least_resolution_is_where_the_network_can_first_be_built(architecture: Architecture) -> None:
    def sides(px: int) -> list[int]:
        return [int(side) for side in families.ledger(architecture.baseline).sides(px)]

    least = cost_table(architecture).least_resolution

    assert 0 not in sides(least)
    assert least == 1 or 0 in sides(least - 1)
    assert least == (32 if architecture.baseline.family == "convnext" else 1)


def test_a_table_is_made_once() -> None:
    assert cost_table(ARCHITECTURES[0]) is cost_table(ARCHITECTURES[0])


@EVERY_FAMILY
@settings(deadline=None, max_examples=3)
@given(st.floats(0.02, 10), st.floats(0.02, 10), st.floats(0.02, 10))
def test_costs_of_many_are_the_costs_of_each_as_far_as_multipliers_go(
    architecture: Architecture, r: float, d: float, w: float
) -> None:
    r, d, w = (np.array([one, 10.0]) for one in (r, d, w))

    resolutions, flops, params = cost_table(architecture).costs(r, d, w)

    for i in range(2):
        config = architecture.scaled(Multipliers(float(r[i]), float(d[i]), float(w[i])))
        if min(int(side) for side in families.ledger(config).sides(config.resolution)) > 0:
            cost = families.network_cost(config)
            assert (resolutions[i], flops[i], params[i]) == (config.resolution, cost.flops, cost.params)
