"""Which networks to train next: those that promise most to the accuracy-FLOPs front.

Cost is known before a network is trained, accuracy is the surrogate's to guess: the promise is the expected hypervolume
improvement (`ehvi`). Several at once, for workers side by side: each one chosen counts as measured, with the accuracy
expected of it, when the next is (the kriging believer of Ginsbourger et al., 2010); so does what is being trained.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.scaling.architecture import Architecture
from app.scaling.dominance import ranks
from app.scaling.ehvi import expected_improvement
from app.scaling.errors import SpaceTooSmall
from app.scaling.observations import NetworkKey, Observation, network_key, points
from app.scaling.point import Point
from app.scaling.pool import Candidate, drawn, pool
from app.scaling.recommend import flops_of
from app.scaling.sampling import Space
from app.scaling.surrogate import LEAST_NETWORKS, Prior, Surrogate
from app.scaling.width_solver import Solution, solve

Array = NDArray[np.float64]

_CANDIDATES = 1024
_NEAR_FRONT, _STEP = 256, 0.04  # candidates beside the front's networks; how far, of the ranges of r, d and log flops
_MOST_POINTS = 256
_GROWN = 1.25  # hyperparameters are found anew once so many times the networks are known
# How far the worst corner is beyond the space's most cost, of its range, and below the front's least accuracy, of its.
# What is below the corner promises nothing: close under the front, nothing cheaper than its cheapest would be tried.
_BEYOND, _BELOW = 0.1, 1.0


@dataclass(frozen=True)
class Tuned:
    """A surrogate's hyperparameters, and on how many networks they were found: to be kept from one call to the next."""

    prior: Prior
    networks: int


@dataclass(frozen=True)
class Proposals:
    """Networks to train, the most promising first, and the accuracy expected to be measured of each (mean, sd).

    `tuned` is for the next call. Both are None where too little is known.
    """

    networks: list[Solution]
    expected: list[tuple[float, float]] | None
    tuned: Tuned | None


def propose(
    architecture: Architecture,
    space: Space,
    observations: list[Observation],
    n: int,
    seed: int,
    *,
    pending: list[Observation] | None = None,
    excluded: Set[NetworkKey] = frozenset(),
    tuned: Tuned | None = None,
) -> Proposals:
    """`n` different networks of the space, none of which was observed, is pending or excluded. The same for a seed.

    Of `pending` networks, which are being trained, the accuracy is not looked at. With fewer than eight networks
    observed the proposals are an even design (scrambled Sobol points).

    Raises: SpaceTooSmall where the space has no `n` networks more.
    """
    waiting = pending or []
    taken = {network_key(architecture, o) for o in (*observations, *waiting)} | excluded
    left = _left(architecture, space, seed, n, taken)
    if not enough(observations):
        return Proposals([_solved(architecture, c) for c in left[:n]], None, None)
    known = points(observations)
    if tuned is None or len(known) >= _GROWN * tuned.networks:
        tuned = Tuned(Surrogate.fitted(known, most=_MOST_POINTS).prior, len(known))
    fitted = Surrogate.fitted(known, tuned.prior, _MOST_POINTS)
    surrogate = _believing(fitted, waiting)
    near = _near_front(architecture, space, surrogate, seed + len(taken))
    candidates = list({c.key: c for c in (*left[: max(n, _CANDIDATES)], *near) if c.key not in taken}.values())
    best = most_promising(architecture, space, surrogate, candidates, n)
    networks = [_solved(architecture, candidates[i]) for i in best]
    whole = flops_of(architecture)
    expected = [fitted.at(s.cost.flops / whole, s.multipliers.r, s.multipliers.d) for s in networks]
    return Proposals(networks, expected, tuned)


def enough(observations: list[Observation]) -> bool:
    """Whether so many different networks were observed that there is something to learn from them."""
    return len({(p.c, p.r, p.d) for p in points(observations)}) >= LEAST_NETWORKS


def _left(architecture: Architecture, space: Space, seed: int, n: int, taken: Set[NetworkKey]) -> list[Candidate]:
    """What the pool has besides the networks taken, `n` or more.

    Raises: SpaceTooSmall.
    """
    size = _CANDIDATES
    while True:
        size *= 2  # few different sizes, for the sake of the cache
        whole = pool(architecture, space, seed, size)
        left = [c for c in whole if c.key not in taken]
        if len(left) >= _CANDIDATES + n or len(whole) < size:
            break
    if len(left) < n:
        raise SpaceTooSmall(n, len(left))
    return left


def _believing(surrogate: Surrogate, waiting: list[Observation]) -> Surrogate:
    """The surrogate, with what is being trained taken for as accurate as expected."""
    if not waiting:
        return surrogate
    expected, _ = surrogate.over(*([getattr(o, name) for o in waiting] for name in ("c", "r", "d")))
    return surrogate.given([Point(o.c, o.r, o.d, o.w, a) for o, a in zip(waiting, expected.tolist(), strict=True)])


def _near_front(architecture: Architecture, space: Space, surrogate: Surrogate, seed: int) -> list[Candidate]:
    """Networks of the space a little beside those of the front."""
    places = np.array([[p.r, p.d, np.log(p.c * flops_of(architecture))] for p in surrogate.points])
    front = places[ranks(places[:, 2], surrogate.smoothed) == 0]
    low = np.array([space.r[0], space.d[0], np.log(max(1, space.flops[0]))])
    high = np.array([space.r[1], space.d[1], np.log(max(1, space.flops[1]))])
    unit = (front - low) / np.where(high > low, high - low, 1.0)
    random = np.random.default_rng(seed)
    beside = unit[random.integers(len(unit), size=_NEAR_FRONT)] + random.normal(0, _STEP, (_NEAR_FRONT, 3))
    return list(drawn(architecture, space, beside.clip(0, 1)))


def most_promising(
    architecture: Architecture, space: Space, surrogate: Surrogate, candidates: list[Candidate], n: int
) -> list[int]:
    """The indices of the `n` most promising candidates, in the order chosen: each as if those before were measured."""
    flops = np.array([c.flops for c in candidates], float)
    belief = surrogate.belief(flops / flops_of(architecture), [c.r for c in candidates], [c.d for c in candidates])
    x = np.log10(flops)
    costs = np.log10([p.c * flops_of(architecture) for p in surrogate.points])
    accuracy = surrogate.smoothed  # a lucky seed is no step of the front
    worst = _worst(costs, accuracy, space)
    chosen: list[int] = []
    while True:
        gain = expected_improvement(x, belief.mean, belief.sd, (costs, accuracy), worst)
        gain[chosen] = -1.0
        chosen.append(int(gain.argmax()))
        if len(chosen) == n:
            return chosen
        belief.believe(chosen[-1])
        costs, accuracy = np.append(costs, x[chosen[-1]]), np.append(accuracy, belief.mean[chosen[-1]])


def _worst(costs: Array, accuracy: Array, space: Space) -> tuple[float, float]:
    """The corner that hypervolume is within: beyond the space's most cost, and well below the front."""
    least, most = (np.log10(max(1, limit)) for limit in space.flops)
    front = accuracy[ranks(costs, accuracy) == 0]
    spread = max(float(np.ptp(front)), 0.01)
    return float(most + _BEYOND * max(most - least, 0.01)), float(front.min() - _BELOW * spread)


def _solved(architecture: Architecture, candidate: Candidate) -> Solution:
    return solve(architecture, candidate.r, candidate.d, candidate.flops)
