"""The accuracy-FLOPs front: NSGA-III selection, its hypervolume, and correlations on it, as in the paper.

Accuracy is to be high and FLOPs low. FLOPs are taken by their logarithm: the Gaussian processes are over log c, and the
networks kept then lie evenly over it. By plain FLOPs they crowd at the cheap end: of a saturating front from 20 to 400
million the widest gap between 20 neighbours is .44 decades, by the logarithm .13.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from math import isfinite

import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga3 import ReferenceDirectionSurvival
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.indicators.hv import HV
from pymoo.util.ref_dirs import get_reference_directions
from scipy.stats import rankdata

from app.scaling.dominance import first_fronts, ranks
from app.scaling.observations import Observation

Correlation = dict[str, float | tuple[float, float] | None]

_SEED = 0
_LEAST_PAIRS = 3
_RESAMPLES, _INTERVAL = 1000, (0.05, 0.95)
_CONSTANT = 1e-9  # a spread this little, relative to the values, is float noise


def non_dominated(costs: Sequence[float], accuracy: Sequence[float]) -> list[int]:
    """The indices of the networks that no other one beats in accuracy or cost and equals or beats in the other.

    `costs` are of any kind above 0: FLOPs, milliseconds.
    """
    found: list[int] = np.flatnonzero(ranks(np.log10(np.asarray(costs, float)), accuracy) == 0).tolist()
    return found


def select_front(observations: list[Observation], k: int = 20, least: int = 5) -> list[int]:
    """The indices of at most `k` networks that NSGA-III keeps, by rising flops. The same for the same observations.

    From the non-dominated ones; where these are fewer than `least`, filled up to as many from the fronts behind.
    What has no finite accuracy is never selected. Of a network trained several times the luckiest would be: give one
    observation a network (`observations.networks`).
    """
    known = [i for i, o in enumerate(observations) if isfinite(o.accuracy)]
    if not known:
        return []
    objectives = _objectives([observations[i].flops for i in known], [observations[i].accuracy for i in known])
    of = ranks(objectives[:, 0], -objectives[:, 1])
    wanted = min(k, max(int((of == 0).sum()), least), len(known))
    near = first_fronts(of, wanted)  # NSGA-III keeps none of the others, and compares all pairs of what it is given
    kept = [known[near[i]] for i in _survivors(objectives[near], wanted)]
    return sorted(kept, key=lambda i: (observations[i].flops, -observations[i].accuracy, i))


def hypervolume(flops: list[int], accuracy: list[float], reference: tuple[float, float]) -> float:
    """The area, in decades of flops times accuracy, that the networks dominate within `reference`.

    `reference` is the worst corner (flops, accuracy): the area reaches from the front to more flops and less accuracy.
    """
    corner = np.array([np.log10(reference[0]), -reference[1]])
    return float(HV(ref_point=corner)(_objectives(flops, accuracy)))


def correlations(observations: list[Observation]) -> dict[str, Correlation]:
    """Pearson's and Spearman's, of r, d and w with FLOPs; None where not defined (fewer than 3, or constant).

    Beside each its 90 % interval (`pearson_interval`, `spearman_interval`: least, most): the percentiles of 1,000
    resamples of the networks (Efron's bootstrap), the same for the same observations.
    """
    flops = np.array([o.flops for o in observations], float)
    return {name: _correlated(np.array([getattr(o, name) for o in observations]), flops) for name in ("r", "d", "w")}


def _objectives(costs: Sequence[float], accuracy: Sequence[float]) -> NDArray[np.float64]:
    """Both to be low, [network, 2]."""
    return np.column_stack([np.log10(np.array(costs, float)), -np.array(accuracy, float)])


def _survivors(objectives: NDArray[np.float64], wanted: int) -> list[int]:
    directions = get_reference_directions("das-dennis", 2, n_partitions=max(1, wanted - 1))
    population = Population.new(F=objectives, index=np.arange(len(objectives)))
    survival = ReferenceDirectionSurvival(directions)
    with warnings.catch_warnings():  # pymoo switches all warnings off, for the whole process
        kept = survival.do(
            Problem(n_var=1, n_obj=2), population, n_survive=wanted, random_state=np.random.default_rng(_SEED)
        )
    return [int(i) for i in kept.get("index")]


def _correlated(x: NDArray[np.float64], y: NDArray[np.float64]) -> Correlation:
    if len(x) < _LEAST_PAIRS or _constant(x) or _constant(y):
        return {"pearson": None, "pearson_interval": None, "spearman": None, "spearman_interval": None}
    drawn = np.random.default_rng(_SEED).integers(len(x), size=(_RESAMPLES, len(x)))
    found: Correlation = {}
    for name, values in (("pearson", np.asarray), ("spearman", _ranked)):
        found[name] = float(_pearson(values(x[None]), values(y[None]))[0])
        resampled = _pearson(values(x[drawn]), values(y[drawn]))
        least, most = np.nanquantile(resampled, _INTERVAL)
        found[f"{name}_interval"] = float(least), float(most)
    return found


def _pearson(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each pair of rows, [row]; not a number where one of them is constant."""
    x, y = x - x.mean(1, keepdims=True), y - y.mean(1, keepdims=True)
    spread = np.sqrt((x**2).sum(1) * (y**2).sum(1))
    defined = spread > 0
    found: NDArray[np.float64] = np.where(defined, (x * y).sum(1) / np.where(defined, spread, 1.0), np.nan)
    return np.clip(found, -1.0, 1.0)


def _ranked(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(rankdata(values, axis=1))


def _constant(values: NDArray[np.float64]) -> bool:
    """But for float noise."""
    return bool(np.ptp(values) <= _CONSTANT * np.abs(values).max())
