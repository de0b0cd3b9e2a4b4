"""When a call that did not go well is sent again, and after how long. Knows no clock and no network of its own."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

_HOPELESS = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)  # our own mistakes: the same again next time
_BUSY = (429, 502, 503, 504)
_IN_FLIGHT = "/problems/idempotency-in-flight"


@dataclass(frozen=True)
class Patience:
    """How often a call is sent again, and for how long in all; waits double from `first` up to `longest` seconds."""

    retries: int
    seconds: float
    first: float
    longest: float = 10.0


class Attempts:
    """One call's attempts; `began` and `now` are seconds of the same clock."""

    def __init__(self, patience: Patience, began: float, chance: random.Random) -> None:
        self._patience, self._deadline, self._chance = patience, began + patience.seconds, chance
        self._made = 0
        self._errors = 0  # of our 500s: one may be an accident

    def pause(self, outcome: httpx.Response | httpx.TransportError, now: float) -> float | None:
        """Seconds until the next attempt; none where there is to be none."""
        if self._made >= self._patience.retries or not self._passing(outcome):
            return None
        longest = min(self._patience.longest, self._patience.first * 2**self._made)
        wait = max(self._chance.uniform(0, longest), _asked_to_wait(outcome))
        self._made += 1
        return None if now + wait > self._deadline else wait

    def _passing(self, outcome: httpx.Response | httpx.TransportError) -> bool:
        """Whether it may go better next time."""
        if isinstance(outcome, httpx.TransportError):
            return not isinstance(outcome, _HOPELESS)
        if outcome.status_code == 500:
            self._errors += 1
            return self._errors == 1
        return outcome.status_code in _BUSY or (outcome.status_code == 409 and _in_flight(outcome))


def _in_flight(answer: httpx.Response) -> bool:
    """Whether the first request with this key is still being worked on."""
    try:
        return bool(answer.json()["type"].endswith(_IN_FLIGHT))
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def _asked_to_wait(outcome: httpx.Response | httpx.TransportError) -> float:
    """Seconds by `Retry-After`, which is a number or a date; 0 where it says nothing."""
    said = outcome.headers.get("Retry-After", "") if isinstance(outcome, httpx.Response) else ""
    if said.isascii() and said.isdigit():
        return float(said)
    try:
        date = parsedate_to_datetime(said)
    except ValueError:
        return 0.0
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
