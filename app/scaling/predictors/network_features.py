"""The features by which the surrogate sees a network: what was built, not the multipliers that were asked for.

Many multipliers give the same network, as an input has whole pixels and a stage whole blocks. The features are the
logarithms of four ratios to the unscaled baseline: multiply-adds, input side, number of blocks, and side of the last
feature map. The width follows from these.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.scaling import families
from app.scaling.cost.ledger import Ledger
from app.scaling.families import flops_of
from app.scaling.network import Architecture, Config
from app.scaling.rounding import PX_NOISE, distribute_repeats

Array = NDArray[np.float64]


def features_at(architecture: Architecture, c: ArrayLike, r: ArrayLike, d: ArrayLike) -> Array:
    """Return the features of the architecture's networks with these multipliers and flops ratios c, [network, 4]."""
    px = np.maximum(1, (architecture.baseline.resolution * np.asarray(r, float) + PX_NOISE).astype(np.int64))
    return _to_features(architecture, np.asarray(c, float), px, _count_blocks(architecture, np.asarray(d, float)))


def features_of(architecture: Architecture, config: Config, flops: int) -> Array:
    """Return the features of one scaled network of the architecture, [1, 4]; `flops` are its multiply-adds."""
    blocks = sum(stage.repeats for stage in config.stages)
    c = flops / flops_of(architecture)
    return _to_features(architecture, np.array([c]), np.array([config.resolution]), np.array([blocks], float))


def _to_features(architecture: Architecture, c: Array, px: NDArray[np.int64], blocks: Array) -> Array:
    baseline = architecture.baseline
    base_blocks = sum(stage.repeats for stage in baseline.stages)
    base_side = _last_side(architecture, np.array([baseline.resolution]))
    sides = _last_side(architecture, px)
    return np.log(np.column_stack([c, px / baseline.resolution, blocks / base_blocks, sides / base_side]))


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


def _last_side(architecture: Architecture, px: NDArray[np.int64]) -> Array:
    """Return the side of the smallest feature map before pooling, 1 or more, for each input side."""
    maps = _baseline_ledger(architecture).sides(px)[:-1]
    sides: Array = np.maximum(1, np.min(np.stack(maps), axis=0)).astype(float)
    return sides


@lru_cache(maxsize=32)
def _baseline_ledger(architecture: Architecture) -> Ledger:
    return families.ledger(architecture.baseline)
