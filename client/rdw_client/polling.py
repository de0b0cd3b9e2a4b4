"""Timeouts and intervals of waiting."""

from __future__ import annotations

from collections.abc import Iterator

from rdw_client.errors import WaitedTooLong
from rdw_client.events import MAX_SILENCE

_MIN_INTERVAL, _MAX_INTERVAL, _GROWTH = 0.25, 5.0, 1.5  # seconds
_MIN_READ_TIMEOUT = 0.1  # seconds


class Deadline:
    """A time `seconds` after `started`, or never. All times are of the same clock."""

    def __init__(self, seconds: float | None, started: float) -> None:
        self._seconds, self._at = seconds, None if seconds is None else started + seconds

    def limit(self, delay: float, now: float) -> float:
        """Shorten the delay so that it ends by the deadline.

        Raises: WaitedTooLong if the deadline has passed.
        """
        if self._at is None:
            return delay
        if now >= self._at:
            raise WaitedTooLong(f"Not finished after {self._seconds:g} s. It continues on the server; wait again.")
        return min(delay, self._at - now)

    def read_timeout(self, now: float) -> float:
        """Return how long a stream may be silent before its connection is considered dead."""
        return MAX_SILENCE if self._at is None else min(MAX_SILENCE, max(_MIN_READ_TIMEOUT, self._at - now))

    def is_near(self, read_timeout: float, now: float) -> bool:
        """Whether a stream with this read timeout could outlast the deadline noticeably."""
        return self._at is not None and self._at - now < read_timeout / 2


def poll_intervals() -> Iterator[float]:
    """Yield the seconds between polls, which grow up to a maximum."""
    interval = _MIN_INTERVAL
    while True:
        yield interval
        interval = min(_MAX_INTERVAL, _GROWTH * interval)
