"""Widths by stage: the networks between two widths, where some stages have taken their next step and others have not.

One width moves all channels together, and between two of its steps a network's cost jumps by some percent. With the
stages let go a few steps apart there are hundreds of networks around any width, all within rounding of it: enough to
meet a budget with resolution and depth left where they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, cycle, product
from math import prod

import numpy as np

from app.scaling.cost_sheet import CostSheet, Indices
from app.scaling.cost_table import CostTable

_MOST_NETWORKS = 256
_MOST_KEPT = 128  # steps of all tables together whose networks are remembered


@dataclass(frozen=True)
class Between:
    """The networks between two neighbouring segments of a table's widths, and a few steps beyond.

    `segments` [network, stage] are those that the channels of each stage are taken from; the stem goes with the first,
    the head comes last, and stages of equal channels stay in step. `irregularity` [network] counts the steps that one
    stage has not taken though another has taken one as late or later; 0 is one width for all. `sheet` has their costs.
    """

    segments: Indices
    irregularity: Indices
    sheet: CostSheet


@lru_cache(maxsize=_MOST_KEPT)
def between(table: CostTable, low: int) -> Between:
    """The networks from this segment of the table to the next, themselves among them."""
    middle = min(max(low, 0), max(0, len(table.widths) - 2))
    low, high = middle, min(middle + 1, len(table.widths) - 1)
    starts = _starts(table, low, high)
    for side in cycle((-1, 1)):  # a step down, a step up, as long as there are not too many networks
        next_low, next_high = (low - 1, high) if side < 0 else (low, high + 1)
        if next_low < 0 or next_high == len(table.widths):
            break
        wider = _starts(table, next_low, next_high)
        if prod(len(segments) for segments in wider) > _MOST_NETWORKS:
            break
        low, high, starts = next_low, next_high, wider
    segments = np.array(list(product(*(_representatives(group, middle, high) for group in starts))), dtype=np.int64)
    irregularity = _irregularity(segments, starts)
    segments = segments[:, table.group_of_stage]
    twice = tuple(2 for _ in table.architecture.baseline.stages)
    networks = table.network(segments.T, twice, table.architecture.baseline.resolution)
    return Between(segments, irregularity, CostSheet(networks, len(segments)))


def _starts(table: CostTable, low: int, high: int) -> list[list[int]]:
    """For each group of stages, the segments from `low` to `high` from which on it has other channels."""
    window = table.changes[:, low + 1 : high + 1]
    return [[low, *(low + 1 + np.flatnonzero(group)).tolist()] for group in window]


def _representatives(starts: list[int], middle: int, high: int) -> list[int]:
    """Of the segments that are the same for a group, those nearest to the middle."""
    ends = [*(start - 1 for start in starts[1:]), high]
    return [min(max(middle, start), end) for start, end in zip(starts, ends, strict=True)]


def _irregularity(segments: Indices, starts: list[list[int]]) -> Indices:
    steps = sorted((segment, group) for group, taken in enumerate(starts) for segment in taken[1:])
    count = np.zeros(len(segments), np.int64)
    for (early, one), (late, other) in combinations(steps, 2):
        taken, later_taken = segments[:, one] >= early, segments[:, other] >= late
        count += (taken != later_taken) if early == late else (later_taken & ~taken)
    return count
