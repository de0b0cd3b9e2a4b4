"""The rules by which multipliers become whole numbers.

They are those of the TinyNet paper's code and of timm (`make_divisible`, `round_channels`, `_scale_stage_depth`). The
results are identical to the last bit: the same float operations run in the same order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

Channels = int | NDArray[np.int64]
"""A number of channels, or an array with one entry per candidate network."""

DepthRounding = Literal["round", "ceil"]

PX_NOISE = 1e-9
_MIN_SHARE = 0.9  # of the unrounded width, which channels never fall below


def make_divisible(value: float | Floats, divisor: int) -> Channels:
    """Round `value` to the nearest multiple of `divisor`: at least `divisor`, and at least 90 % of `value`."""
    if isinstance(value, np.ndarray):
        nearest = np.maximum(divisor, (value + divisor / 2).astype(np.int64) // divisor * divisor)
        return np.where(nearest < _MIN_SHARE * value, nearest + divisor, nearest)
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < _MIN_SHARE * value else rounded


def round_channels(value: float | Floats) -> Channels:
    """Round to the nearest whole number of channels, half to even."""
    return value.round().astype(np.int64) if isinstance(value, np.ndarray) else round(value)


def width_breakpoints(channels: int, divisor: int, max_width: float) -> Floats:
    """Return the widths w in (0, max_width] at which `make_divisible(channels * w, divisor)` increases.

    The step from k to k + 1 times the divisor is half way between them or, if that is earlier, where k times the
    divisor falls below 90 %, which happens for k up to 4.
    """
    steps = np.arange(1, int(channels * max_width / divisor) + 2)
    target = np.minimum(steps * divisor / _MIN_SHARE, (steps + 0.5) * divisor)
    widths = target / channels
    valid: Floats = widths[widths <= max_width]
    return valid


def round_repeats(repeats: int, depth: float, rounding: DepthRounding) -> int:
    """Return a stage's repeats at depth multiplier `depth`, at least 1.

    `round` is Python's rounding (half to even), as in timm's `depth_trunc='round'` and the TinyNets; `ceil` is
    EfficientNet's.
    """
    scaled = repeats * depth
    return max(1, round(scaled) if rounding == "round" else math.ceil(scaled))


def distribute_repeats(repeats: Sequence[int], total: int) -> list[int]:
    """Distribute a stage's `total` repeats among its kinds of blocks, like timm's `_scale_stage_depth`.

    The shares are proportional, computed from the last kind to the first, and at least 1 each.
    """
    if len(repeats) == 1:
        return [total]
    shares, remaining = [], sum(repeats)
    for n in reversed(repeats):
        shares.append(max(1, round(n / remaining * total)))
        remaining, total = remaining - n, total - shares[-1]
    return shares[::-1]


def round_to_groups(channels: Channels, group_width: Channels) -> tuple[Channels, Channels]:
    """Return the nearest number of channels that forms whole groups, and the channels per group.

    This is timm's `adjust_widths_groups_comp` (RegNet). Fewer channels than `group_width` form one group.
    """
    if isinstance(channels, np.ndarray):
        widths = np.minimum(channels, group_width)
        return np.round(channels / widths).astype(np.int64) * widths, widths
    width = min(channels, int(group_width))
    return round(channels / width) * width, width


def round_resolution(resolution: int, multiplier: float) -> int:
    """Return the input side in px: the multiplied one, truncated (TinyNet code), and at least 1.

    What is short of a whole px by float noise alone, as 224 * (61 / 224) is, is that px.
    """
    return max(1, int(resolution * multiplier + PX_NOISE))


def shortest_decimal(target: float, low: float, high: float, is_valid: Callable[[float], bool]) -> float:
    """Return a number in [low, high] near `target` with as few decimals as `is_valid` accepts, but at least 3.

    A multiplier that is copied from a response, also as printed with 3 decimals, therefore gives the same network
    wherever 3 decimals can.
    """
    clipped = min(max(target, low), high)
    for digits in range(3, 17):
        nearest, step = round(clipped, digits), 10.0**-digits
        for candidate in (nearest, round(nearest + step, digits), round(nearest - step, digits)):
            if is_valid(candidate):
                return candidate
    return clipped
