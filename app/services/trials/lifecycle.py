"""A trial's life cycle: its state transitions and every change of its state.

The row is the source of truth; a Celery message is only a hint that there is work. A worker claims the first trial in
the queue (by priority, then age) and gets a token; its writes are accepted only while the token is the row's. A trial
whose lease expires goes to the end of the queue for its priority, so that a trial that kills its workers delays
the others only once.

Functions that take a `Claim`, and `claim` itself, are a worker's use cases: they commit. The others are steps of
other services' use cases and do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from app.core.errors import IllegalTransition
from app.core.settings import Settings
from app.core.studies import StudyState
from app.core.trials import EventKind, Progress, RungAccuracy, TrialArtifacts, TrialResult, TrialState
from app.db.repositories.trials import QueueRule
from app.db.tables import TrialRow, new_id, utc_now
from app.db.unit_of_work import UnitOfWork
from app.services import observations
from app.services.trials.estimates import estimate_error


class Transition(Enum):
    """The allowed state transitions: a description, the states it starts from, and the state after it."""

    CLAIM = "a worker takes it", (TrialState.QUEUED,), TrialState.RUNNING
    COMPLETE = "its training has a result", (TrialState.RUNNING,), TrialState.COMPLETED
    FAIL = "its training failed, or its workers died too often", (TrialState.RUNNING,), TrialState.FAILED
    STOP = "its worker stopped since a client cancelled it", (TrialState.RUNNING,), TrialState.CANCELLED
    RELEASE = "its worker shuts down", (TrialState.RUNNING,), TrialState.QUEUED
    REACH_RUNG = "it reached a rung of successive halving", (TrialState.RUNNING,), TrialState.QUEUED
    EXPIRE = "its worker died or stopped sending heartbeats", (TrialState.RUNNING,), TrialState.QUEUED
    STALL = "its training made no progress", (TrialState.RUNNING,), TrialState.QUEUED
    CANCEL = "a client cancelled it while it waited", (TrialState.QUEUED,), TrialState.CANCELLED
    PRUNE = "successive halving stopped it at a rung", (TrialState.QUEUED,), TrialState.CANCELLED
    RETRY = "a client wants it to run again", (TrialState.FAILED, TrialState.CANCELLED), TrialState.QUEUED

    def __init__(self, description: str, sources: tuple[TrialState, ...], target: TrialState) -> None:
        self.description, self.sources, self.target = description, sources, target


TERMINAL = tuple(s for s in TrialState if all(t is Transition.RETRY for t in Transition if s in t.sources))
"""States in which a trial has ended; only a retry leaves them."""

UNFINISHED = tuple(state for state in TrialState if state not in TERMINAL)

LIVE = tuple(state for state in TrialState if state not in Transition.RETRY.sources)
"""States in which there is one trial per fingerprint (the index uq_trials_fingerprint_live)."""

WAITING = Transition.CLAIM.sources
LEASED = Transition.CLAIM.target

QUEUE = QueueRule(queued=TrialState.QUEUED, study_paused=StudyState.PAUSED, study_running=StudyState.STARTED)

_NO_LEASE: Mapping[str, Any] = {"lease_owner": None, "lease_expires_at": None, "token": None}

_AS_NEW: Mapping[str, Any] = {
    "attempt": 0, "cancel_requested": False, "progress": None, "error": None, "finished_at": None, "until_epoch": None,
    "awaiting_promotion": False,
}  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """A worker's claim to a trial; its writes are accepted while `token` is the row's."""

    trial: TrialRow
    token: str


def claim(work: UnitOfWork, owner: str, settings: Settings) -> Claim | None:
    """Lease the first trial in the queue to this owner; return None if no trial may run.

    Concurrent claims get different trials: each skips trials that another transaction has locked.
    """
    trial = work.trials.lock_first_in_queue(QUEUE)
    if trial is None:
        return None
    now, token, attempt = work.trials.clock(), new_id(), trial.attempt + 1
    lease = {"lease_owner": owner, "lease_expires_at": now + settings.lease_seconds, "heartbeat_at": now}
    values = {**lease, "token": token, "attempt": attempt, "started_at": trial.started_at or utc_now()}
    _move(work, trial.id, Transition.CLAIM, values, event={"attempt": attempt, "worker": owner})
    work.count("trial_attempts")
    work.commit()
    return Claim(trial, token)


def report(work: UnitOfWork, claim: Claim, progress: Progress, epoch_seconds: float | None = None) -> bool:
    """Record the training's progress and the duration of a completed epoch; return False if the lease is lost."""
    leased = work.trials.update_if(claim.trial.id, (LEASED,), {"progress": progress}, token=claim.token)
    if leased:
        work.events.record(claim.trial.id, EventKind.PROGRESS, progress.to_json())
        if epoch_seconds is not None:
            work.count("epochs")
            work.count("epoch_seconds", epoch_seconds)
        work.commit()
    return leased


def complete(work: UnitOfWork, claim: Claim, result: TrialResult, artifacts: TrialArtifacts | None = None) -> bool:
    """Complete the trial with its artifacts and add its observation, in one transaction.

    Return False if the lease is lost; the late result is then recorded as superseded and ignored.
    """
    trial = claim.trial
    estimated = work.events.estimated_seconds(trial.id)
    if estimated is not None:
        result = replace(result, estimate=estimate_error(estimated, result))
    size = sum(file.size for file in artifacts.files.values()) if artifacts else 0
    values = {
        "result": result, "accuracy": result.accuracy, "artifacts": artifacts, "stored_bytes": size,
        "finished_at": utc_now(), **_NO_LEASE,
    }  # fmt: skip
    event = {"accuracy": result.accuracy}
    completed = _move(work, trial.id, Transition.COMPLETE, values, token=claim.token, event=event)
    if completed:
        now = work.trials.get(trial.id) or trial  # its multipliers may have become known since it was claimed
        work.observations.add(observations.create_from_trial(now, result))
        work.studies.record_changes_of_trial(trial.id)
    elif work.trials.get(trial.id) is not None:  # else it was deleted
        late = {"attempt": trial.attempt, "result": result.to_json()}
        work.events.record(trial.id, EventKind.SUPERSEDED, late)
    work.commit()
    return completed


def fail(work: UnitOfWork, claim: Claim, reason: str, log: list[str]) -> bool:
    """Fail the trial, with the last lines of the worker's log; return False if the lease is lost."""
    return _end(work, claim, Transition.FAIL, reason, {"log": log})


def confirm_cancel(work: UnitOfWork, claim: Claim) -> bool:
    """Cancel the trial now that its worker has stopped; the checkpoint is kept. Return False if the lease is lost."""
    return _end(work, claim, Transition.STOP, None, {})


def release(work: UnitOfWork, claim: Claim) -> bool:
    """Queue the trial again, in its old place, since its worker shuts down. Return False if the lease is lost.

    This does not count as an attempt.
    """
    values = {"sent_at": None, "attempt": claim.trial.attempt - 1, **_NO_LEASE}
    event = {"reason": "Its worker was stopped."}
    released = _move(work, claim.trial.id, Transition.RELEASE, values, token=claim.token, event=event)
    if released:
        work.commit()
    return released


def stall(work: UnitOfWork, claim: Claim, error: str, log: list[str], max_attempts: int) -> bool:
    """Queue the trial again, behind the others of its priority, since its training makes no progress.

    Fail it instead if this was its last attempt. Return False if the lease is lost.
    """
    trial = claim.trial
    if trial.attempt >= max_attempts:
        return _end(work, claim, Transition.FAIL, error, {"log": log})
    event = {"error": error, "lost": trial.lease_owner}
    values = {"log": log, "sent_at": None, "queued_at": work.trials.clock(), **_NO_LEASE}
    queued = _move(work, trial.id, Transition.STALL, values, token=claim.token, event=event)
    if queued:
        work.commit()
    return queued


def reach_rung(work: UnitOfWork, claim: Claim, epoch: int, accuracy: float) -> bool:
    """Queue the trial again until its study promotes it; return False if the lease is lost.

    It does not wait for a promotion if a client has requested all of its epochs meanwhile.
    """
    trial = claim.trial
    now = work.trials.lock(trial.id)
    values = {
        "awaiting_promotion": now is not None and now.until_epoch is not None,
        "rungs": (*(trial.rungs or ()), RungAccuracy(epoch, accuracy)),
        "sent_at": None,
        "attempt": trial.attempt - 1,
        **_NO_LEASE,
    }
    event = {"reason": f"It reached the rung at epoch {epoch}.", "reached_rung": True}
    queued = _move(work, trial.id, Transition.REACH_RUNG, values, token=claim.token, event=event)
    if queued:
        work.studies.record_changes_of_trial(trial.id)
        work.commit()
    return queued


def promote(work: UnitOfWork, trial_id: str, until_epoch: int | None) -> bool:
    """Let a trial run to the next rung (None: to its end); return False if it does not await a promotion any more."""
    return work.trials.update_if(
        trial_id, WAITING, {"awaiting_promotion": False, "until_epoch": until_epoch}, awaiting_promotion=True
    )


def run_to_end(work: UnitOfWork, trial: TrialRow) -> None:
    """Let an unfinished trial run to its last epoch without waiting at a rung."""
    if trial.until_epoch is None:
        return
    work.trials.lock(trial.id)  # its worker may be reaching the rung right now
    if promote(work, trial.id, None):
        work.send([trial])
    else:
        work.trials.update_if(trial.id, UNFINISHED, {"until_epoch": None})


def prune(work: UnitOfWork, trial_id: str, until_epoch: int, epochs: int) -> bool:
    """Cancel a trial that its study does not promote; return False if it does not await a promotion any more."""
    error = f"Stopped after {until_epoch} of {epochs} epochs: others of its study were more promising."
    values = {"error": error, "finished_at": utc_now(), "awaiting_promotion": False}
    return _move(work, trial_id, Transition.PRUNE, values, awaiting_promotion=True, event={"error": error})


def cancel(work: UnitOfWork, trial: TrialRow) -> None:
    """Cancel a queued trial, or request the worker of a running one to stop; repeating the request changes nothing.

    Raises: IllegalTransition if it has ended.
    """
    if not cancel_if_unfinished(work, trial) and not trial.cancel_requested:
        raise IllegalTransition(f"The trial is {trial.state} and cannot be cancelled.")


def cancel_if_unfinished(work: UnitOfWork, trial: TrialRow) -> bool:
    """Cancel the trial as `cancel` does; return False if it has ended."""
    values = {"awaiting_promotion": False, "finished_at": utc_now()}
    if _move(work, trial.id, Transition.CANCEL, values):
        return True
    return work.trials.update_if(trial.id, (LEASED,), {"cancel_requested": True})


def cancel_all_unfinished(work: UnitOfWork, trial_ids: Sequence[str]) -> None:
    """Cancel those of the trials that have not ended, as `cancel` does, in few statements."""
    target = Transition.CANCEL.target
    values = {"state": target, "awaiting_promotion": False, "finished_at": utc_now()}
    cancelled = work.trials.update_all_if(trial_ids, Transition.CANCEL.sources, values)
    work.events.record_for_each(cancelled, EventKind.STATE, {"state": target.value})
    work.trials.update_all_if(trial_ids, (LEASED,), {"cancel_requested": True})


def retry(work: UnitOfWork, trial: TrialRow) -> None:
    """Queue a failed or cancelled trial again, as if it were new; it resumes from its checkpoint.

    Raises: IllegalTransition if it is in another state, or another trial with its fingerprint is live.
    """
    transition = Transition.RETRY
    values = {"state": transition.target, "queued_at": work.trials.clock(), **_AS_NEW}
    if not work.trials.update_if_unique(trial.id, transition.sources, values):
        other = work.trials.by_fingerprint(trial.fingerprint, LIVE)
        if other is not None and other.id != trial.id:
            raise IllegalTransition(f"The identical trial {other.id} is {other.state}, so there is nothing to retry.")
        raise IllegalTransition(f"The trial is {trial.state}; only failed and cancelled trials can be retried.")
    _record(work, trial.id, transition, {"retry": True})
    work.send([trial])


def expire(work: UnitOfWork, trial: TrialRow, max_attempts: int) -> bool:
    """Take a trial from a worker without heartbeats and queue it again, behind the others of its priority.

    Return False if the trial has ended instead, or is not leased by that worker any more.
    """
    transition, error = Transition.EXPIRE, None
    if trial.cancel_requested:
        transition = Transition.STOP
    elif trial.attempt >= max_attempts:
        transition = Transition.FAIL
        error = f"Its worker died or stopped sending heartbeats {trial.attempt} times. It is not retried."
    ended = transition.target in TERMINAL
    values = {"error": error, "queued_at": work.trials.clock(), **_NO_LEASE}
    if ended:
        values["finished_at"] = utc_now()
    event = {"error": error, "lost": trial.lease_owner}
    if not _move(work, trial.id, transition, values, token=str(trial.token), event=event):
        return False
    if ended:
        work.studies.record_changes_of_trial(trial.id)
    work.count("expired_leases")
    return not ended


def _move(
    work: UnitOfWork,
    trial_id: str,
    transition: Transition,
    values: Mapping[str, Any],
    *,
    token: str | None = None,
    awaiting_promotion: bool | None = None,
    event: Mapping[str, Any] | None = None,
) -> bool:
    """Apply a transition and record the event.

    Return False if the trial is in none of the source states, or `token` or `awaiting_promotion` does not match.
    """
    values = {"state": transition.target, **values}
    if not work.trials.update_if(
        trial_id, transition.sources, values, token=token, awaiting_promotion=awaiting_promotion
    ):
        return False
    _record(work, trial_id, transition, event or {})
    return True


def _record(work: UnitOfWork, trial_id: str, transition: Transition, event: Mapping[str, Any]) -> None:
    work.events.record(trial_id, EventKind.STATE, {"state": transition.target.value, **event})


def _end(work: UnitOfWork, claim: Claim, transition: Transition, error: str | None, values: Mapping[str, Any]) -> bool:
    values = {"error": error, "finished_at": utc_now(), **values, **_NO_LEASE}
    ended = _move(work, claim.trial.id, transition, values, token=claim.token, event={"error": error})
    if ended:
        work.studies.record_changes_of_trial(claim.trial.id)
        work.commit()
    return ended
