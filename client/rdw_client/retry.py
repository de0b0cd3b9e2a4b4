"""Decides which requests are retried, and when. The caller passes the time and sends the requests."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

_PERMANENT_ERRORS = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)  # the caller's mistakes
_RETRIABLE_STATUSES = (429, 502, 503, 504)
_IN_FLIGHT = "/problems/idempotency-in-flight"


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how long a request is retried; delays double from `first_delay` up to `max_delay` seconds."""

    max_retries: int
    max_seconds: float
    first_delay: float
    max_delay: float = 10.0


class RetrySchedule:
    """The retries of one request. `started` and `now` are seconds of the same clock."""

    def __init__(self, policy: RetryPolicy, started: float, rng: random.Random) -> None:
        self._policy, self._deadline, self._random = policy, started + policy.max_seconds, rng
        self._retries = 0
        self._server_errors = 0  # responses with 500: only the first one is retried

    def next_delay(self, outcome: httpx.Response | httpx.TransportError, now: float) -> float | None:
        """Return the seconds before the next attempt, random up to a doubling bound; None if the outcome is final."""
        if self._retries >= self._policy.max_retries or not self._is_transient(outcome):
            return None
        longest = min(self._policy.max_delay, self._policy.first_delay * 2**self._retries)
        delay = max(self._random.uniform(0, longest), _retry_after(outcome))
        self._retries += 1
        return None if now + delay > self._deadline else delay

    def _is_transient(self, outcome: httpx.Response | httpx.TransportError) -> bool:
        if isinstance(outcome, httpx.TransportError):
            return not isinstance(outcome, _PERMANENT_ERRORS)
        if outcome.status_code == 500:
            self._server_errors += 1
            return self._server_errors == 1
        return outcome.status_code in _RETRIABLE_STATUSES or (outcome.status_code == 409 and _is_in_flight(outcome))


def _is_in_flight(response: httpx.Response) -> bool:
    """Whether an earlier request with the same idempotency key is still being processed."""
    try:
        return bool(response.json()["type"].endswith(_IN_FLIGHT))
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def _retry_after(outcome: httpx.Response | httpx.TransportError) -> float:
    """Return the seconds of `Retry-After`, which is a number or a date; 0 if it is missing or invalid."""
    header = outcome.headers.get("Retry-After", "") if isinstance(outcome, httpx.Response) else ""
    if header.isascii() and header.isdigit():
        return float(header)
    try:
        date = parsedate_to_datetime(header)
    except ValueError:
        return 0.0
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
