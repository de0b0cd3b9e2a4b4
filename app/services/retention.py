"""What is removed by itself: how trials went that ended long ago, what is left of those that did not complete, and
answers kept for requests that are sent again.

Progress events of trials that ended `keep_days` ago or longer go, and with them the checkpoints that failed and
cancelled trials left for a retry. Changes of state, results, observations, weights and models stay.
"""

from __future__ import annotations

from datetime import timedelta

from app.db.tables import utc_now
from app.db.unit_of_work import UnitOfWork
from app.services import artifacts, replays
from app.settings import Settings

_AT_ONCE = 1000  # events, so that no transaction is long


def prune(settings: Settings) -> int:
    """Remove what is old; how many events went. Any number of replicas may do it."""
    with UnitOfWork(settings.database) as work:
        replays.forget_old(work)
        work.commit()
    before = utc_now() - timedelta(days=settings.keep_days)
    removed = 0
    while True:
        with UnitOfWork(settings.database) as work:
            trials, events = work.events.forget_progress(before, _AT_ONCE)
            work.commit()
        for trial in trials:
            artifacts.forget_checkpoints(settings.data_dir, trial)
        removed += events
        if events < _AT_ONCE:
            return removed
