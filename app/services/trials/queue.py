"""The status of the queue: its length and the expected waiting time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any

from app.core.settings import Settings
from app.core.trials import Progress, TrainingProgress, TrialState
from app.data.builtin_datasets import Dataset, Task, task_of
from app.data.recipes import Recipe
from app.db.unit_of_work import UnitOfWork
from app.services.catalog import datasets
from app.services.trials import lifecycle
from app.services.trials.estimates import Estimate, ThroughputModel, fit_throughput


@dataclass(frozen=True)
class QueueStatus:
    """The status of the queue. `wait` is the time until a trial enqueued now starts; None if no worker is alive."""

    queued: int
    paused: int
    running: int
    workers: int
    wait: Estimate | None


def queue_status(work: UnitOfWork, settings: Settings) -> QueueStatus:
    """Return the queue's status; `wait` is the remaining time of all trials divided by the number of live workers."""
    by_name = {dataset.name: dataset for dataset in datasets.list_all(work)}
    throughput: dict[Task, ThroughputModel] = {
        task: fit_throughput(work, task) for task in ("classification", "detection")
    }
    workers = len(work.workers.list_alive(settings.lease_seconds))
    unfinished = work.trials.progress_in_states(lifecycle.UNFINISHED, lifecycle.QUEUE)
    for name in {trial.dataset for trial in unfinished} - by_name.keys():
        by_name[name] = datasets.find(work, name)  # it was renamed meanwhile
    running = [trial for trial in unfinished if trial.state == TrialState.RUNNING]
    queued = [trial for trial in unfinished if trial.state == TrialState.QUEUED and trial.may_run]
    remaining = [_estimate_remaining(throughput[task_of(trial.dataset)], trial, by_name) for trial in running + queued]
    has_idle_worker = not queued and len(running) < workers
    no_time = throughput["classification"].estimate_from(0.0)
    total = no_time if has_idle_worker else reduce(add, remaining, no_time)
    paused = len(unfinished) - len(running) - len(queued)
    return QueueStatus(len(queued), paused, len(running), workers, _divide(total, workers) if workers else None)


def seconds_left(progress: Progress | None) -> float | None:
    """Return the remaining time as the training estimates it; None before the training has started."""
    return progress.seconds_left if isinstance(progress, TrainingProgress) else None


def _estimate_remaining(throughput: ThroughputModel, trial: Any, by_name: dict[str, Dataset]) -> Estimate:
    remaining = seconds_left(trial.progress)
    if remaining is not None:
        return throughput.estimate_from(remaining)
    return throughput.estimate(trial.flops, by_name[trial.dataset], Recipe(**trial.recipe))


def _divide(total: Estimate, workers: int) -> Estimate:
    return replace(total, seconds=total.seconds / workers, low=total.low / workers, high=total.high / workers)
