"""The accuracy-FLOPs front: NSGA-III selection, its hypervolume, and correlations on it (paper, section 4).

Accuracy is to be high and FLOPs low. FLOPs are taken by their logarithm, so that the reference directions spread over
orders of magnitude alike and do not crowd at the expensive end.
"""

from __future__ import annotations

from math import isfinite

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


def non_dominated(flops: list[int], accuracy: list[float]) -> list[int]:
    """The indices of networks that no other beats in one and equals or beats in the other."""
    if not flops:
        return []
    found = NonDominatedSorting().do(_objectives(flops, accuracy), only_non_dominated_front=True)
    return sorted(int(i) for i in found)


def select_front(observations: list[Observation], k: int = 20, least: int = 5) -> list[int]:
    """The indices of at most `k` networks that NSGA-III keeps, by rising flops.

    From the non-dominated ones; where these are fewer than `least`, filled up to as many from the fronts behind.
    """
    flops, accuracy = [o.flops for o in observations], [o.accuracy for o in observations]
    front = len(non_dominated(flops, accuracy))
    wanted = min(k, max(front, min(least, len(flops))))
    kept = range(len(flops)) if wanted == len(flops) else _survivors(_objectives(flops, accuracy), wanted)
    return sorted(kept, key=lambda i: (flops[i], -accuracy[i]))


def hypervolume(flops: list[int], accuracy: list[float], reference: tuple[float, float]) -> float:
    """The area of (log10 flops, accuracy) between the front and `reference` (flops, accuracy), its worst corner."""
    corner = np.array([np.log10(reference[0]), -reference[1]])
    return float(HV(ref_point=corner)(_objectives(flops, accuracy)))


def correlations(observations: list[Observation]) -> dict[str, dict[str, float | None]]:
    """Pearson's and Spearman's, of r, d and w with FLOPs; None where they are not defined."""
    flops = [float(o.flops) for o in observations]
    return {
        name: {
            "pearson": _correlation(pearsonr, [getattr(o, name) for o in observations], flops),
            "spearman": _correlation(spearmanr, [getattr(o, name) for o in observations], flops),
        }
        for name in ("r", "d", "w")
    }


def _objectives(flops: list[int], accuracy: list[float]) -> NDArray[np.float64]:
    return np.column_stack([np.log10(np.array(flops, float)), -np.array(accuracy, float)])


def _survivors(objectives: NDArray[np.float64], wanted: int) -> list[int]:
    directions = get_reference_directions("das-dennis", 2, n_partitions=max(1, wanted - 1))
    population = Population.new(F=objectives, index=np.arange(len(objectives)))
    survival = ReferenceDirectionSurvival(directions)
    problem = Problem(n_var=1, n_obj=2)
    kept = survival.do(problem, population, n_survive=wanted, random_state=np.random.default_rng(_SEED))
    return [int(i) for i in kept.get("index")]


def _correlation(measure: object, x: list[float], y: list[float]) -> float | None:
    if len(x) < 3 or len(set(x)) < 2 or len(set(y)) < 2:
        return None
    value = float(measure(x, y).statistic)  # type: ignore[operator]
    return value if isfinite(value) else None
