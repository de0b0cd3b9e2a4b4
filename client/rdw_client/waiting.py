"""How long a wait may take, and how it looks again."""

from __future__ import annotations

from collections.abc import Iterator

from rdw_client.answers import Study
from rdw_client.errors import RdwError, StudyCancelled, WaitedTooLong
from rdw_client.events import SILENCE

_SHORTEST, _LONGEST = 0.25, 5.0
_LEAST_SILENCE = 0.1


class Deadline:
    """`seconds` after `began`, or never; times are of the same clock."""

    def __init__(self, seconds: float | None, began: float) -> None:
        self._seconds, self._at = seconds, None if seconds is None else began + seconds

    def within(self, pause: float, now: float) -> float:
        """The pause, cut at the deadline.

        Raises: WaitedTooLong where it has passed.
        """
        if self._at is None:
            return pause
        if now >= self._at:
            raise WaitedTooLong(f"It is not done after {self._seconds:g} s. It goes on; wait again to see it end.")
        return min(pause, self._at - now)

    def silence(self, now: float) -> float:
        """How long a stream may say nothing before we look up."""
        return SILENCE if self._at is None else min(SILENCE, max(_LEAST_SILENCE, self._at - now))

    def nears(self, silence: float, now: float) -> bool:
        """Whether a stream with that bound on its silence could outlast the deadline by more than a moment."""
        return self._at is not None and self._at - now < silence / 2


def pauses() -> Iterator[float]:
    """Seconds between looks: ever longer, up to a bound."""
    pause = _SHORTEST
    while True:
        yield pause
        pause = min(_LONGEST, 1.5 * pause)


def study_outcome(study: Study) -> bool:
    """Whether it has completed.

    Raises: StudyCancelled; RdwError where it will never complete by itself.
    """
    if study.state == "cancelled":
        raise StudyCancelled(study)
    if study.state == "created":
        raise RdwError(f"Study {study.id} was not started: nothing would ever come.")
    return study.state == "completed"
