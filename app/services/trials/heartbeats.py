"""Heartbeats of workers: they keep a worker listed and extend the lease of its claim, which otherwise expires."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

from app.db.tables import TrialRow
from app.db.unit_of_work import UnitOfWork
from app.services.trials.lifecycle import LEASED, Claim

SILENT_WORKER_RETENTION_SECONDS = 3600  # how long a worker without heartbeats is still listed

_CLOCK_CORRECTION_SECONDS = 5.0  # regular clock corrections are smaller


class LeaseStatus(Enum):
    """The status of a lease that a heartbeat extends."""

    HELD = "held"
    CANCEL_REQUESTED = "cancel requested"
    LOST = "lost"


def record_heartbeat(
    work: UnitOfWork,
    worker: str,
    *,
    threads: int,
    device: str,
    started_at: datetime,
    claim: Claim | None,
    lease_seconds: float,
    log: list[str] | None,
) -> LeaseStatus | None:
    """Record that the worker is alive and extend the lease of its claim, if any; `log` as in `extend_lease`."""
    work.workers.record_heartbeat(worker, threads, claim.trial.id if claim else None, device, started_at)
    status = extend_lease(work, claim, lease_seconds, log) if claim else None
    work.commit()
    return status


def extend_lease(work: UnitOfWork, claim: Claim, lease_seconds: float, log: list[str] | None = None) -> LeaseStatus:
    """Extend the lease unless it is lost. `log` has the last lines of the worker's log if they have changed.

    Does not commit.
    """
    now = work.trials.clock()
    values = {"lease_expires_at": now + lease_seconds, "heartbeat_at": now, **({} if log is None else {"log": log})}
    if not work.trials.update_if(claim.trial.id, (LEASED,), values, token=claim.token):
        return LeaseStatus.LOST
    return LeaseStatus.CANCEL_REQUESTED if work.trials.is_cancel_requested(claim.trial.id) else LeaseStatus.HELD


def remove_worker(work: UnitOfWork, worker: str) -> None:
    """Remove a worker that shuts down from the list of workers."""
    work.workers.delete(worker)
    work.commit()


def lock_expired(work: UnitOfWork, limit: int) -> list[TrialRow]:
    """Lock and return running trials whose lease has expired or dates from before the database's clock was set back.

    In the latter case the heartbeat is ahead of the clock.
    """
    now = work.trials.clock()
    ahead = now + _CLOCK_CORRECTION_SECONDS
    return work.trials.lock_expired(LEASED, lease_before=now, heartbeat_after=ahead, limit=limit)
