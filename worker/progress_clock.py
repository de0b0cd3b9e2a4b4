"""Measures how long a training has made no progress."""

from __future__ import annotations

import threading
import time

_SLOW_PHASE_FACTOR = 3.0
_FIRST_STEPS = 2  # the first one compiles the network, and waits for the first batch


class ProgressClock:
    """The time since the last step of a training; in phases without steps, since the start of the phase.

    These phases may take three times as long: reading the data set, the first steps, the export.
    """

    def __init__(self, stall_seconds: float) -> None:
        self._stall_seconds = stall_seconds
        self._lock = threading.Lock()
        self._last, self._steps = time.monotonic(), 0

    def begin_slow_phase(self) -> None:
        """Start a phase without steps, or the first steps of a phase."""
        with self._lock:
            self._last, self._steps = time.monotonic(), 0

    def record_step(self) -> None:
        with self._lock:
            self._last, self._steps = time.monotonic(), self._steps + 1

    def stalled_seconds(self) -> float | None:
        """Return the seconds without progress if these are too many, else None."""
        with self._lock:
            seconds, is_slow_phase = time.monotonic() - self._last, self._steps < _FIRST_STEPS
        limit = self._stall_seconds * (_SLOW_PHASE_FACTOR if is_slow_phase else 1.0)
        return seconds if seconds > limit else None
