"""Widths by stage: the networks between two widths, where some stages have taken their next step and others have not.

One width moves all channels together, and between two of its steps a network's cost jumps by some percent. With the
stages let go a few steps apart there are hundreds of networks around any width, all within rounding of it: enough to
meet a budget with resolution and depth left where they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, cycle, product
from math import prod

import numpy as np
from numpy.typing import NDArray

from app.scaling import families
from app.scaling.cost_table import CostTable, Repeats
from app.scaling.rounding import Floats

_MOST_NETWORKS = 256
_MOST_STEPS = 128  # between which a table remembers the networks


@dataclass(frozen=True)
class Between:
    """The networks between two neighbouring segments of a table's widths, and a few steps beyond.

    `columns` [network, stage] are the segments that the channels of each stage are taken from; the stem goes with the
    first, the head comes last, and stages of equal channels stay in step. `irregularity` [network] counts the steps
    that one stage has not taken though another has taken a later one; 0 is one width for all.
    """

    table: CostTable
    columns: NDArray[np.int64]
    irregularity: NDArray[np.int64]
    per_pixel: Floats  # multiply-adds, [network, term]
    part: NDArray[np.int64]  # of each term
    level: NDArray[np.int64]

    def flops(self, repeats: Repeats, resolution: int) -> Floats:
        """Multiply-adds, [network]."""
        table = self.table
        flops: Floats = self.per_pixel @ (table.times(repeats)[self.part] * table.pixels[resolution][self.level])
        return flops


def between(table: CostTable, low: int) -> Between:
    """The networks from this entry of the table's widths to the next, themselves among them; made once."""
    low = min(max(low, 0), max(0, len(table.widths) - 2))
    found = table.between.get(low)
    if found is None:
        if len(table.between) >= _MOST_STEPS:
            del table.between[next(iter(table.between))]
        found = table.between[low] = _made(table, low)
    assert isinstance(found, Between)
    return found


def _made(table: CostTable, middle: int) -> Between:
    low, high = middle, min(middle + 1, len(table.widths) - 1)
    starts = _starts(table, low, high)
    for side in cycle((-1, 1)):  # a step down, a step up, as long as there are not too many networks
        next_low, next_high = (low - 1, high) if side < 0 else (low, high + 1)
        if next_low < 0 or next_high == len(table.widths):
            break
        wider = _starts(table, next_low, next_high)
        if prod(len(columns) for columns in wider) > _MOST_NETWORKS:
            break
        low, high, starts = next_low, next_high, wider
    columns = np.array(list(product(*(_representatives(group, middle, high) for group in starts))), dtype=np.int64)
    irregularity = _irregularity(columns, starts)
    columns = columns[:, table.group_of_stage]
    per_pixel = table.flops_per_pixel(families.ledger(table.network(columns.T)), len(columns))
    part, level = np.nonzero(per_pixel.any(0))
    return Between(table, columns, irregularity, per_pixel[:, part, level].copy(), part, level)


def _starts(table: CostTable, low: int, high: int) -> list[list[int]]:
    """For each group of stages, the segments from `low` to `high` from which on it has other channels."""
    window = table.changes[:, low + 1 : high + 1]
    return [[low, *(low + 1 + np.flatnonzero(group)).tolist()] for group in window]


def _representatives(starts: list[int], middle: int, high: int) -> list[int]:
    """Of the segments that are the same for a group, those nearest to the middle."""
    ends = [*(start - 1 for start in starts[1:]), high]
    return [min(max(middle, start), end) for start, end in zip(starts, ends, strict=True)]


def _irregularity(columns: NDArray[np.int64], starts: list[list[int]]) -> NDArray[np.int64]:
    steps = sorted((column, group) for group, taken in enumerate(starts) for column in taken[1:])
    count = np.zeros(len(columns), np.int64)
    for (early, one), (late, other) in combinations(steps, 2):
        if early < late:
            count += (columns[:, one] < early) & (columns[:, other] >= late)
    return count
