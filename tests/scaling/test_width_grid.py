from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from app.scaling import families
from app.scaling.network import Architecture, Config, Head, Multipliers, ScalingRules, Stage, Stem
from app.scaling.solver.width_grid import MAX_DEPTH, MAX_WIDTH, get_width_grid
from tests.scaling.baselines import ARCHITECTURES, OF_EVERY_FAMILY
from tests.support import example_count

ALL = (*ARCHITECTURES, *OF_EVERY_FAMILY)
EVERY_FAMILY = pytest.mark.parametrize("architecture", ALL, ids=[a.name for a in ALL])
PLACE, D, PX = st.floats(0, 1), st.floats(0.05, 3), st.integers(32, 400)


def segment_at(architecture: Architecture, place: float) -> int:
    return round(place * (len(get_width_grid(architecture).widths) - 1))


def test_test_baselines_cover_every_family() -> None:
    assert {a.baseline.family for a in OF_EVERY_FAMILY} == set(families.families())


@EVERY_FAMILY
@settings(max_examples=example_count(8))
@given(PLACE, D, PX)
def test_batch_cost_equals_network_cost(architecture: Architecture, place: float, d: float, px: int) -> None:
    grid, repeats, i = get_width_grid(architecture), architecture.repeats(d), segment_at(architecture, place)
    cost = families.network_cost(architecture.assemble(px, repeats, float(grid.widths[i])))

    assert grid.batch.flops(repeats, px)[i] == cost.flops
    assert grid.batch.params(repeats)[i] == cost.params
    assert grid.batch.peaks(repeats, px)[i] == cost.peak_activation_bytes
    assert grid.batch.cost(i, repeats, px) == cost


@pytest.mark.parametrize("d", [0.5, 1.0, 2.0])
def test_head_of_a_ghostnet_depends_on_the_repeats_of_its_last_stage(d: float) -> None:
    stages = (Stage("ghost", 1, 16), Stage("ghost", 2, 24, stride=2, expansion=3))
    config = Config("ghostnet", 96, Stem(16), stages, Head(1280), "relu", num_classes=10)
    architecture = Architecture("own", config, ScalingRules(divisor=4, head="fixed"))
    grid, repeats = get_width_grid(architecture), architecture.repeats(d)

    for i, width in enumerate(grid.widths):
        assert grid.batch.cost(i, repeats, 96) == families.network_cost(architecture.assemble(96, repeats, width))


@EVERY_FAMILY
@settings(max_examples=example_count(8))
@given(st.floats(0.001, MAX_WIDTH - 0.001), D, PX)
def test_segment_of_a_width_gives_its_network(architecture: Architecture, width: float, d: float, px: int) -> None:
    grid, repeats = get_width_grid(architecture), architecture.repeats(d)
    assume(np.abs(grid.edges - width).min() > 1e-9)
    segments = (grid.segment(width),) * (len(repeats) + 1)

    assert grid.network(segments, repeats, px) == architecture.assemble(px, repeats, width)


@EVERY_FAMILY
def test_every_segment_is_another_network(architecture: Architecture) -> None:
    grid, repeats = get_width_grid(architecture), architecture.repeats(1.0)
    networks = [grid.network((i,) * (len(repeats) + 1), repeats, 64) for i in range(len(grid.widths))]

    assert (grid.edges[0], grid.edges[-1]) == (0, MAX_WIDTH)
    assert all(one != other for one, other in pairwise(networks))


@EVERY_FAMILY
@settings(max_examples=example_count(8))
@given(D, PX)
def test_cost_increases_with_width_except_free_shortcuts(architecture: Architecture, d: float, px: int) -> None:
    flops = get_width_grid(architecture).batch.flops(architecture.repeats(d), px)
    falls = np.diff(flops) <= 0

    assert falls.sum() <= (1 if architecture.baseline.family == "ghostnet" else 0)


@EVERY_FAMILY
def test_short_width_lies_in_its_segment(architecture: Architecture) -> None:
    grid = get_width_grid(architecture)

    for i in range(0, len(grid.widths), 5):
        width = grid.short_width(i)
        assert grid.edges[i] < width < grid.edges[i + 1]
        assert grid.segment(width) == i
    assert len(repr(grid.short_width(len(grid.widths) // 2))) <= 8


@EVERY_FAMILY
@settings(max_examples=example_count(40))
@given(st.floats(0, 1.5 * MAX_DEPTH))
def test_repeats_are_the_architectures(architecture: Architecture, d: float) -> None:
    assert get_width_grid(architecture).repeats(d) == architecture.repeats(d)


@EVERY_FAMILY
def test_repeats_match_architecture_around_every_step(architecture: Architecture) -> None:
    grid = get_width_grid(architecture)
    totals = {sum(stage.repeats for stage in joined) for joined in architecture.baseline.joined_stages()}
    steps = {k / (2 * n) for n in totals for k in range(1, min(int(2.2 * MAX_DEPTH * n), 120))}
    steps |= {MAX_DEPTH, *(k / (2 * max(totals)) for k in range(int(19.5 * max(totals)), int(20.5 * max(totals))))}

    for step in steps:
        for d in (step, *(step + off for off in (1e-12, -1e-12, 1e-9, -1e-9, 3e-9, -3e-9, 1e-6, -1e-6))):
            assert grid.repeats(d) == architecture.repeats(d), d
        assert grid.repeats(np.nextafter(step, 0)) == architecture.repeats(np.nextafter(step, 0))
        assert grid.repeats(np.nextafter(step, 99)) == architecture.repeats(np.nextafter(step, 99))


@EVERY_FAMILY
@settings(max_examples=example_count(12))
@given(st.floats(0.02, 2.5), st.floats(0, 0.4))
def test_depths_cover_all_repeats_within_the_radius(architecture: Architecture, d: float, radius: float) -> None:
    found = get_width_grid(architecture).depths(d, radius)
    nearest = {repeats: depth for depth, repeats in found}
    scanned = np.linspace(max(d - radius, 1e-4), d + radius, 101)[1:-1] + 1.2345678e-7

    assert found[0] == (d, architecture.repeats(d))
    assert len(nearest) == len(found)
    for depth, repeats in found:
        assert architecture.repeats(depth) == repeats
        assert abs(depth - d) <= radius + 1e-9
    for depth in scanned[np.abs(scanned - d) < radius].tolist():
        assert abs(nearest[architecture.repeats(depth)] - d) <= abs(depth - d) + 2e-9


@EVERY_FAMILY
def test_min_resolution_is_the_smallest_buildable(architecture: Architecture) -> None:
    def sides(px: int) -> list[int]:
        return [int(side) for side in families.ledger(architecture.baseline).sides(px)]

    least = get_width_grid(architecture).min_resolution

    assert 0 not in sides(least)
    assert least == 1 or 0 in sides(least - 1)
    assert least == (32 if architecture.baseline.family == "convnext" else 1)


def test_grid_is_cached() -> None:
    assert get_width_grid(ARCHITECTURES[0]) is get_width_grid(ARCHITECTURES[0])


@EVERY_FAMILY
@settings(max_examples=example_count(3))
@given(st.floats(0.02, 10), st.floats(0.02, 10), st.floats(0.02, 10))
def test_batched_costs_equal_single_costs(architecture: Architecture, r: float, d: float, w: float) -> None:
    r, d, w = (np.array([one, 10.0]) for one in (r, d, w))

    resolutions, flops, params = get_width_grid(architecture).costs(r, d, w)

    for i in range(2):
        config = architecture.scale(Multipliers(float(r[i]), float(d[i]), float(w[i])))
        if min(int(side) for side in families.ledger(config).sides(config.resolution)) > 0:
            cost = families.network_cost(config)
            assert (resolutions[i], flops[i], params[i]) == (config.resolution, cost.flops, cost.params)
