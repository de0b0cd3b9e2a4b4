"""Automatic progress of studies: refits, the active sampler's next networks, and promotions in successive halving.

Results of trials and reports are changes of their studies. Each change is processed by one process, whichever is first.
Nothing is lost if that process dies, since its writes and the mark that the change is processed are one transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from app.core.errors import NotFound
from app.core.process_pool import ComputationFailed
from app.core.settings import Settings
from app.core.studies import Sampler, StudyState
from app.db.session import DatabaseUnavailable
from app.db.tables import StudyRow
from app.db.unit_of_work import Send, UnitOfWork
from app.scaling.errors import NotEnoughObservations
from app.scaling.search.asha import expect_results, promotable
from app.scaling.search.observations import Role
from app.scaling.search.random_sampler import sample
from app.services import observations
from app.services.studies import proposals, studies, training
from app.services.studies import refit as refits
from app.services.studies.in_process import MAX_QUICK_OBSERVATIONS
from app.services.trials import lifecycle

log = logging.getLogger("rdw.studies")

_MAX_STUDIES = 8
# Two networks per worker are queued or in training, so that no worker is idle; at least this number.
_MIN_AHEAD = 2


def find_pending(work: UnitOfWork) -> list[tuple[str, int]]:
    """Return the ids of studies with changes that are not processed yet, with the version of each."""
    return work.studies.pending_changes(_MAX_STUDIES)


Compute = Callable[..., Any]
"""`compute(function, *arguments)` returns what the function returns, which may be called in another process."""


def compute_here(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


def process_study_changes(
    settings: Settings, send: Send, pending: list[tuple[str, int]], compute: Compute = compute_here
) -> int:
    """Process these changes; return the number of studies. Any number of replicas may run it.

    Fits and proposals of large studies are made by `compute`.
    """
    for study_id, version in pending:
        try:
            _process_study(settings, send, study_id, version, compute)
        except DatabaseUnavailable:
            raise
        except NotFound:
            log.info("study %s was deleted, with its changes", study_id)
        except ComputationFailed as error:  # processed again in the next round
            log.warning("could not process the changes of study %s: %s", study_id, error)
        except Exception:  # an error in one study must not stop the others
            log.exception("could not process the changes of study %s", study_id)
    return len(pending)


@dataclass(frozen=True)
class _Plan:
    """What follows from a study's changes, and the numbers of its observations and proposed networks it is based on."""

    counted: int
    proposed_before: int
    refit: refits.Refit | None
    networks: list[training.Network]
    size: int
    halving: _Halving | None


def _make_plan(database: str, lease_seconds: float, study_id: str) -> _Plan:
    with UnitOfWork(database, writes=False) as work:
        study = studies.find(work, study_id)
        counted = sum(o.role.counts for o in observations.load_for_study(work, study))
        refit, proposed = _fit_if_due(work, study, counted), study.proposed
        networks, size = _next_networks(work, study, lease_seconds)
        return _Plan(counted, proposed, refit, networks, size, _decide_halving(work, study))


def _process_study(settings: Settings, send: Send, study_id: str, version: int, compute: Compute) -> None:
    with UnitOfWork(settings.database, writes=False) as read:
        study, count = studies.find(read, study_id), read.observations.tally(study_id)[0]
    plan = _Plan(count, study.proposed, None, [], study.size, None)
    if study.state is StudyState.STARTED or _is_refit_due(study, count):
        make = compute_here if count <= MAX_QUICK_OBSERVATIONS else compute
        plan = make(_make_plan, settings.database, settings.lease_seconds, study_id)
    networks, size, refit, counted = plan.networks, plan.size, plan.refit, plan.counted
    with UnitOfWork(settings.database, send) as work:
        study = studies.lock(work, study_id)
        if not work.studies.mark_processed(study, version):
            return
        if study.proposed != plan.proposed_before:  # by another process, for an earlier change
            networks, size = [], study.size
        if refit is not None:
            row = refits.add_version(work, refit, "gate" if study.options.refit.promote else False)
            log.info("study %s: %s. %s", study.id, row.id, refit.decision.reason)
        if _is_refit_due(study, counted):
            study.observations_at_refit, study.refit_reason = counted, None
        if networks or size != study.size:
            study.proposed, study.size = study.proposed + len(networks), size
            is_random = study.sampler is Sampler.RANDOM
            training.enqueue(work, study, networks, Role.RANDOM if is_random else Role.ACTIVE)
            if is_random and study.proposed < study.size:
                work.studies.record_change(study.id)  # the next ones follow at once, not when there are results
        if plan.halving is not None and study.state is StudyState.STARTED:
            _apply_halving(work, study, plan.halving)
        work.commit()


def _is_refit_due(study: StudyRow, counted: int) -> bool:
    """Whether its predictor is to be refitted: enough observations have come, or one was retracted."""
    every = study.options.refit.every
    return study.refit_reason is not None or (every is not None and counted - study.observations_at_refit >= every)


def _fit_if_due(work: UnitOfWork, study: StudyRow, counted: int) -> refits.Refit | None:
    reason = study.refit_reason
    if not _is_refit_due(study, counted) or (reason is not None and work.predictors.newest_of_study(study.id) is None):
        return None
    because = reason or f"{counted - study.observations_at_refit} observations had come."
    try:
        return refits.fit(work, study, study.options.refit.k, because)
    except NotEnoughObservations as error:
        log.info("study %s: no refit yet: %s", study.id, error)
        return None


def _next_networks(work: UnitOfWork, study: StudyRow, lease_seconds: float) -> tuple[list[training.Network], int]:
    """Return the networks to enqueue next and the study's size: as many as the workers need with the active sampler.

    The size is smaller than before if the space has no more networks. Random networks are enqueued in parts.
    """
    remaining = study.size - study.proposed
    if study.state is not StudyState.STARTED or remaining <= 0:
        return [], study.size
    if study.sampler is Sampler.RANDOM:
        work.release()
        sampled = sample(study.spec, study.space.for_architecture(study.spec), study.size, study.seed)
        part = sampled[study.proposed : study.proposed + training.networks_at_once(study)]
        return [training.Network(solution.multipliers, solution.config) for solution in part], study.size
    ahead = max(_MIN_AHEAD, 2 * len(work.workers.list_alive(lease_seconds)))
    waiting = {
        (t.resolution, t.flops, t.params)
        for t in work.trials.networks_of_study(study.id)
        if t.role is Role.ACTIVE and t.state in lifecycle.UNFINISHED and not t.awaiting_promotion
    }
    count = min(remaining, ahead - len(waiting))
    if count <= 0:
        return [], study.size
    proposed = proposals.propose_networks(work, study, count).proposals
    size = study.size if len(proposed) == count else study.proposed + len(proposed)
    if size < study.size:
        log.warning("study %s: its space has no more than %s networks", study.id, size)
    return [training.Network(p.network.multipliers, p.network.config, p.predicted) for p in proposed], size


@dataclass(frozen=True)
class _Halving:
    """What successive halving decides on a study: promotions, as trial and next rung (None: the end).

    `waiting` are the trials that waited at a rung, each with its rung: the decision holds for these only.
    """

    waiting: frozenset[tuple[str, int]]
    promotions: list[tuple[str, int | None]]


def _decide_halving(work: UnitOfWork, study: StudyRow) -> _Halving | None:
    """Decide which trials are promoted; the database is released before the computation."""
    halving = study.options.halving
    if halving is None or study.state is not StudyState.STARTED:
        return None
    rungs = halving.rungs(study.recipe.epochs)
    sampled = _sampled_trials(work, study)
    work.release()
    rung_of = {trial.id: trial.until_epoch for trial in sampled if _waits_at_rung(trial)}
    trainings = {t.id: observations.from_trial(t, has_curve=True) for t in sampled}
    promotions: list[tuple[str, int | None]] = []
    for rung, following in pairwise(rungs):
        waiting = {trial_id for trial_id, reached in rung_of.items() if reached == rung}
        if not waiting:
            continue
        results = expect_results(study.spec, trainings, rung)
        until = following if following < rungs[-1] else None
        promoted_before = {result.id for result in results} - waiting
        promotions += [(id, until) for id in promotable(results, promoted_before, halving.eta) if id in waiting]
    return _Halving(frozenset(rung_of.items()), promotions)


def _apply_halving(work: UnitOfWork, study: StudyRow, halving: _Halving) -> None:
    """Promote the best trials of each rung; once no more results are expected, cancel the others."""
    sampled = _sampled_trials(work, study)
    waiting = {trial.id: trial.until_epoch for trial in sampled if _waits_at_rung(trial)}
    still_waiting = halving.waiting & waiting.items()
    promoted = [
        trial_id
        for trial_id, until in halving.promotions
        if (trial_id, waiting.get(trial_id)) in still_waiting and lifecycle.promote(work, trial_id, until)
    ]
    work.send([*work.trials.by_ids(promoted).values()])
    is_current = waiting.items() <= halving.waiting  # a trial that has reached a rung meanwhile is a later change
    unfinished = any(t.state in lifecycle.UNFINISHED and not t.awaiting_promotion for t in sampled)
    if is_current and not promoted and not unfinished and study.proposed >= study.size:
        for trial_id, rung in waiting.items():
            lifecycle.prune(work, trial_id, rung, study.recipe.epochs)


def _sampled_trials(work: UnitOfWork, study: StudyRow) -> list[Any]:
    return [trial for trial in work.trials.networks_of_study(study.id) if trial.role.is_sampled]


def _waits_at_rung(trial: Any) -> bool:
    return trial.awaiting_promotion and trial.state in lifecycle.WAITING
