"""How much is waiting, and for how long."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any

from app.datasets import Dataset, Task, task_of
from app.db.unit_of_work import UnitOfWork
from app.recipes import Recipe
from app.services import datasets
from app.services.estimates import Calibration, Estimate, calibration
from app.settings import Settings


@dataclass(frozen=True)
class Queue:
    """`wait` is until a trial that is enqueued now, behind all others, begins; none where no worker lives."""

    queued: int
    paused: int
    running: int
    workers: int
    wait: Estimate | None


def queue(work: UnitOfWork, settings: Settings) -> Queue:
    """The queue as it is; `wait` is what is queued and what is left of the running, shared by the live workers."""
    known = {dataset.name: dataset for dataset in datasets.all_of_them(work)}
    calibrated: dict[Task, Calibration] = {task: calibration(work, task) for task in ("classification", "detection")}
    workers = len(work.workers.alive(settings.lease_seconds))
    there = work.trials.under_way()
    running = [trial for trial in there if trial.state == "running"]
    queued = [trial for trial in there if trial.state == "queued" and trial.may_run]
    left = [_left(calibrated[task_of(trial.dataset)], trial, known) for trial in running + queued]
    free = not queued and len(running) < workers
    none = calibrated["classification"].around(0.0)
    whole = none if free else reduce(add, left, none)
    paused = len(there) - len(running) - len(queued)
    return Queue(len(queued), paused, len(running), workers, _shared(whole, workers) if workers else None)


def _left(calibrated: Calibration, trial: Any, known: dict[str, Dataset]) -> Estimate:
    if trial.progress and "seconds_left" in trial.progress:  # images may still be read
        return calibrated.around(trial.progress["seconds_left"])
    return calibrated.estimate(trial.flops, known[trial.dataset], Recipe(**trial.recipe))


def _shared(whole: Estimate, workers: int) -> Estimate:
    return replace(whole, seconds=whole.seconds / workers, low=whole.low / workers, high=whole.high / workers)
