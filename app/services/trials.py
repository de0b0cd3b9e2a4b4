"""Train on demand: a trial is what it trains, so the same request finds the same trial."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from dataclasses import dataclass
from typing import Any

from app.datasets import Dataset
from app.db.tables import TrialRow, utc_now
from app.db.unit_of_work import UnitOfWork
from app.errors import Conflict, Invalid, NotFound
from app.recipes import Recipe
from app.scaling import families
from app.scaling.architecture import Config, Multipliers
from app.services.estimates import Calibration, Estimate, calibration

log = logging.getLogger("rdw.trials")

ON_DEMAND = 0  # the priority of a trial that a client waits for, …
BULK = -5  # … and of those of a study


@dataclass(frozen=True)
class Plan:
    """What to train, on what, how; `baseline_flops` and `multipliers` where it is a scaled baseline."""

    architecture: str
    config: Config
    dataset: Dataset
    recipe: Recipe
    seed: int
    multipliers: Multipliers | None = None
    baseline_flops: int | None = None
    predicted: dict[str, Any] | None = None
    calibration: Calibration | None = None  # None: made when it is needed
    until_epoch: int | None = None  # held after so many epochs, until its study lets it go on

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything that decides the result."""
        decisive = [self.config.to_json(), self.dataset.digest, self.recipe.decisive(), self.seed]
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def estimate(work: UnitOfWork, plan: Plan) -> Estimate:
    """What the plan would take; nothing is enqueued.

    Raises: InvalidNetwork; Invalid where the classifier does not fit the data set.
    """
    _check(plan)
    flops = families.network_cost(plan.config).flops
    return calibration(work, plan.dataset.task).estimate(flops, plan.dataset, plan.recipe)


def find(work: UnitOfWork, trial_id: str) -> TrialRow:
    """Raises: NotFound."""
    row = work.trials.get(trial_id)
    if row is None:
        raise NotFound("trial", trial_id)
    return row


def request(
    work: UnitOfWork,
    plan: Plan,
    *,
    study_id: str | None = None,
    role: str = "recommended",
    request_id: str | None = None,
    priority: int = ON_DEMAND,
) -> TrialRow:
    """The trial of this plan: the one that runs or has finished already, else a new one, to be sent at the commit.

    One that waits takes the priority of whoever wants it most; `role` is what a study counts it as. Where a study holds
    it after some epochs, it goes on for who wants all of them.
    Raises: InvalidNetwork; Invalid where the classifier does not fit the data set; NotFound for the study.
    """
    _check(plan)
    trial, new = work.trials.add_unless_live(_row(plan, request_id))
    if trial.state in ("queued", "running"):
        trial.priority = priority if new else max(trial.priority, priority)
        trial.on_demand = trial.on_demand or study_id is None
        if not new and plan.until_epoch is None and trial.until_epoch is not None:
            _let_go_on(work, trial)
    if new:
        calibrated = plan.calibration or calibration(work, plan.dataset.task)
        estimate = calibrated.estimate(trial.flops, plan.dataset, plan.recipe)
        work.events.record(trial.id, "state", {"state": "queued", "estimated_seconds": round(estimate.seconds, 3)})
        work.send([trial])
        log.info("trial %s is queued: %s on %s", trial.id, trial.architecture, trial.dataset)
    if study_id is not None:
        if work.studies.get(study_id) is None:
            raise NotFound("study", study_id)
        if work.studies.adopt(study_id, trial.id, role) and trial.state == "completed":
            work.studies.changed(study_id)
    return trial


def look_again(work: UnitOfWork, trial: TrialRow) -> int:
    """In how many seconds it may have ended, were it alone: by its progress, else as estimated; from 1 to 60."""
    if trial.progress and "seconds_left" in trial.progress:
        left = float(trial.progress["seconds_left"])
    else:
        estimated = [event.data.get("estimated_seconds") for event in work.events.of_states(trial.id)]
        left = float(next((seconds for seconds in estimated if seconds is not None), 1.0))
    return math.ceil(min(60.0, max(1.0, left)))


def cancel(work: UnitOfWork, trial_id: str) -> TrialRow:
    """Stop it: at once where it waits, else as soon as its worker hears of it.

    Raises: NotFound; Conflict where it has ended already.
    """
    trial = find(work, trial_id)
    if work.outcome():
        return trial
    if not stop(work, trial) and not trial.cancel_requested:
        raise Conflict(f"The trial is {trial.state}: there is nothing to cancel.")
    work.keep_outcome(trial.id)
    work.commit()
    return trial


def retry(work: UnitOfWork, trial_id: str) -> TrialRow:
    """A failed or cancelled trial waits again, and goes on from its checkpoint.

    Raises: NotFound; Conflict where it has not ended so, or another one that trains the same lives.
    """
    trial = find(work, trial_id)
    if work.outcome():
        return trial
    if not work.trials.requeue(trial.id):
        other = work.trials.live(trial.fingerprint)
        if other is not None and other.id != trial.id:
            raise Conflict(f"Trial {other.id} trains the same and is {other.state}: there is nothing to retry.")
        raise Conflict(f"The trial is {trial.state}: only a failed or cancelled one is retried.")
    work.session.refresh(trial)
    work.events.record(trial.id, "state", {"state": "queued", "retry": True})
    work.send([trial])
    work.keep_outcome(trial.id)
    work.commit()
    return trial


def stop(work: UnitOfWork, trial: TrialRow) -> bool:
    """Cancel a waiting trial, ask a running one to stop; False where it has ended."""
    if work.trials.change_in_state(trial.id, "queued", state="cancelled", held=False, finished_at=utc_now()):
        work.events.record(trial.id, "state", {"state": "cancelled"})
        return True
    return work.trials.change_in_state(trial.id, "running", cancel_requested=True)


def _let_go_on(work: UnitOfWork, trial: TrialRow) -> None:
    """To its last epoch, without a stop."""
    trial.until_epoch = None
    if trial.held:
        trial.held = False
        work.send([trial])


def _check(plan: Plan) -> None:
    families.check(plan.config)
    if plan.config.num_classes != plan.dataset.num_classes:
        classes = f"{plan.dataset.name} has {plan.dataset.num_classes} classes, the network {plan.config.num_classes}"
        raise Invalid("/config/num_classes", classes)


def _row(plan: Plan, request_id: str | None) -> TrialRow:
    cost = families.network_cost(plan.config)
    multipliers = plan.multipliers
    return TrialRow(
        fingerprint=plan.fingerprint,
        architecture=plan.architecture,
        multipliers=None if multipliers is None else multipliers.to_json(),
        config=plan.config.to_json(),
        flops=cost.flops,
        params=cost.params,
        ratio=None if plan.baseline_flops is None else cost.flops / plan.baseline_flops,
        dataset=plan.dataset.name,
        dataset_digest=plan.dataset.digest,
        recipe=plan.recipe.model_dump(),
        seed=plan.seed,
        predicted=plan.predicted,
        until_epoch=plan.until_epoch,
        request_id=request_id,
    )
