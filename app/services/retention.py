"""Retention: deletes expired progress events, checkpoints and stored responses.

Progress events of trials that ended at least `keep_days` ago are deleted, the checkpoints that failed and cancelled
trials left for a retry, and files of attempts that did not complete their trial. State changes, results, observations,
weights and models are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from app.core.settings import Settings
from app.db.tables import utc_now
from app.db.unit_of_work import UnitOfWork
from app.services import idempotency_store
from app.services.trials import artifacts, lifecycle

_MAX_EVENTS_PER_TRANSACTION = 1000  # keeps transactions short


def prune(settings: Settings, is_stopping: Callable[[], bool] = lambda: False) -> int:
    """Delete what has expired; return the number of deleted events. Any number of replicas may run it.

    If `is_stopping`, it ends after the next batch of events.
    """
    with UnitOfWork(settings.database) as work:
        idempotency_store.delete_expired(work)
        work.commit()
    before = utc_now() - timedelta(days=settings.keep_days)
    removed = 0
    while True:
        with UnitOfWork(settings.database) as work:
            trials, events = work.events.delete_progress(before, _MAX_EVENTS_PER_TRANSACTION, states=lifecycle.TERMINAL)
            work.commit()
        for trial in trials:
            with UnitOfWork(settings.database) as work:
                artifacts.delete_leftovers(work, settings.data_dir, trial, states=lifecycle.TERMINAL)
        removed += events
        if events < _MAX_EVENTS_PER_TRANSACTION or is_stopping():
            return removed
