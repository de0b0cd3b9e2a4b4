"""Widths by stage: the networks between two widths, where some stages have taken their next step and others have not.

One width moves all channels together, and between two of its steps a network's cost jumps by some percent. With the
stages let go a few steps apart there are hundreds of networks around any width, all within rounding of it: enough to
meet a budget with resolution and depth left where they are.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod

import numpy as np

from app.scaling.cost_sheet import CostSheet, Indices
from app.scaling.cost_table import CostTable

_MOST_NETWORKS = 256
_FURTHEST = 8  # steps up and down
_MOST_KEPT = 128  # steps of all tables together whose networks are remembered


@dataclass(frozen=True)
class Between:
    """The networks between two neighbouring segments of a table's widths, and a few steps beyond.

    `segments` [network, stage] are those that the channels of each stage are taken from; the stem goes with the first,
    the head comes last, and stages of equal channels stay in step. `irregularity` [network] counts the steps that
    stages are away from the nearest network of one width; 0 is one. `sheet` has their costs.
    """

    segments: Indices
    irregularity: Indices
    sheet: CostSheet


@lru_cache(maxsize=_MOST_KEPT)
def between(table: CostTable, low: int) -> Between:
    """The networks from this segment of the table to the next, themselves among them."""
    middle = min(max(low, 0), max(0, len(table.widths) - 2))
    low, high = middle, min(middle + 1, len(table.widths) - 1)
    runs = _runs(table, middle, low, high)
    for side in (-1, 1) * _FURTHEST:  # a step down, a step up, as long as there are not too many networks
        next_low, next_high = (low - 1, high) if side < 0 else (low, high + 1)
        if next_low < 0 or next_high == len(table.widths):
            break
        wider = _runs(table, middle, next_low, next_high)
        if prod(map(len, wider)) > _MOST_NETWORKS:
            break
        low, high, runs = next_low, next_high, wider
    nearest = [[min(max(middle, start), end) for start, end in of_group] for of_group in runs]
    segments = np.array(list(product(*nearest)), dtype=np.int64)
    irregularity = _irregularity(table, segments, low, high)
    segments = segments[:, table.group_of_stage]
    twice = tuple(2 for _ in table.architecture.baseline.stages)
    networks = table.network(segments.T, twice, table.architecture.baseline.resolution)
    return Between(segments, irregularity, CostSheet(networks, len(segments), table.sheet.pixels))


def _runs(table: CostTable, middle: int, low: int, high: int) -> list[list[tuple[int, int]]]:
    """For each group of stages the runs of segments, from `low` to `high`, in which its channels are the same.

    At most one step of its own away from the channels between which one width would have it.
    """
    found = []
    for changes in table.changes[:, low + 1 : high + 1]:
        starts = [low, *(low + 1 + np.flatnonzero(changes)).tolist()]
        runs = list(zip(starts, [*(start - 1 for start in starts[1:]), high], strict=True))
        at, next_at = (bisect_right(starts, segment) - 1 for segment in (middle, middle + 1))
        found.append(runs[max(0, at - 1) : next_at + 2])
    return found


def _irregularity(table: CostTable, segments: Indices, low: int, high: int) -> Indices:
    """How many steps, of all groups together, each network is away from the nearest of one width."""
    taken = np.cumsum(table.changes[:, low : high + 1], axis=1)  # steps of a group up to each segment
    ours = np.stack([of_group[segment - low] for of_group, segment in zip(taken, segments.T, strict=True)])
    away: Indices = np.abs(ours[:, :, np.newaxis] - taken[:, np.newaxis, :]).sum(0).min(1)
    return away
