"""The resolution of an input: the side of a square in px or, for other inputs, a pair of height and width.

A pair has different sides, so that each size has one resolution. Where a formula needs one number of px, it is the
geometric mean of both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

Resolution = int | tuple[int, int]
"""The side of a square in px, or height and width if they differ."""


def to_resolution(sides: int | Sequence[int]) -> Resolution:
    """Return the resolution of a side, or of height and width."""
    if isinstance(sides, int):
        return sides
    height, width = sides
    return height if height == width else (height, width)


def resolution_json(resolution: Resolution) -> int | list[int]:
    """Return a resolution as JSON has it: a number or a list of two."""
    return resolution if isinstance(resolution, int) else list(resolution)


def sides_of(resolution: Resolution) -> tuple[int, int]:
    """Return height and width."""
    return (resolution, resolution) if isinstance(resolution, int) else resolution


def mean_px(resolution: Resolution) -> float:
    """Return the geometric mean of height and width; of a square, its side."""
    return resolution if isinstance(resolution, int) else sqrt(resolution[0] * resolution[1])


def describe_resolution(resolution: Resolution) -> str:
    """Return the side or both sides as text, such as `224` or `32 × 64`."""
    return str(resolution) if isinstance(resolution, int) else f"{resolution[0]} × {resolution[1]}"
