"""How long trainings will take, by the service's own estimates."""

from __future__ import annotations

from itertools import islice
from statistics import median
from typing import Any

from app.core.trials import TrialState
from app.reproduce.design import BUDGETS, ONE_BUDGET_SPACE, RANGE_SPACE
from app.reproduce.plan import TrainingSeconds
from rdw_client import Client, Invalid, Trial

_SAMPLE_SIZE = 8
_RECENT_TRIALS = 50
_MIN_TRIALS = 4  # a worker's first trainings include the time to read or render the data set
_MAX_OVERHEAD = 30.0  # seconds


def estimate_training_seconds(client: Client, **study: Any) -> TrainingSeconds:
    """Estimate the seconds of one training in each step; `study` has the architecture, data set and recipe."""
    overhead = _measure_overhead(client, study["architecture"])

    def estimate(space: dict[str, list[float]]) -> float:
        return _estimate_mean(client, space, study) + overhead

    family = ({**RANGE_SPACE, "ratio": [0.95 * ratio, 1.05 * ratio]} for ratio in BUDGETS)
    return TrainingSeconds(estimate(ONE_BUDGET_SPACE), estimate(RANGE_SPACE), tuple(map(estimate, family)))


def estimate_mean_seconds(client: Client, **study: Any) -> float:
    """Estimate the mean seconds of training a network of the range, with validation and export."""
    return _estimate_mean(client, RANGE_SPACE, study) + _measure_overhead(client, study["architecture"])


def _estimate_mean(client: Client, space: dict[str, list[float]], study: dict[str, Any]) -> float:
    """Estimate the mean seconds of training a random network of the space."""
    try:
        return client.estimate_study(**study, space=space, trials=_SAMPLE_SIZE).seconds / _SAMPLE_SIZE
    except Invalid:  # a narrow space may contain only a few networks
        return client.estimate_study(**study, space=space, trials=1).seconds


def _measure_overhead(client: Client, architecture: str) -> float:
    """Measure the seconds of a trial that are not training, such as validation and export."""
    trials = islice(client.trials(state=TrialState.COMPLETED, architecture=architecture), _RECENT_TRIALS)
    overheads = [seconds for trial in trials if (seconds := _overhead(trial)) is not None]
    if len(overheads) < _MIN_TRIALS:
        return min([*overheads, _MAX_OVERHEAD])
    return max(0.0, median(overheads))


def _overhead(trial: Trial) -> float | None:
    if trial.result is None or trial.started_at is None or trial.finished_at is None:
        return None
    return (trial.finished_at - trial.started_at).total_seconds() - float(trial.result["seconds"])
