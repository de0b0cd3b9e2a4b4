"""A pool of a space's networks, computed in bulk, from which a sampler selects."""

from __future__ import annotations

from itertools import islice
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from app.scaling.bounded_cache import BoundedCache
from app.scaling.network import Architecture
from app.scaling.search.candidates import Candidate, find_candidates
from app.scaling.search.observations import NetworkKey
from app.scaling.search.random_sampler import Space
from app.scaling.solver.width_grid import get_width_grid

Array = NDArray[np.float64]

_BLOCK, _MAX_BLOCKS = 1024, 32
_BYTES_PER_CANDIDATE = 500  # 410 were measured
_MAX_WORK = 8e9  # multiplications of a pool: about a second of one core; only networks of very many widths reach it


class CandidatePool:
    """Different networks of a space, evenly spread over r, d and log flops (scrambled Sobol points).

    The pool is deterministic for a seed. It grows on demand until a thousand consecutive points give no new network, or
    the bound on its work is reached.
    """

    def __init__(self, architecture: Architecture, space: Space, seed: int) -> None:
        from scipy.stats.qmc import Sobol

        self._architecture = architecture
        self._space = space
        self._points = Sobol(3, scramble=True, seed=seed)
        self._candidates: dict[NetworkKey, Candidate] = {}
        work_per_block = _BLOCK * get_width_grid(architecture).batch.work_per_point
        self._blocks_left = int(min(_MAX_BLOCKS, max(1, _MAX_WORK // work_per_block)))
        self._lock = Lock()

    def first(self, size: int) -> tuple[Candidate, ...]:
        """Return the first `size` networks; fewer if the pool has no more."""
        with self._lock:
            while len(self._candidates) < size and self._blocks_left > 0:
                count_before = len(self._candidates)
                for candidate in candidates_at(self._architecture, self._space, self._points.random(_BLOCK)):
                    self._candidates.setdefault(candidate.key, candidate)
                self._blocks_left = 0 if len(self._candidates) == count_before else self._blocks_left - 1
            return tuple(islice(self._candidates.values(), size))


_pools: BoundedCache[tuple[Architecture, Space, int], CandidatePool] = BoundedCache(
    "candidate_pools", lambda _: _BLOCK * _MAX_BLOCKS * _BYTES_PER_CANDIDATE
)


def get_pool(architecture: Architecture, space: Space, seed: int) -> CandidatePool:
    """Return the pool from a cache, where it counts with the size that it may grow to."""
    key = architecture, space, seed
    return _pools.get_or_compute(key, lambda: CandidatePool(architecture, space, seed))


def candidates_at(architecture: Architecture, space: Space, coordinates: Array) -> list[Candidate]:
    """Return the networks of the space at coordinates [m, 3] in the unit cube, over r, d and log flops."""
    lower = np.array([space.r[0], space.d[0], np.log(max(1, space.flops[0]))])
    upper = np.array([space.r[1], space.d[1], np.log(max(1, space.flops[1]))])
    points = lower + coordinates * (upper - lower)
    points[:, 2] = np.exp(points[:, 2])
    candidates = find_candidates(architecture, points, reachable_only=False)
    return [c for c in candidates if c is not None and space.contains(c.w, c.flops)]
