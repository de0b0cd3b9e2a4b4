"""The maintenance loop that runs beside every API process."""

from __future__ import annotations

import logging
import threading
import time

from app.core.settings import Settings
from app.db.outage_log import OutageLog
from app.db.unit_of_work import UnitOfWork
from app.jobs.file_broker import prune_processed
from app.jobs.queue import JobQueue
from app.services.predictors import store as predictor_store
from app.services.retention import prune
from app.services.studies import autopilot
from app.services.trials.reconciliation import reconcile

log = logging.getLogger("rdw.maintenance")

_PRUNE_SECONDS = 600.0


def run_maintenance_loop(
    settings: Settings, jobs: JobQueue, stop: threading.Event, compute: autopilot.Compute = autopilot.compute_here
) -> None:
    """Store the built-in predictors, resend lost jobs, advance studies and delete what has expired, until `stop`.

    Every API process runs this loop: each step is idempotent. What takes long is computed by `compute`. Once `stop` is
    set, the loop ends after the current step.
    """
    next_prune = time.monotonic()
    outages = OutageLog(log, "run the maintenance loop")
    while not stop.is_set():
        try:
            is_prune_due = time.monotonic() >= next_prune
            if is_prune_due:
                _store_built_in(settings)
            with UnitOfWork(settings.database, jobs.send) as work:  # one transaction a round unless there is work
                pending = autopilot.find_pending(work)
                reconcile(work, settings)
            for change in pending:
                if stop.is_set():
                    return
                autopilot.process_study_changes(settings, jobs.send, [change], compute)
            if settings.embedded_broker:
                prune_processed(settings)
            if is_prune_due:
                prune(settings, stop.is_set)
                next_prune = time.monotonic() + _PRUNE_SECONDS
            outages.recovered()
        except Exception as error:  # logged, and retried in the next round
            outages.failure(error)
        stop.wait(settings.reconcile_seconds)


def _store_built_in(settings: Settings) -> None:
    with UnitOfWork(settings.database, writes=False) as work:
        if predictor_store.are_built_in_stored(work):
            return
    with UnitOfWork(settings.database) as work:
        predictor_store.store_built_in(work)
