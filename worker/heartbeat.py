"""A worker's heartbeat: a thread that extends the lease of the current trial and notices requests to stop."""

from __future__ import annotations

import logging
import threading
import time
from enum import StrEnum

from app.core.settings import Settings
from app.db.outage_log import OutageLog
from app.db.tables import utc_now
from app.db.unit_of_work import UnitOfWork
from app.services.trials import heartbeats
from app.services.trials.heartbeats import LeaseStatus
from app.services.trials.lifecycle import Claim
from worker.log_tail import LogTail
from worker.progress_clock import ProgressClock

log = logging.getLogger("rdw.worker")

_BEATS_PER_LEASE = 5
_MAX_TRAINING_BEAT_SECONDS = 2.0  # a cancellation is noticed within about this time
_TICK_SECONDS = 0.5


class StopReason(StrEnum):
    """Why the current training should stop: its lease is lost, its trial cancelled, or its worker shuts down."""

    LOST = "lost"
    CANCELLED = "cancelled"
    STOPPING = "stopping"


_REASONS = {LeaseStatus.LOST: StopReason.LOST, LeaseStatus.CANCEL_REQUESTED: StopReason.CANCELLED}


class Heartbeat(threading.Thread):
    """Sends heartbeats for a worker and for its current claim."""

    def __init__(self, settings: Settings, owner: str, device: str = "cpu") -> None:
        super().__init__(name="heartbeat", daemon=True)
        self.owner = owner
        self.shutdown_requested = threading.Event()
        self.log_tail = LogTail()
        self.progress = ProgressClock(settings.stall_seconds)
        self._settings, self._device, self._started_at = settings, device, utc_now()
        self._sent_lines: list[str] = []
        self._next_beat = 0.0
        self._claim: Claim | None = None
        self._stop_reason: StopReason | None = None
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._outages = OutageLog(log, "send a heartbeat")

    def run(self) -> None:
        while not self._stopped.is_set():
            if time.monotonic() >= self._next_beat:
                self._beat_or_log()
            self._stopped.wait(_TICK_SECONDS)

    def beat(self) -> None:
        """Record that the worker is alive, extend the lease, and read whether the training should stop."""
        with self._lock:
            claim = self._claim
        lines = self.log_tail.lines() if claim else []
        with UnitOfWork(self._settings.database) as work:
            status = heartbeats.record_heartbeat(
                work,
                self.owner,
                threads=self._settings.thread_count,
                device=self._device,
                started_at=self._started_at,
                claim=claim,
                lease_seconds=self._settings.lease_seconds,
                log=lines if lines and lines != self._sent_lines else None,
            )
        self._sent_lines = lines
        with self._lock:
            if self._claim is claim and status in _REASONS:
                self._stop_reason = _REASONS[status]

    def attach(self, claim: Claim) -> None:
        """Send heartbeats for this claim as well, and collect the last lines of its log."""
        self.log_tail.start()
        self.progress.begin_slow_phase()
        self._set_claim(claim)

    def detach(self) -> None:
        """Stop sending heartbeats for the claim: the worker is idle."""
        self.log_tail.stop()
        self._set_claim(None)

    @property
    def claim(self) -> Claim | None:
        """The current claim."""
        return self._claim

    def stop_reason(self) -> StopReason | None:
        """Return why the current training should stop, or None."""
        return self._stop_reason or (StopReason.STOPPING if self.shutdown_requested.is_set() else None)

    def stop(self) -> None:
        """Stop the thread and sign off the worker."""
        self._stopped.set()
        with UnitOfWork(self._settings.database) as work:
            heartbeats.remove_worker(work, self.owner)

    def _set_claim(self, claim: Claim | None) -> None:
        with self._lock:
            self._claim, self._stop_reason = claim, None
        self._beat_or_log()

    def _beat_or_log(self) -> None:
        seconds = self._settings.lease_seconds / _BEATS_PER_LEASE
        if self._claim is not None:
            seconds = min(seconds, _MAX_TRAINING_BEAT_SECONDS)
        self._next_beat = time.monotonic() + seconds
        try:
            self.beat()
            self._outages.recovered()
        except Exception as error:  # such as a database outage: the training goes on until the lease expires
            self._outages.failure(error)
