"""The accuracy-FLOPs front: NSGA-III selection, its hypervolume, and correlations on it, as in the paper.

Accuracy is to be high and FLOPs low. FLOPs are taken by their logarithm: the Gaussian processes are over log c, and the
networks kept then lie evenly over it. By plain FLOPs they crowd at the cheap end: of a saturating front from 20 to 400
million the widest gap between 20 neighbours is .44 decades, by the logarithm .13.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga3 import ReferenceDirectionSurvival
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.indicators.hv import HV
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting
from pymoo.util.ref_dirs import get_reference_directions
from scipy.stats import pearsonr, spearmanr

from app.scaling.observations import Observation

_SEED = 0
_LEAST_PAIRS = 3
_CONSTANT = 1e-9  # a spread this little, relative to the values, is float noise


def non_dominated(costs: Sequence[float], accuracy: Sequence[float]) -> list[int]:
    """The indices of the networks that no other one beats in accuracy or cost and equals or beats in the other.

    `costs` are of any kind above 0: FLOPs, milliseconds.
    """
    found = NonDominatedSorting().do(_objectives(costs, accuracy), only_non_dominated_front=True)
    return sorted(int(i) for i in found)


def select_front(observations: list[Observation], k: int = 20, least: int = 5) -> list[int]:
    """The indices of at most `k` networks that NSGA-III keeps, by rising flops. The same for the same observations.

    From the non-dominated ones; where these are fewer than `least`, filled up to as many from the fronts behind.
    What has no finite accuracy is never selected.
    """
    known = [i for i, o in enumerate(observations) if isfinite(o.accuracy)]
    flops, accuracy = [observations[i].flops for i in known], [observations[i].accuracy for i in known]
    wanted = min(k, max(len(non_dominated(flops, accuracy)), least))
    kept = [known[i] for i in _survivors(_objectives(flops, accuracy), wanted)] if known else []
    return sorted(kept, key=lambda i: (observations[i].flops, -observations[i].accuracy, i))


def hypervolume(flops: list[int], accuracy: list[float], reference: tuple[float, float]) -> float:
    """The area, in decades of flops times accuracy, that the networks dominate within `reference`.

    `reference` is the worst corner (flops, accuracy): the area reaches from the front to more flops and less accuracy.
    """
    corner = np.array([np.log10(reference[0]), -reference[1]])
    return float(HV(ref_point=corner)(_objectives(flops, accuracy)))


def correlations(observations: list[Observation]) -> dict[str, dict[str, float | None]]:
    """Pearson's and Spearman's, of r, d and w with FLOPs; None where not defined (fewer than 3, or constant)."""
    flops = [float(o.flops) for o in observations]
    return {
        name: {
            "pearson": _correlation(pearsonr, [getattr(o, name) for o in observations], flops),
            "spearman": _correlation(spearmanr, [getattr(o, name) for o in observations], flops),
        }
        for name in ("r", "d", "w")
    }


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


def _correlation(measure: Callable[..., Any], x: list[float], y: list[float]) -> float | None:
    if len(x) < _LEAST_PAIRS or _constant(x) or _constant(y):
        return None
    return float(measure(x, y).statistic)


def _constant(values: list[float]) -> bool:
    return max(values) - min(values) <= _CONSTANT * max(map(abs, values))
