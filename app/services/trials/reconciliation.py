"""Reconciliation: expires leases of dead workers and resends lost messages.

This guarantees that every queued trial runs: a message is sent for each, a message leads to one claim, and while a
trial is first in the queue and a worker is idle, `reconcile` sends its message again.
"""

from __future__ import annotations

import math

from app.core.settings import Settings
from app.db.tables import TrialRow
from app.db.unit_of_work import UnitOfWork
from app.services.trials import heartbeats, lifecycle

_MAX_SENT_AT_ONCE = 8  # without a limit the broker fills with repeated messages


def reconcile(work: UnitOfWork, settings: Settings) -> int:
    """Expire leases and resend lost messages; return the number of messages. Any number of replicas may run it."""
    expired = heartbeats.lock_expired(work, _MAX_SENT_AT_ONCE)
    requeued = [trial for trial in expired if lifecycle.expire(work, trial, settings.max_attempts)]
    undelivered = [trial for trial in _undelivered(work, settings) if trial not in requeued]
    to_send = requeued + undelivered
    work.send(to_send)
    if to_send:
        work.count("redeliveries", len(to_send))
    work.workers.delete_silent(heartbeats.SILENT_WORKER_RETENTION_SECONDS)
    work.commit()
    return len(to_send)


def _undelivered(work: UnitOfWork, settings: Settings) -> list[TrialRow]:
    """Return the first trials in the queue whose message was never sent or seems lost.

    While all workers are busy a message is not considered lost, since its trial is waiting for a worker.
    """
    has_idle_worker = any(worker.trial_id is None for worker in work.workers.list_alive(settings.lease_seconds))
    resend_seconds, now = settings.resend_seconds if has_idle_worker else math.inf, work.trials.clock()
    first = work.trials.first_in_queue(lifecycle.QUEUE, _MAX_SENT_AT_ONCE)
    # A time ahead of the clock dates from before the database's clock was set back.
    return [t for t in first if t.sent_at is None or not now - resend_seconds <= t.sent_at <= now]
