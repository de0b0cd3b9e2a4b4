"""The accuracy-FLOPs front: NSGA-III selection, hypervolume, and correlations, as in the paper.

Accuracy is maximized and log flops are minimized. The Gaussian processes are over log c, and the selected networks are
then evenly spread over it. With plain flops they crowd at the cheap end: for a saturating front from 20 to 400 million
flops, the widest gap between 20 neighbours is .44 decades, compared to .13 with the logarithm.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from app.scaling.network import Architecture
from app.scaling.pareto import LOG_COST_MARGIN, first_fronts, ranks
from app.scaling.predictors.surrogate import Surrogate
from app.scaling.search.observations import Observation, to_built_points

Correlation = dict[str, float | tuple[float, float] | None]

USUAL_NOISE = 0.01  # of a measured accuracy, if nothing tells it: a standard deviation

_SEED = 0
_MIN_PAIRS = 3
_RESAMPLES, _INTERVAL = 1000, (0.05, 0.95)
_MIN_SMOOTHED = 20  # networks with which a surrogate is never worse than a straight line
_MAX_SMOOTHED, _MAX_SURROGATE_POINTS = 1000, 256
_MAX_ERROR = 0.7  # of a surrogate with skill: its leave-one-out error, relative to the accuracies' spread
_CONSTANT_TOLERANCE = 1e-9  # relative spread up to which values differ only by float noise


@dataclass(frozen=True)
class Smoothed:
    """The accuracies of networks by which a front is selected, and the standard deviation of one measurement.

    They are expectations if a surrogate of the networks has skill, else the measured ones.
    """

    accuracy: tuple[float, ...]
    noise: float = USUAL_NOISE


def smooth(architecture: Architecture, observations: list[Observation]) -> Smoothed:
    """Return the accuracies of observations, one per network (`average_repeats`), without the noise of a seed.

    Only networks near the front (a thousand or the next larger number) are smoothed: the others keep an accuracy of
    which the front does not depend.
    """
    accuracy = np.array([o.accuracy for o in observations], float)
    finite = np.flatnonzero(np.isfinite(accuracy))
    costs = np.log10([observations[i].flops for i in finite.tolist()])
    near = finite[first_fronts(ranks(costs, accuracy[finite]), _MAX_SMOOTHED)]
    if len(near) < _MIN_SMOOTHED:
        return Smoothed(tuple(accuracy.tolist()))
    points = to_built_points(architecture, [observations[i] for i in near.tolist()])
    surrogate = Surrogate.fit([*points], max_points=_MAX_SURROGATE_POINTS)
    if surrogate.quality().rmse > _MAX_ERROR * float(accuracy[near].std()):
        return Smoothed(tuple(accuracy.tolist()))
    accuracy[near] = surrogate.predict(np.array([p.features for p in points]))[0]
    return Smoothed(tuple(accuracy.tolist()), surrogate.noise_sd(float(np.median(accuracy[near]))))


def non_dominated(costs: Sequence[float], accuracy: Sequence[float], noise: float = USUAL_NOISE) -> list[int]:
    """Return the indices of the networks that no other network dominates.

    `costs` are any positive quantity, such as flops or milliseconds. A network that costs 1 % more also dominates one
    whose accuracy is lower by more than `noise`.
    """
    log_costs = np.log10(np.asarray(costs, float))
    indices: list[int] = np.flatnonzero(ranks(log_costs, accuracy, LOG_COST_MARGIN, noise) == 0).tolist()
    return indices


def select_front(
    observations: list[Observation], k: int = 20, min_size: int = 5, smoothed: Smoothed | None = None
) -> list[int]:
    """Return the indices of at most `k` networks that NSGA-III selects, by increasing flops; deterministic.

    They come from the non-dominated networks (`non_dominated`), by the measured accuracies or the smoothed ones. If
    these are fewer than `min_size`, the next fronts fill up to that number. Networks without a finite accuracy are
    never selected. Pass one observation per network (`average_repeats`), since otherwise the luckiest of several
    trainings is selected.
    """
    finite = [i for i, o in enumerate(observations) if isfinite(o.accuracy)]
    if not finite:
        return []
    accuracies = [o.accuracy for o in observations] if smoothed is None else smoothed.accuracy
    objectives = _objectives([observations[i].flops for i in finite], [accuracies[i] for i in finite])
    noise = USUAL_NOISE if smoothed is None else smoothed.noise
    front_ranks = ranks(objectives[:, 0], -objectives[:, 1], LOG_COST_MARGIN, noise)
    size = min(k, max(int((front_ranks == 0).sum()), min_size), len(finite))
    # NSGA-III selects from these fronts alone, and compares all pairs of its input.
    candidates = first_fronts(front_ranks, size)
    selected = [finite[candidates[i]] for i in _select_survivors(objectives[candidates], size)]
    return sorted(selected, key=lambda i: (observations[i].flops, -observations[i].accuracy, i))


def hypervolume(flops: list[int], accuracy: list[float], reference: tuple[float, float]) -> float:
    """Return the area, in decades of flops times accuracy, that the networks dominate within `reference`.

    `reference` is the worst corner (flops, accuracy): the area extends from the front to more flops and less accuracy.
    """
    from pymoo.indicators.hv import HV

    corner = np.array([np.log10(reference[0]), -reference[1]])
    return float(HV(ref_point=corner)(_objectives(flops, accuracy)))


def correlations(observations: list[Observation]) -> dict[str, Correlation]:
    """Return Pearson's and Spearman's correlations of r, d and w with flops.

    A correlation is None if it is undefined (fewer than 3 networks, or constant values). The 90 % intervals
    (`pearson_interval`, `spearman_interval`) are percentiles of 1,000 resamples (Efron's bootstrap); they are
    deterministic.
    """
    flops = np.array([o.flops for o in observations], float)
    return {name: _correlate(np.array([getattr(o, name) for o in observations]), flops) for name in ("r", "d", "w")}


def _objectives(costs: Sequence[float], accuracy: Sequence[float]) -> NDArray[np.float64]:
    """Return both objectives as quantities to minimize, [network, 2]."""
    return np.column_stack([np.log10(np.array(costs, float)), -np.array(accuracy, float)])


def _select_survivors(objectives: NDArray[np.float64], size: int) -> list[int]:
    from pymoo.algorithms.moo.nsga3 import ReferenceDirectionSurvival
    from pymoo.core.population import Population
    from pymoo.core.problem import Problem
    from pymoo.util.ref_dirs import get_reference_directions

    directions = get_reference_directions("das-dennis", 2, n_partitions=max(1, size - 1))
    population = Population.new(F=objectives, index=np.arange(len(objectives)))
    survival = ReferenceDirectionSurvival(directions)
    with warnings.catch_warnings():  # pymoo switches all warnings off, for the whole process
        selected = survival.do(
            Problem(n_var=1, n_obj=2), population, n_survive=size, random_state=np.random.default_rng(_SEED)
        )
    return [int(i) for i in selected.get("index")]


def _correlate(x: NDArray[np.float64], y: NDArray[np.float64]) -> Correlation:
    if len(x) < _MIN_PAIRS or _is_constant(x) or _is_constant(y):
        return {"pearson": None, "pearson_interval": None, "spearman": None, "spearman_interval": None}
    # scipy.stats.bootstrap computes the same percentiles in 2 to 5 times the time, and no interval at all if a single
    # resample is constant, which is usual with 5 networks.
    resamples = np.random.default_rng(_SEED).integers(len(x), size=(_RESAMPLES, len(x)))
    correlation: Correlation = {}
    for name, values in (("pearson", np.asarray), ("spearman", _rank_rows)):
        correlation[name] = float(_pearson(values(x[None]), values(y[None]))[0])
        resampled = _pearson(values(x[resamples]), values(y[resamples]))
        lower, upper = np.nanquantile(resampled, _INTERVAL)
        correlation[f"{name}_interval"] = float(lower), float(upper)
    return correlation


def _pearson(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the correlation of each pair of rows, [row]; not a number if one of them is constant."""
    x, y = x - x.mean(1, keepdims=True), y - y.mean(1, keepdims=True)
    spread = np.sqrt((x**2).sum(1) * (y**2).sum(1))
    defined = spread > 0
    coefficients: NDArray[np.float64] = np.where(defined, (x * y).sum(1) / np.where(defined, spread, 1.0), np.nan)
    return np.clip(coefficients, -1.0, 1.0)


def _rank_rows(values: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.stats import rankdata

    return np.asarray(rankdata(values, axis=1))


def _is_constant(values: NDArray[np.float64]) -> bool:
    """Return whether the values are equal except for float noise."""
    return bool(np.ptp(values) <= _CONSTANT_TOLERANCE * np.abs(values).max())
