"""Who works on a trial: claim, heartbeat, fenced finish, and the look-out for what was lost.

The row decides; a message only says that there is work. A worker claims the first in line (priority, then age) and
gets a token; what it says later counts only while the token is the row's. A trial whose worker fell silent past its
lease goes to the end of the line of its priority, so that one that kills its workers takes the others' turn but once.

Each queued trial gets run: a message is sent for each, a claim takes one trial a message, and while a trial is first
in line and a worker idle, `reconcile` sends again.
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

SILENT_KEPT_SECONDS = 3600  # how long a worker that fell silent is still listed

_RELEASED: dict[str, Any] = {"lease_owner": None, "lease_expires_at": None, "token": None}


@dataclass(frozen=True)
class Claim:
    """A worker's right to a trial: what it says counts while `token` is the row's."""

    trial: TrialRow
    token: str


def claim(work: UnitOfWork, owner: str, settings: Settings) -> Claim | None:
    """The first trial in line, now this owner's; None where none may run."""
    trial = work.trials.claim(owner, settings.lease_seconds)
    if trial is None or trial.token is None:
        return None
    work.events.record(trial.id, "state", {"state": "running", "attempt": trial.attempt, "worker": owner})
    work.count("trial_attempts")
    work.commit()
    return Claim(trial, trial.token)


def report(work: UnitOfWork, claim: Claim, progress: dict[str, Any], epoch_seconds: float | None = None) -> bool:
    """Record how far the training is, and what the epoch took that has ended; False where the lease is lost."""
    held = work.trials.change_held(claim.trial.id, claim.token, progress=progress)
    if held:
        work.events.record(claim.trial.id, "progress", progress)
        if epoch_seconds is not None:
            work.count("epochs")
            work.count("epoch_seconds", epoch_seconds)
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
        work.studies.changed_with(trial.id)
    else:
        work.events.record(trial.id, "superseded", {"attempt": trial.attempt, "result": result})
    work.commit()
    return finished


def fail(work: UnitOfWork, claim: Claim, reason: str, log: list[str]) -> bool:
    """Running to failed, with the last lines of the worker's log."""
    return _end(work, claim, "failed", reason, log=log)


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


def reached(work: UnitOfWork, claim: Claim, epoch: int, accuracy: float) -> bool:
    """Running to queued, held until its study lets it go on: it has come to a rung, with that accuracy on validation.

    Not held where somebody has come to want all of its epochs meanwhile.
    """
    trial = claim.trial
    rungs = [*(trial.rungs or []), {"epoch": epoch, "accuracy": accuracy}]
    handed = work.trials.hold(trial.id, claim.token, rungs=rungs, sent_at=None, attempt=trial.attempt - 1, **_RELEASED)
    if handed:
        work.events.record(trial.id, "state", {"state": "queued", "why": f"held after epoch {epoch}", "held": True})
        work.studies.changed_with(trial.id)
        work.commit()
    return handed


def reconcile(work: UnitOfWork, settings: Settings) -> int:
    """End what cannot go on, send again what was lost; how many were sent. Any number of replicas may run it."""
    lost = [trial for trial in work.trials.expired(_WINDOW) if _back_in_line(work, trial, settings)]
    # While all workers are busy a queued trial that was sent is not lost: it waits its turn.
    idle = any(worker.trial_id is None for worker in work.workers.alive(settings.lease_seconds))
    unclaimed = work.trials.unclaimed(settings.resend_seconds if idle else math.inf, _WINDOW)
    to_send = lost + [trial for trial in unclaimed if trial not in lost]
    work.send(to_send)
    if to_send:
        work.count("reconcile_sends", len(to_send))
    work.workers.forget_silent(SILENT_KEPT_SECONDS)
    work.commit()
    return len(to_send)


def _back_in_line(work: UnitOfWork, trial: TrialRow, settings: Settings) -> bool:
    """Whether a trial whose worker fell silent waits again; else it has ended."""
    if trial.cancel_requested:
        _lose(work, trial, state="cancelled", finished_at=utc_now())
    elif trial.attempt >= settings.max_attempts:
        error = f"Its worker died or fell silent {trial.attempt} times; it is not tried again."
        _lose(work, trial, state="failed", error=error, finished_at=utc_now())
    else:
        return _lose(work, trial, state="queued")
    return False


def _lose(work: UnitOfWork, trial: TrialRow, *, state: str, error: str | None = None, **values: Any) -> bool:
    worker = trial.lease_owner
    lost = work.trials.lose(trial, state=state, error=error, **values, **_RELEASED)
    if lost:
        work.events.record(trial.id, "state", {"state": state, "error": error, "lost": worker})
        if state != "queued":
            work.studies.changed_with(trial.id)
        work.count("lease_losses")
    return lost


def _end(work: UnitOfWork, claim: Claim, state: str, error: str | None, **values: Any) -> bool:
    ended = work.trials.change_held(
        claim.trial.id, claim.token, state=state, error=error, finished_at=utc_now(), **values, **_RELEASED
    )
    if ended:
        work.events.record(claim.trial.id, "state", {"state": state, "error": error})
        work.studies.changed_with(claim.trial.id)
        work.commit()
    return ended


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
