from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from timm.layers import make_divisible as timm_make_divisible
from timm.models._efficientnet_builder import _scale_stage_depth, round_channels
from timm.models.regnet import adjust_widths_groups_comp

from app.scaling.rounding import (
    DepthRounding,
    distribute_repeats,
    make_divisible,
    round_repeats,
    round_resolution,
    round_to_groups,
    shortest_decimal,
    width_breakpoints,
)

VALUES = st.floats(0.01, 8192) | st.integers(1, 8192)
DIVISORS = st.integers(1, 32)
CHANNELS = st.integers(1, 2048)


@given(VALUES, DIVISORS)
def test_channels_are_rounded_as_timm_does(value: float, divisor: int) -> None:
    assert make_divisible(value, divisor) == timm_make_divisible(value, divisor)


@given(CHANNELS, st.floats(0.01, 4))
def test_a_width_multiplier_rounds_as_in_timm(channels: int, width: float) -> None:
    assert make_divisible(channels * width, 8) == round_channels(channels, width, 8)


@given(st.lists(VALUES, min_size=1, max_size=50), DIVISORS)
def test_array_is_rounded_like_its_elements(values: list[float], divisor: int) -> None:
    rounded = make_divisible(np.array(values, float), divisor)

    assert isinstance(rounded, np.ndarray)
    assert rounded.tolist() == [make_divisible(float(value), divisor) for value in values]


@given(VALUES, DIVISORS)
def test_rounded_channels_are_multiples_near_the_value(value: float, divisor: int) -> None:
    rounded = make_divisible(value, divisor)

    assert rounded % divisor == 0
    assert rounded >= divisor
    assert rounded >= 0.9 * value


@given(CHANNELS, DIVISORS)
def test_channels_step_at_each_breakpoint_by_one_divisor(channels: int, divisor: int) -> None:
    steps = width_breakpoints(channels, divisor, 4.0)
    below = make_divisible(channels * steps * (1 - 1e-9), divisor)
    above = make_divisible(channels * steps * (1 + 1e-9), divisor)

    assert np.all(above - below == divisor)


@given(CHANNELS, DIVISORS)
def test_channels_keep_still_between_breakpoints(channels: int, divisor: int) -> None:
    steps = width_breakpoints(channels, divisor, 4.0)
    edges = np.concatenate([[1e-6], steps[steps < 4.0], [4.0]])
    just_after = make_divisible(channels * edges[:-1] * (1 + 1e-9), divisor)
    just_before = make_divisible(channels * edges[1:] * (1 - 1e-9), divisor)

    assert np.array_equal(just_after, just_before)


@given(st.integers(1, 12), st.floats(0.05, 5), st.sampled_from(["round", "ceil"]))
def test_repeats_are_rounded_as_timm_does(repeats: int, depth: float, rounding: DepthRounding) -> None:
    blocks = _scale_stage_depth([{}], [repeats], depth, rounding)

    assert round_repeats(repeats, depth, rounding) == len(blocks)


@given(st.lists(st.integers(1, 12), min_size=1, max_size=5), st.floats(0.05, 5), st.sampled_from(["round", "ceil"]))
def test_repeats_are_distributed_like_timm(repeats: list[int], depth: float, rounding: DepthRounding) -> None:
    kinds = [
        kind["kind"]
        for kind in _scale_stage_depth([{"kind": i} for i in range(len(repeats))], repeats, depth, rounding)
    ]

    shares = distribute_repeats(repeats, round_repeats(sum(repeats), depth, rounding))
    assert shares == [kinds.count(i) for i in range(len(repeats))]


@given(CHANNELS, CHANNELS)
def test_channels_become_whole_groups_as_timm_does(channels: int, group_width: int) -> None:
    whole, of_group = round_to_groups(channels, group_width)

    assert ([whole], [of_group]) == adjust_widths_groups_comp([channels], [1.0], [group_width])
    assert whole % of_group == 0


@given(st.lists(CHANNELS, min_size=1, max_size=50), CHANNELS)
def test_array_rounds_to_groups_like_its_elements(channels: list[int], group_width: int) -> None:
    whole, of_group = round_to_groups(np.array(channels), group_width)

    assert list(zip(whole, of_group, strict=True)) == [round_to_groups(c, group_width) for c in channels]


def test_half_repeats_round_to_even() -> None:
    assert [round_repeats(n, 0.5, "round") for n in (1, 3, 5, 7)] == [1, 2, 2, 4]


@pytest.mark.parametrize(
    ("multiplier", "px"), [(0.86, 192), (0.84, 188), (0.825, 184), (0.68, 152), (0.475, 106), (1.0, 224), (1e-9, 1)]
)
def test_the_resolution_is_cut_to_whole_px(multiplier: float, px: int) -> None:
    assert round_resolution(224, multiplier) == px


@pytest.mark.parametrize("base", [16, 28, 96, 224, 240, 260, 300, 380, 456, 528, 600])
def test_a_ratio_of_px_gives_that_px(base: int) -> None:
    assert [round_resolution(base, px / base) for px in range(1, 1025)] == list(range(1, 1025))


def test_decimal_is_as_short_as_possible() -> None:
    assert shortest_decimal(0.123456, 0.1, 0.2, lambda w: True) == 0.123
    assert shortest_decimal(0.123456, 0.123451, 0.123459, lambda w: 0.123451 < w < 0.123459) == 0.123456


@given(st.floats(0.01, 4), st.floats(1e-9, 0.5), st.floats(-1, 2))
def test_decimal_is_always_valid(low: float, size: float, where: float) -> None:
    high = low + size

    assert low < shortest_decimal(low + where * size, low, high, lambda w: low < w < high) < high
