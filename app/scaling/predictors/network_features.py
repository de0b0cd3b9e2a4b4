"""The features by which the surrogate sees a network: what was built, not the multipliers that were asked for.

Many multipliers give the same network, as an input has whole pixels and a stage whole blocks. The features are the
logarithms of four ratios to the unscaled baseline: multiply-adds, input side, number of blocks, and side of the last
feature map. The width follows from these. A side is the geometric mean of height and width.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.scaling import families
from app.scaling.cost.ledger import Ledger
from app.scaling.families import flops_of
from app.scaling.input_sizes import Indices, input_sizes
from app.scaling.network import Architecture, Config
from app.scaling.rounding import distribute_repeats

Array = NDArray[np.float64]


def features_at(architecture: Architecture, c: ArrayLike, r: ArrayLike, d: ArrayLike) -> Array:
    """Return the features of the architecture's networks with these multipliers and flops ratios c, [network, 4]."""
    sides = input_sizes(architecture.baseline.resolution).sides_at(np.asarray(r, float))
    return _to_features(architecture, np.asarray(c, float), sides, _count_blocks(architecture, np.asarray(d, float)))


def features_of(architecture: Architecture, config: Config, flops: int) -> Array:
    """Return the features of one scaled network of the architecture, [1, 4]; `flops` are its multiply-adds."""
    blocks = sum(stage.repeats for stage in config.stages)
    c = flops / flops_of(architecture)
    return _to_features(architecture, np.array([c]), _to_arrays(config), np.array([blocks], float))


def _to_features(architecture: Architecture, c: Array, sides: tuple[Indices, Indices], blocks: Array) -> Array:
    """Return the features of networks from their flops ratios, the inputs' heights and widths, and their blocks."""
    baseline = architecture.baseline
    base_blocks = sum(stage.repeats for stage in baseline.stages)
    base_sides = _to_arrays(baseline)
    px, last_px = _mean_px(sides), _mean_px(_last_sides(architecture, sides))
    base_px, base_last_px = _mean_px(base_sides), _mean_px(_last_sides(architecture, base_sides))
    return np.log(np.column_stack([c, px / base_px, blocks / base_blocks, last_px / base_last_px]))


def _to_arrays(config: Config) -> tuple[Indices, Indices]:
    """Return height and width as arrays; of a square they are the same array."""
    height, width = (np.array([side]) for side in config.sides)
    return (height, height) if isinstance(config.resolution, int) else (height, width)


def _mean_px(sides: tuple[Array | Indices, Array | Indices]) -> Array | Indices:
    """Return the geometric means of heights and widths."""
    heights, widths = sides
    return heights if heights is widths else np.sqrt(heights * widths)


def _count_blocks(architecture: Architecture, d: Array) -> Array:
    """Return the same as the sums of `Architecture.repeats`, for many depth multipliers, [network]."""
    blocks = np.zeros(len(d))
    for stages in architecture.baseline.joined_stages():
        repeats = [stage.repeats for stage in stages]
        scaled = sum(repeats) * d
        totals = np.maximum(1, np.round(scaled) if architecture.rules.depth == "round" else np.ceil(scaled))
        different, inverse = np.unique(totals, return_inverse=True)
        shared = [sum(distribute_repeats(repeats, total)) for total in different.astype(int).tolist()]
        blocks += np.array(shared, float)[inverse.ravel()]
    return blocks


def _last_sides(architecture: Architecture, sides: tuple[Indices, Indices]) -> tuple[Array, Array]:
    """Return height and width of the smallest feature map before pooling, 1 or more, for inputs of these sides."""
    heights, widths = sides
    last_heights = _last_side(architecture, heights)
    return last_heights, last_heights if widths is heights else _last_side(architecture, widths)


def _last_side(architecture: Architecture, px: Indices) -> Array:
    maps = _baseline_ledger(architecture).sides(px)[:-1]
    sides: Array = np.maximum(1, np.min(np.stack(maps), axis=0)).astype(float)
    return sides


@lru_cache(maxsize=32)
def _baseline_ledger(architecture: Architecture) -> Ledger:
    return families.ledger(architecture.baseline)
