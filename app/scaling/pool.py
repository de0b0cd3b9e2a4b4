"""Networks of a space, drawn once and in bulk: what a sampler chooses from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats.qmc import Sobol

from app.scaling.architecture import Architecture
from app.scaling.cost_sheet import LARGEST
from app.scaling.cost_table import cost_table
from app.scaling.observations import NetworkKey
from app.scaling.rounding import round_resolution
from app.scaling.sampling import Space

Array = NDArray[np.float64]

_BLOCK, _MOST_BLOCKS = 1024, 32


@dataclass(frozen=True)
class Candidate:
    """A network as it was drawn: r and d, and with the width nearest to the cost drawn its flops and key."""

    r: float
    d: float
    flops: int
    key: NetworkKey


@lru_cache(maxsize=16)
def pool(architecture: Architecture, space: Space, seed: int, size: int) -> tuple[Candidate, ...]:
    """At most `size` different networks, spread evenly over r, d and the logarithm of flops (scrambled Sobol points).

    The same for a seed, and a larger pool begins with the smaller one. Fewer where a thousand draws in a row give no
    new network.
    """
    found: dict[NetworkKey, Candidate] = {}
    points = Sobol(3, scramble=True, seed=seed)
    for _ in range(_MOST_BLOCKS):
        before = len(found)
        for candidate in drawn(architecture, space, points.random(_BLOCK)):
            found.setdefault(candidate.key, candidate)
        if len(found) == before or len(found) >= size:
            break
    return tuple(found.values())[:size]


def drawn(architecture: Architecture, space: Space, places: Array) -> Iterable[Candidate]:
    """The networks of the space at places [m, 3] of the unit cube, over r, d and the logarithm of flops."""
    table, base = cost_table(architecture), architecture.baseline.resolution
    least = np.array([space.r[0], space.d[0], np.log(max(1, space.flops[0]))])
    most = np.array([space.r[1], space.d[1], np.log(max(1, space.flops[1]))])
    for r, d, log_flops in (least + places * (most - least)).tolist():
        px, repeats = round_resolution(base, r), table.repeats(d)
        if not table.least_resolution <= px <= LARGEST:
            continue
        by_width = table.sheet.flops(repeats, px)
        segment = int(np.abs(by_width - np.exp(log_flops)).argmin())
        flops = int(by_width[segment])
        if space.w[0] <= table.short_width(segment) <= space.w[1] and space.flops[0] <= flops <= space.flops[1]:
            params = int(table.sheet.params(repeats)[segment])
            yield Candidate(r, d, flops, (px, flops, params))
