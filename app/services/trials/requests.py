"""Requests for trials. A trial is identified by what it trains, so the same request returns the same trial."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

from app.core.deletion import Deletion
from app.core.errors import Conflict, IllegalTransition, InvalidRequest, require_found
from app.core.predictions import PredictedAccuracy
from app.core.trials import EventKind, TrialState
from app.data.builtin_datasets import Dataset
from app.data.recipes import Recipe
from app.db.tables import TrialRow
from app.db.unit_of_work import UnitOfWork
from app.scaling import families
from app.scaling.families import flops_of
from app.scaling.network import Config, Multipliers
from app.scaling.search.inversion import find_multipliers
from app.scaling.search.observations import Role
from app.services.auth import quotas
from app.services.auth.ownership import require_owner, require_unshared
from app.services.catalog import dataset_life, datasets
from app.services.changes import Changes
from app.services.trials import lifecycle
from app.services.trials.estimates import Estimate, ThroughputModel, fit_throughput
from app.services.trials.queue import seconds_left

log = logging.getLogger("rdw.trials")

ON_DEMAND = 0  # the priority of a trial that a client requests, …
BULK = -5  # … and of a study's trials


@dataclass(frozen=True)
class TrialPlan:
    """A requested training; `baseline_flops` and `multipliers` are set if the network is a scaled baseline."""

    architecture: str
    config: Config
    dataset: Dataset
    recipe: Recipe
    seed: int
    multipliers: Multipliers | None = None
    baseline_flops: int | None = None
    predicted: PredictedAccuracy | None = None
    throughput: ThroughputModel | None = None  # None: fitted when it is needed
    until_epoch: int | None = None  # the epoch after which it waits until its study promotes it

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of everything that determines the result."""
        determining = [self.config.to_json(), self.dataset.digest, self.recipe.determining_options(), self.seed]
        return hashlib.sha256(json.dumps(determining, sort_keys=True).encode()).hexdigest()


def estimate(work: UnitOfWork, plan: TrialPlan) -> Estimate:
    """Estimate the training time; nothing is enqueued.

    Raises: InvalidNetwork; InvalidRequest if the classifier does not fit the data set.
    """
    _check(plan)
    flops = families.network_cost(plan.config).flops
    return fit_throughput(work, plan.dataset.task).estimate(flops, plan.dataset, plan.recipe).with_first_use()


def find(work: UnitOfWork, trial_id: str) -> TrialRow:
    """Return the trial of that id. Raises: NotFound."""
    return require_found(work.trials.get(trial_id), "trial", trial_id)


def lock_own(work: UnitOfWork, trial_id: str) -> TrialRow:
    """Return the trial of that id, which the caller may change, locked until the commit.

    Raises: NotFound; NotOwner.
    """
    return require_owner(work.caller, require_found(work.trials.lock(trial_id), "trial", trial_id))


def submit(
    work: UnitOfWork,
    plan: TrialPlan,
    *,
    study_id: str | None = None,
    request_id: str | None = None,
    priority: int = ON_DEMAND,
) -> TrialRow:
    """Call `get_or_create` for a client and commit.

    Raises: Conflict if the study or the data set is archived, or the data set was deleted, renamed or read again since
    it was looked up; QuotaExceeded; what `get_or_create` raises.
    """
    study = work.studies.get(study_id) if study_id else None
    if study is not None and study.archived_at is not None:
        raise Conflict(f"The study {study.name!r} is archived and takes no new work.")
    dataset_life.require_trainable(work, plan.dataset)
    trial = get_or_create(work, plan, study_id=study_id, request_id=request_id, priority=priority)
    if work.has_trials_to_send:
        quotas.check_trials(work)
    work.commit()
    return trial


def get_or_create(
    work: UnitOfWork,
    plan: TrialPlan,
    *,
    study_id: str | None = None,
    role: Role = Role.RECOMMENDED,
    request_id: str | None = None,
    priority: int = ON_DEMAND,
) -> TrialRow:
    """Return the plan's trial: an unfinished or completed one if it exists, else a new one, sent with the commit.

    It belongs to the study's owner, or without a study to the caller; if it exists and belongs to another key, it is
    shared from now on. An unfinished trial takes the highest priority of its requests. If it is to wait at a rung and
    this request is for all epochs, it runs to the end. `role` is its role in the study. Does not commit.
    Raises: InvalidNetwork; InvalidRequest if the classifier does not fit the data set; NotFound or NotOwner for the
    study; Conflict if its networks start from other weights or have another teacher.
    """
    _check(plan)
    owner = work.caller.owner
    if study_id is not None:
        owner = require_owner(work.caller, require_found(work.studies.get(study_id), "study", study_id)).owner
    trial, new = work.trials.add_unless_exists(_new_row(plan, owner, request_id), lifecycle.LIVE)
    trial.shared = trial.shared or trial.owner != owner
    if trial.state in lifecycle.UNFINISHED:
        trial.priority = priority if new else max(trial.priority, priority)
        trial.on_demand = trial.on_demand or study_id is None
        if not new and plan.until_epoch is None:
            lifecycle.run_to_end(work, trial)
    if new:
        throughput = plan.throughput or fit_throughput(work, plan.dataset.task)
        estimate = throughput.estimate(trial.flops, plan.dataset, plan.recipe)
        estimated = {"state": trial.state.value, "estimated_seconds": round(estimate.seconds, 3)}
        work.events.record(trial.id, EventKind.STATE, estimated)
        work.send([trial])
        log.info("trial %s is queued: %s on %s", trial.id, trial.architecture, trial.dataset)
    is_named = trial.multipliers is not None or trial.owner != owner  # another key's trial keeps its name
    if not is_named and plan.multipliers is not None and plan.baseline_flops is not None:
        _name_network(work, trial, plan.architecture, plan.multipliers, trial.flops / plan.baseline_flops)
    if study_id is not None:
        _add_to_study(work, trial, plan, study_id, role)
    return trial


def retry_after_seconds(work: UnitOfWork, trial: TrialRow) -> int:
    """Return after how many seconds to poll the trial: its remaining time, between 1 and 60."""
    left = seconds_left(trial.progress)
    if left is None:
        estimated = [event.data.get("estimated_seconds") for event in work.events.state_changes(trial.id)]
        left = float(next((seconds for seconds in estimated if seconds is not None), 1.0))
    return math.ceil(min(60.0, max(1.0, left)))


def cancel(work: UnitOfWork, trial_id: str) -> TrialRow:
    """Cancel a trial: at once if it is queued, else as soon as its worker notices.

    Raises: NotFound; NotOwner; Forbidden if another key has requested it as well; IllegalTransition if it has ended.
    """
    return _change_once(work, trial_id, _cancel)


def _cancel(work: UnitOfWork, trial: TrialRow) -> None:
    require_unshared(work.caller, trial)
    lifecycle.cancel(work, trial)


def retry(work: UnitOfWork, trial_id: str) -> TrialRow:
    """Queue a failed or cancelled trial again; it resumes from its checkpoint.

    Raises: NotFound; NotOwner; IllegalTransition if it is in another state, or another trial with its fingerprint is
    live; Conflict if it is archived, or its data set was deleted or read again since; QuotaExceeded.
    """
    return _change_once(work, trial_id, _retry)


def _retry(work: UnitOfWork, trial: TrialRow) -> None:
    if trial.archived_at is not None:
        raise Conflict(
            f"The trial is archived and not trained. Unarchive it (PATCH /v1/trials/{trial.id} with "
            '{"archived": false}) to retry it.'
        )
    dataset_life.require_unchanged(work, trial.dataset, trial.dataset_digest)
    lifecycle.retry(work, trial)
    quotas.check_trials(work)


def _change_once(work: UnitOfWork, trial_id: str, change: Callable[[UnitOfWork, TrialRow], None]) -> TrialRow:
    """Change the caller's trial and commit, unless the same request has done so before."""
    trial = lock_own(work, trial_id)
    if not work.recorded_outcome():
        change(work, trial)
        work.session.refresh(trial)
        work.record_outcome(trial.id)
        work.commit()
    return trial


def _add_to_study(work: UnitOfWork, trial: TrialRow, plan: TrialPlan, study_id: str, role: Role) -> None:
    """Add the trial to the study, with its multipliers relative to the study's baseline if it is scaled from that.

    Raises: NotFound for the study; Conflict if its networks start from other weights or have another teacher.
    """
    study = require_found(work.studies.lock_against_deletion(study_id), "study", study_id)
    if plan.recipe.describe_start() != study.recipe.describe_start():
        its, own = (recipe.describe_start() or "trained from scratch" for recipe in (study.recipe, plan.recipe))
        raise Conflict(
            f"The networks of the study {study.name!r} are {its}, but this one would be {own}. Accuracies of both are "
            "not fitted together: leave out `study`, or create another one."
        )
    multipliers = plan.multipliers
    if multipliers is None or study.spec.scale(multipliers) != plan.config:
        multipliers = find_multipliers(study.spec, plan.config)
    ratio = trial.flops / flops_of(study.spec)
    if work.studies.add_trial(study_id, trial.id, role, multipliers, ratio) and trial.state == TrialState.COMPLETED:
        work.studies.record_change(study_id)
    if trial.multipliers is None and multipliers is not None and trial.owner == study.owner:
        _name_network(work, trial, study.architecture, multipliers, ratio)


def _name_network(work: UnitOfWork, trial: TrialRow, architecture: str, multipliers: Multipliers, ratio: float) -> None:
    """Record the multipliers of a trial that was first requested as a config, without any."""
    trial.architecture, trial.multipliers, trial.ratio = architecture, multipliers.to_json(), ratio
    work.observations.name_network(trial.id, architecture, multipliers, ratio)


def update(work: UnitOfWork, trial: TrialRow, changes: Changes) -> None:
    """Name, describe or archive a trial that `lock_own` returned; its training goes on."""
    if changes.name is not None:
        trial.name = changes.name or None
    changes.describe(trial)
    work.commit()


def delete(work: UnitOfWork, trial_id: str, *, force: bool, dry_run: bool = False) -> Deletion:
    """Delete a trial that has ended, with its events and its observation, which its studies lose.

    With `dry_run`, only return what depends on it.
    Raises: NotFound; NotOwner; Forbidden if another key has requested it as well; IllegalTransition if it has not
    ended; HasDependents without `force`, if it belongs to studies, or trials or studies use its weights.
    """
    trial = lock_own(work, trial_id)
    require_unshared(work.caller, trial)
    if trial.state in lifecycle.UNFINISHED:
        raise IllegalTransition(f"The trial is {trial.state}: cancel it first.")
    dependents = {
        "studies": work.studies.ids_of_trial(trial.id),
        "trials": work.trials.ids_with_source(trial.id, lifecycle.UNFINISHED),
    }
    deletion = Deletion(f"The trial {trial.id}", dependents)
    if dry_run:
        return deletion
    deletion.refuse_unless(force)
    work.studies.record_changes_of_trial(trial.id)
    work.trials.delete_with_contents(trial)
    work.commit()
    return deletion


def _check(plan: TrialPlan) -> None:
    families.check(plan.config)
    datasets.check_input(plan.dataset, plan.config)
    if plan.config.num_classes != plan.dataset.num_classes:
        classes = f"{plan.dataset.name} has {plan.dataset.num_classes} classes, the network {plan.config.num_classes}"
        raise InvalidRequest("/config/num_classes", classes)
    channels, in_chans = plan.dataset.channels, plan.config.in_chans
    if channels not in (1, in_chans) and in_chans not in (1, 3):
        raise InvalidRequest("/config/in_chans", f"{plan.dataset.name} has {channels} channels, the network {in_chans}")


def _new_row(plan: TrialPlan, owner: str | None, request_id: str | None) -> TrialRow:
    cost = families.network_cost(plan.config)
    multipliers = plan.multipliers
    return TrialRow(
        owner=owner,
        shared=False,
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
