"""The active sampler selects the networks to train next: those that promise to improve the accuracy-FLOPs front most.

The cost of a network is known before training; the surrogate predicts its accuracy. The criterion is the expected
hypervolume improvement (`ehvi`). To select several networks for parallel workers, each selected one counts as measured
with its expected accuracy when the next is selected (the kriging believer of Ginsbourger et al., 2010). Networks in
training count the same way.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.scaling.families import flops_of
from app.scaling.network import Architecture
from app.scaling.pareto import ranks
from app.scaling.predictors.network_features import features_at
from app.scaling.predictors.surrogate import MIN_NETWORKS, Prior, Surrogate, count_networks
from app.scaling.search.candidate_pool import candidates_at, get_pool
from app.scaling.search.candidates import Candidate
from app.scaling.search.ehvi import expected_improvement
from app.scaling.search.observations import NetworkKey, Observation, network_key, to_built_points, to_evidence
from app.scaling.search.random_sampler import Space
from app.scaling.solver.width_solver import Solution

Array = NDArray[np.float64]

_CANDIDATES = 1024
_NEAR_FRONT_CANDIDATES = 256
_PERTURBATION = 0.04  # standard deviation around a front network, relative to the ranges of r, d and log flops
_MAX_POINTS = 256
_RETUNE_FACTOR = 1.25  # hyperparameters are tuned again when the number of networks has grown by this factor
# Distance of the corner from the maximum cost and the front's lowest accuracy, relative to the ranges. Networks below
# the corner promise nothing; with a corner close to the front, no cheaper networks would be tried.
_COST_MARGIN, _ACCURACY_MARGIN = 0.1, 1.0


@dataclass(frozen=True)
class TunedPrior:
    """A surrogate's tuned hyperparameters, for reuse by the next call.

    `networks` is the number of networks behind them, `epoch` the one that their accuracies refer to.
    """

    prior: Prior
    networks: int
    epoch: int


@dataclass(frozen=True)
class Proposals:
    """Networks to train, the most promising first, and others (`spares`) to replace those that are taken meanwhile.

    `expected` is the expected accuracy (mean, sd) of each network, then of each spare. `tuned_prior` is for the next
    call. It is None if there are too few observations, and `expected` if there are too few of full trainings. With
    `is_complete` the space has no other networks.
    """

    networks: list[Solution]
    spares: list[Candidate]
    expected: list[tuple[float, float]] | None
    tuned_prior: TunedPrior | None
    is_complete: bool


def propose(
    architecture: Architecture,
    space: Space,
    observations: list[Observation],
    n: int,
    seed: int,
    *,
    pending: list[Observation] | None = None,
    excluded: Set[NetworkKey] = frozenset(),
    tuned_prior: TunedPrior | None = None,
    stopped: list[Observation] | None = None,
    epochs: int = 1,
) -> Proposals:
    """Return `n` different networks of the space that are not observed, pending or excluded; deterministic for a seed.

    There are fewer only if the space has no more. Trainings of `epochs` epochs that still run (`pending`), or ended
    before the last (`stopped`), count by their learning curves; their `accuracy` is ignored. While fewer than eight
    networks have reached any one epoch the proposals are an even design (scrambled Sobol points).
    """
    pending_networks = pending or []
    taken = {network_key(architecture, o) for o in (*observations, *pending_networks)} | excluded
    remaining, is_complete = _remaining_candidates(architecture, space, seed, n, taken)
    training_points, epoch = to_evidence(architecture, observations, [*pending_networks, *(stopped or [])], epochs)
    if not remaining or count_networks(training_points) < MIN_NETWORKS:
        return Proposals([c.build(architecture) for c in remaining[:n]], remaining[n:], None, None, is_complete)
    networks = len(training_points)
    if tuned_prior is None or tuned_prior.epoch != epoch or networks >= _RETUNE_FACTOR * tuned_prior.networks:
        tuned_prior = TunedPrior(Surrogate.fit([*training_points], max_points=_MAX_POINTS).prior, networks, epoch)
    fitted = Surrogate.fit([*training_points], tuned_prior.prior, _MAX_POINTS)
    surrogate = _fantasize_pending(architecture, fitted, pending_networks)
    near_front = _candidates_near_front(architecture, space, surrogate, seed + len(taken))
    candidates = list({c.key: c for c in (*remaining, *near_front) if c.key not in taken}.values())
    ranked = [candidates[i] for i in rank_by_promise(architecture, space, surrogate, candidates, n)]
    means, sds = fitted.predict(_features(architecture, ranked))
    expected = list(zip(means.tolist(), sds.tolist(), strict=True)) if epoch == epochs else None
    return Proposals([c.build(architecture) for c in ranked[:n]], ranked[n:], expected, tuned_prior, is_complete)


def _remaining_candidates(
    architecture: Architecture, space: Space, seed: int, n: int, taken: Set[NetworkKey]
) -> tuple[list[Candidate], bool]:
    """Return networks of the pool that are not taken, enough to choose `n` from, and whether these are all."""
    pool, size, enough = get_pool(architecture, space, seed), _CANDIDATES, max(n, _CANDIDATES)
    while True:  # ends, since a pool is finite
        size *= 2
        candidates = pool.first(size)
        remaining = [c for c in candidates if c.key not in taken]
        is_whole_pool = len(candidates) < size
        if len(remaining) > enough or is_whole_pool:
            return remaining[:enough], is_whole_pool and len(remaining) <= enough


def _fantasize_pending(
    architecture: Architecture, surrogate: Surrogate, pending_networks: list[Observation]
) -> Surrogate:
    """Return the surrogate with the pending networks at their expected accuracies."""
    if not pending_networks:
        return surrogate
    points = to_built_points(architecture, pending_networks)
    expected, _ = surrogate.predict(np.array([p.features for p in points]))
    return surrogate.condition_on([replace(p, accuracy=a) for p, a in zip(points, expected.tolist(), strict=True)])


def _candidates_near_front(
    architecture: Architecture, space: Space, surrogate: Surrogate, seed: int
) -> list[Candidate]:
    """Return networks of the space that are close to those of the front."""
    coordinates = np.array([[p.r, p.d, np.log(p.c * flops_of(architecture))] for p in surrogate.points])
    front = coordinates[ranks(coordinates[:, 2], surrogate.smoothed_accuracies) == 0]
    low = np.array([space.r[0], space.d[0], np.log(max(1, space.flops[0]))])
    high = np.array([space.r[1], space.d[1], np.log(max(1, space.flops[1]))])
    unit = (front - low) / np.where(high > low, high - low, 1.0)
    random = np.random.default_rng(seed)
    centres = unit[random.integers(len(unit), size=_NEAR_FRONT_CANDIDATES)]
    perturbed = centres + random.normal(0, _PERTURBATION, (_NEAR_FRONT_CANDIDATES, 3))
    return list(candidates_at(architecture, space, perturbed.clip(0, 1)))


def rank_by_promise(
    architecture: Architecture, space: Space, surrogate: Surrogate, candidates: list[Candidate], n: int
) -> list[int]:
    """Return the indices of the candidates, the most promising first.

    Each of the first `n` is selected as if those before it were measured; the others follow by what they promise then.
    """
    posterior = surrogate.pool_posterior(_features(architecture, candidates))
    x = np.log10(np.array([c.flops for c in candidates], float))
    costs = np.log10([p.c * flops_of(architecture) for p in surrogate.points])
    accuracy = surrogate.smoothed_accuracies  # a lucky seed must not shape the front
    corner = _reference_corner(costs, accuracy, space)
    selected: list[int] = []
    while True:
        improvement = expected_improvement(x, posterior.mean, posterior.sd, (costs, accuracy), corner)
        improvement[selected] = -1.0
        if len(selected) == min(n, len(candidates)):
            others: list[int] = np.argsort(-improvement, kind="stable")[: len(candidates) - len(selected)].tolist()
            return selected + others
        selected.append(int(improvement.argmax()))
        posterior.fantasize(selected[-1])
        costs, accuracy = np.append(costs, x[selected[-1]]), np.append(accuracy, posterior.mean[selected[-1]])


def _features(architecture: Architecture, candidates: list[Candidate]) -> Array:
    """Return the surrogate's features of the candidates, [candidate, 4]."""
    ratios = np.array([c.flops for c in candidates], float) / flops_of(architecture)
    return features_at(architecture, ratios, [c.r for c in candidates], [c.d for c in candidates])


def _reference_corner(costs: Array, accuracy: Array, space: Space) -> tuple[float, float]:
    """Return the corner that bounds the hypervolume: beyond the space's maximum cost, and well below the front."""
    log_min, log_max = (np.log10(max(1, limit)) for limit in space.flops)
    front = accuracy[ranks(costs, accuracy) == 0]
    spread = max(float(np.ptp(front)), 0.01)
    return float(log_max + _COST_MARGIN * max(log_max - log_min, 0.01)), float(front.min() - _ACCURACY_MARGIN * spread)
