"""The watchdog: ends a worker whose training is stuck, and records the end of its attempt.

A training that hangs in a loader, a file system or a GPU cannot end itself. Its supervisor (`rdw serve`, Docker or
Kubernetes) starts the worker again.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from app.core.settings import Settings
from app.db.unit_of_work import UnitOfWork
from app.services.trials import heartbeats, lifecycle
from worker.data.shared_memory import SHARED_MEMORY_ADVICE
from worker.heartbeat import Heartbeat, StopReason

log = logging.getLogger("rdw.worker")

_POLL_SECONDS = 0.5
_STOP_SECONDS = 7.0  # the time a training has to stop; a supervisor kills its worker a few seconds later
_RECORD_SECONDS = 4.0  # the database may not answer
_MAX_STACK_LINES = 20
_STOP_SIGNALS = frozenset((signal.SIGTERM, signal.SIGINT))


class Watchdog(threading.Thread):
    """Ends the process if the current training makes no progress, or does not stop when it should."""

    def __init__(self, settings: Settings, heartbeat: Heartbeat) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._settings, self._heartbeat = settings, heartbeat
        self._signals, self._wakeup = socket.socketpair()
        self._unanswered: tuple[lifecycle.Claim | None, StopReason] | None = None
        self._unanswered_since = 0.0

    def watch_main_thread(self) -> None:
        """Start, from the main thread, which trains. Handlers of signals do not run while that is stuck."""
        for end in (self._signals, self._wakeup):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        self.start()

    def run(self) -> None:
        while True:
            self._wait()
            claim, reason = self._heartbeat.claim, self._heartbeat.stop_reason()
            if reason is not None and self._is_unanswered(claim, reason):
                self._stop(claim, reason)
            seconds = self._heartbeat.progress.stalled_seconds()
            if claim is not None and reason is None and seconds is not None:
                self._end_stalled(claim, seconds)

    def _wait(self) -> None:
        if select.select([self._signals], [], [], _POLL_SECONDS)[0] and _STOP_SIGNALS & {*self._signals.recv(4096)}:
            self._heartbeat.shutdown_requested.set()

    def _is_unanswered(self, claim: lifecycle.Claim | None, reason: StopReason) -> bool:
        """Whether the training should have stopped for this reason by now."""
        if self._unanswered != (claim, reason):
            self._unanswered, self._unanswered_since = (claim, reason), time.monotonic()
        return time.monotonic() - self._unanswered_since > _STOP_SECONDS

    def _stop(self, claim: lifecycle.Claim | None, reason: StopReason) -> NoReturn:
        stack = self._stack()
        log.error("the training does not stop (%s), so this worker ends; it is at\n%s", reason, "\n".join(stack))
        if claim is not None and reason is StopReason.CANCELLED:
            self._record(lambda work: lifecycle.confirm_cancel(work, claim))
        elif claim is not None and reason is StopReason.STOPPING:
            self._record(lambda work: lifecycle.release(work, claim))
        self._end(0 if reason is StopReason.STOPPING else 1)

    def _end_stalled(self, claim: lifecycle.Claim, seconds: float) -> NoReturn:
        stack = self._stack()
        error = f"No training step for {seconds:.0f} s: {_explain(stack)}"
        log.error("trial %s: %s This worker ends; it is at\n%s", claim.trial.id, error, "\n".join(stack))
        lines = [*self._heartbeat.log_tail.lines()[:-1], *stack]
        self._record(lambda work: lifecycle.stall(work, claim, error, lines, self._settings.max_attempts))
        self._end(1)

    def _stack(self) -> list[str]:
        """Return the last lines of the stack of the main thread."""
        frame = sys._current_frames().get(threading.main_thread().ident or 0)
        lines = [line for entry in traceback.format_stack(frame) for line in entry.splitlines()]
        return lines[-_MAX_STACK_LINES:]

    def _record(self, write: Callable[[UnitOfWork], bool]) -> None:
        """Record the end of the attempt, and sign off the worker; if that fails, the lease expires."""
        thread = threading.Thread(target=self._write, args=(write,), daemon=True)
        thread.start()
        thread.join(_RECORD_SECONDS)

    def _write(self, write: Callable[[UnitOfWork], bool]) -> None:
        try:
            with UnitOfWork(self._settings.database) as work:
                write(work)
                heartbeats.remove_worker(work, self._heartbeat.owner)
        except Exception:
            log.exception("the end of the attempt is not recorded; its lease will expire")

    @staticmethod
    def _end(code: int) -> NoReturn:
        for child in multiprocessing.active_children():
            child.kill()
        os._exit(code)


def _explain(stack: list[str]) -> str:
    """Return the likely cause of a stall and what to do, as sentences."""
    if any(str(Path("torch", "utils", "data", "dataloader.py")) in line for line in stack):
        return (
            "it waits for a batch of its loader processes. Either the storage of the data set does not answer, or "
            f"shared memory is too small. {SHARED_MEMORY_ADVICE}"
        )
    return "see the stack in the log. If a step may take this long, raise RDW_STALL_SECONDS."
