"""Who works on a trial: claim, heartbeat, fenced finish, and the look-out for what was lost.

The row decides. A worker claims by compare and swap and gets a token; what it says later counts only while the token
is the row's. A trial whose worker fell silent past its lease is anybody's again, and is sent again by `reconcile`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from app.db.tables import ObservationRow, TrialRow, utc_now
from app.db.unit_of_work import UnitOfWork
from app.services.estimates import outcome
from app.settings import Settings

_WINDOW = 8  # how many lost jobs are sent again at a time: unbounded, the queue fills with repeats

_RELEASED: dict[str, Any] = {"lease_owner": None, "lease_expires_at": None, "token": None}


@dataclass(frozen=True)
class Claim:
    """A worker's right to a trial: what it says counts while `token` is the row's."""

    trial: TrialRow
    token: str


def claim(work: UnitOfWork, trial_id: str, owner: str, settings: Settings) -> Claim | None:
    """The trial, now this owner's; None where it is another's, finished, cancelled, or was tried too often."""
    trial = work.trials.claim(trial_id, owner, settings.lease_seconds, settings.max_attempts)
    if trial is None or trial.token is None:
        return None
    work.events.record(trial_id, "state", {"state": "running", "attempt": trial.attempt, "worker": owner})
    work.commit()
    return Claim(trial, trial.token)


def report(work: UnitOfWork, claim: Claim, progress: dict[str, Any]) -> bool:
    """Record how far the training is; False where the lease is lost."""
    held = work.trials.change_held(claim.trial.id, claim.token, progress=progress)
    if held:
        work.events.record(claim.trial.id, "progress", progress)
        work.commit()
    return held


def complete(work: UnitOfWork, claim: Claim, result: dict[str, Any]) -> bool:
    """Running to completed with its observation, in one transaction; a late result is kept as superseded, uncounted."""
    trial = claim.trial
    estimated = work.events.estimated(trial.id)
    if estimated is not None:
        result = {**result, "estimate": outcome(estimated, result)}
    finished = work.trials.change_held(
        trial.id, claim.token, state="completed", result=result, finished_at=utc_now(), **_RELEASED
    )
    if finished:
        work.observations.add(_observation(trial, result))
        work.events.record(trial.id, "state", {"state": "completed", "accuracy": result["accuracy"]})
    else:
        work.events.record(trial.id, "superseded", {"attempt": trial.attempt, "result": result})
    work.commit()
    return finished


def fail(work: UnitOfWork, claim: Claim, reason: str) -> bool:
    """Running to failed."""
    return _end(work, claim, "failed", reason)


def cancelled(work: UnitOfWork, claim: Claim) -> bool:
    """Running to cancelled; the checkpoint stays."""
    return _end(work, claim, "cancelled", None)


def hand_back(work: UnitOfWork, claim: Claim) -> bool:
    """Running to queued, for any worker at once: one that is told to stop does not wait for its lease to expire."""
    handed = work.trials.change_held(
        claim.trial.id, claim.token, state="queued", sent_at=None, attempt=claim.trial.attempt - 1, **_RELEASED
    )
    if handed:
        work.events.record(claim.trial.id, "state", {"state": "queued", "why": "its worker was told to stop"})
        work.commit()
    return handed


def reconcile(work: UnitOfWork, settings: Settings) -> int:
    """End what cannot go on, send again what was lost; how many were sent. Any number of replicas may run it."""
    lost = []
    for trial in work.trials.expired(settings.resend_seconds, _WINDOW):
        if trial.cancel_requested:
            _give_up(work, trial, "cancelled", None)
        elif trial.attempt >= settings.max_attempts:
            _give_up(
                work, trial, "failed", f"Its worker died or fell silent {trial.attempt} times; it is not tried again."
            )
        else:
            lost.append(trial)
    # While all workers are busy a queued trial that was sent is not lost: it waits its turn.
    idle = any(worker.trial_id is None for worker in work.workers.alive(settings.lease_seconds))
    lost += work.trials.unclaimed(settings.resend_seconds if idle else math.inf, _WINDOW)
    work.send(lost)
    work.commit()
    return len(lost)


def _end(work: UnitOfWork, claim: Claim, state: str, error: str | None) -> bool:
    ended = work.trials.change_held(
        claim.trial.id, claim.token, state=state, error=error, finished_at=utc_now(), **_RELEASED
    )
    if ended:
        work.events.record(claim.trial.id, "state", {"state": state, "error": error})
        work.commit()
    return ended


def _give_up(work: UnitOfWork, trial: TrialRow, state: str, error: str | None) -> None:
    if work.trials.change_in_state(trial.id, "running", state=state, error=error, finished_at=utc_now(), **_RELEASED):
        work.events.record(trial.id, "state", {"state": state, "error": error})


def _observation(trial: TrialRow, result: dict[str, Any]) -> ObservationRow:
    multipliers, latency = trial.multipliers or {}, result.get("latency")
    return ObservationRow(
        trial_id=trial.id,
        architecture=trial.architecture,
        dataset=trial.dataset,
        r=multipliers.get("r"),
        d=multipliers.get("d"),
        w=multipliers.get("w"),
        ratio=trial.ratio,
        resolution=trial.config["resolution"],
        flops=trial.flops,
        params=trial.params,
        accuracy=result["accuracy"],
        seconds=result["seconds"],
        latency_ms=latency["median_ms"] if latency else None,
        provenance={
            "source": "trial",
            "trial": trial.id,
            "dataset_digest": trial.dataset_digest,
            "recipe": trial.recipe,
            "seed": trial.seed,
            "environment": result["environment"],
            "latency": latency,
        },
    )
