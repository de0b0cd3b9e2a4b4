"""How multipliers become whole numbers. Each rule stands here once.

The rules are those of the TinyNet paper's code and of timm (`make_divisible`, `round_channels`,
`_scale_stage_depth`), reproduced to the last bit: the same float operations in the same order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

Channels = int | NDArray[np.int64]
"""A number of channels, or an array of them: one entry a candidate network."""

DepthRounding = Literal["round", "ceil"]

_ROUND_LIMIT = 0.9  # never below 90 % of the wanted width


def make_divisible(value: float | Floats, divisor: int) -> Channels:
    """`value` to the nearest multiple of `divisor`: at least `divisor`, never below 90 % of `value`."""
    if isinstance(value, np.ndarray):
        nearest = np.maximum(divisor, (value + divisor / 2).astype(np.int64) // divisor * divisor)
        return np.where(nearest < _ROUND_LIMIT * value, nearest + divisor, nearest)
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < _ROUND_LIMIT * value else rounded


def round_channels(value: float | Floats) -> Channels:
    """The nearest whole number of channels, half to even."""
    return value.round().astype(np.int64) if isinstance(value, np.ndarray) else round(value)


def width_breakpoints(channels: int, divisor: int, most: float) -> Floats:
    """The widths w in (0, most] at which `make_divisible(channels * w, divisor)` takes a step.

    A step from k to k + 1 times the divisor comes at half way, or, where that is earlier, where k times the
    divisor falls below 90 %: for k up to 4.
    """
    steps = np.arange(1, int(channels * most / divisor) + 2)
    wanted = np.minimum(steps * divisor / _ROUND_LIMIT, (steps + 0.5) * divisor)
    widths = wanted / channels
    within: Floats = widths[widths <= most]
    return within


def round_repeats(repeats: int, depth: float, rounding: DepthRounding) -> int:
    """A stage's repeats at depth multiplier `depth`, at least 1.

    `round` is Python's (half to even), as in timm's `depth_trunc='round'` and the TinyNets; `ceil` is EfficientNet's.
    """
    scaled = repeats * depth
    return max(1, round(scaled) if rounding == "round" else math.ceil(scaled))


def share_repeats(repeats: Sequence[int], total: int) -> list[int]:
    """A stage's `total` repeats, shared out among its several kinds of blocks (timm's `_scale_stage_depth`).

    In proportion, from the last kind to the first, each at least once.
    """
    if len(repeats) == 1:
        return [total]
    shares, left = [], sum(repeats)
    for n in reversed(repeats):
        shares.append(max(1, round(n / left * total)))
        left, total = left - n, total - shares[-1]
    return shares[::-1]


def whole_groups(channels: Channels, group_width: Channels) -> tuple[Channels, Channels]:
    """Channels that whole groups make up, and the channels of a group (timm's `adjust_widths_groups_comp`, RegNet).

    The nearest multiple of `group_width`; channels fewer than that are one group.
    """
    if isinstance(channels, np.ndarray):
        widths = np.minimum(channels, group_width)
        return np.round(channels / widths).astype(np.int64) * widths, widths
    width = min(channels, int(group_width))
    return round(channels / width) * width, width


def round_resolution(resolution: int, multiplier: float) -> int:
    """The input side in px: int(resolution * multiplier), at least 1 (TinyNet code)."""
    return max(1, int(resolution * multiplier))


def short_decimal(wanted: float, low: float, high: float, accepts: Callable[[float], bool]) -> float:
    """The number nearest to `wanted` in [low, high], with few decimals (but 4), that `accepts` says is right.

    So that a multiplier read off an answer, typed back in, gives the same network again.
    """
    inside = min(max(wanted, low), high)
    for digits in range(4, 17):
        nearest, step = round(inside, digits), 10.0**-digits
        for candidate in (nearest, round(nearest + step, digits), round(nearest - step, digits)):
            if accepts(candidate):
                return candidate
    return inside
