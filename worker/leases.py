"""A worker's heartbeat: a thread that keeps the lease of the trial in hand and listens for what is wanted of it."""

from __future__ import annotations

import logging
import threading
from typing import Literal

from app.db.tables import utc_now
from app.db.unit_of_work import UnitOfWork
from app.services.leases import Claim
from app.settings import Settings
from app.troubles import Troubles
from worker.log_tail import LogTail

log = logging.getLogger("rdw.worker")

_BEATS_PER_LEASE = 5
_LISTEN_SECONDS = 1.0  # a cancel is heard of within so long

Why = Literal["lost", "cancelled", "stopping"]


class Heartbeat(threading.Thread):
    """Beats for the worker, and for the claim that it holds."""

    def __init__(self, settings: Settings, owner: str, device: str = "cpu") -> None:
        super().__init__(name="heartbeat", daemon=True)
        self.owner = owner
        self._device, self._started_at = device, utc_now()
        self.stopping = threading.Event()
        self.log = LogTail()
        self._said: list[str] = []
        self._settings = settings
        self._claim: Claim | None = None
        self._why: Why | None = None
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._troubles = Troubles(log, "send a heartbeat")

    def run(self) -> None:
        while not self._ended.is_set():
            self._beat_if_possible()
            self._ended.wait(min(self._settings.lease_seconds / _BEATS_PER_LEASE, _LISTEN_SECONDS))

    def beat(self) -> None:
        """Say that the worker lives, extend the lease, and hear whether it is lost or a cancel is wanted."""
        with self._lock:
            claim = self._claim
        with UnitOfWork(self._settings.database) as work:
            trial_id = claim.trial.id if claim else None
            work.workers.beat(self.owner, self._settings.thread_count, trial_id, self._device, self._started_at)
            cancel = self._extend(work, claim) if claim else False
            work.commit()
        with self._lock:
            if self._claim is claim and cancel is not False:
                self._why = "lost" if cancel is None else "cancelled"

    def _extend(self, work: UnitOfWork, claim: Claim) -> bool | None:
        lines = self.log.lines()
        new, self._said = (lines if lines and lines != self._said else None), lines
        return work.trials.extend(claim.trial.id, claim.token, self._settings.lease_seconds, new)

    def hold(self, claim: Claim) -> None:
        """From now on beat for this claim as well, and keep the last lines of its log."""
        self.log.begin()
        self._take(claim)

    def release(self) -> None:
        """The claim has ended: the worker is idle."""
        self.log.end()
        self._take(None)

    def why_stop(self) -> Why | None:
        """Why the training in hand should stop, if it should."""
        return self._why or ("stopping" if self.stopping.is_set() else None)

    def _take(self, claim: Claim | None) -> None:
        with self._lock:
            self._claim, self._why = claim, None
        self._beat_if_possible()

    def _beat_if_possible(self) -> None:
        try:
            self.beat()
            self._troubles.over()
        except Exception as error:  # the database may be away; the lease decides whether that matters
            self._troubles.met(error)

    def end(self) -> None:
        """Stop beating and forget the worker."""
        self._ended.set()
        with UnitOfWork(self._settings.database) as work:
            work.workers.forget(self.owner)
            work.commit()
