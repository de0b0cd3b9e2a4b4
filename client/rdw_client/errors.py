"""The errors that a request can raise.

RdwError
 |-- Unreachable          the service did not respond, after all retries
 |-- NotUnderstood        the response is not from rdw but from another service, or a proxy's page
 |-- WaitedTooLong        the timeout of a wait passed; the trial or study continues
 |-- TrialFailed          the trial failed (`trial`); this and the next three are in outcomes.py
 |-- TrialCancelled
 |-- StudyCancelled       the study was cancelled (`study`)
 |-- DatasetFailed        the images of a folder cannot be used (`dataset`)
 `-- Problem              the service refused the request with an RFC 9457 problem document
      |-- Unauthorized      401, 403: the key is missing, invalid, or may not do this
      |-- QuotaExceeded     403: the key has used up its quota
      |-- NotFound          404
      |-- Conflict          409, 412: the resource is not in a state that allows this
      |    `-- SpaceExhausted      the study's search space has no more networks to suggest
      |-- RateLimited       429, after all retries
      |-- Unavailable       503: the database or broker is unavailable, or the service is busy
      `-- Invalid           400, 413, 415, 422, 431: the request is invalid; `errors` says where
           `-- TargetOutOfRange    `reachable` and `nearest` say what is reachable
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class RdwError(Exception):
    """Base class of the client's errors. They can be pickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args, self.__dict__)


class Unreachable(RdwError):
    """The service did not respond, after all retries."""


class NotUnderstood(RdwError):
    """The response is not one of rdw's."""


class WaitedTooLong(RdwError, TimeoutError):
    """The timeout of a wait passed; the trial or study continues."""


class Problem(RdwError):
    """The service refused the request. The message is the problem's detail and the list of invalid fields."""

    def __init__(self, document: Mapping[str, Any], status: int) -> None:
        self.raw = dict(document)
        self.status = status
        self.type = str(document.get("type", "about:blank"))
        self.title = str(document.get("title", f"HTTP {status}"))
        self.detail = str(document.get("detail", ""))
        self.errors: list[dict[str, Any]] = list(document.get("errors") or [])
        super().__init__(self._message())

    @property
    def kind(self) -> str:
        """The last segment of `type`, such as `not-found`: it does not depend on where the service runs."""
        return self.type.rpartition("/")[2]

    def _message(self) -> str:
        others = [error for error in self.errors if error.get("message") != self.detail]
        fields = [f"{error.get('pointer') or 'the body'}: {error.get('message')}" for error in others]
        return "\n".join([self.detail or self.title, *(f"  {line}" for line in fields if line not in self.detail)])


class Unauthorized(Problem):
    """The key is missing, invalid, or may not do this: its scope is too small, or another key owns the resource."""


class QuotaExceeded(Problem):
    """The key has used up its quota; the message says the limit, what is used and what to do."""


class NotFound(Problem):
    """The resource does not exist."""


class Conflict(Problem):
    """The resource is not in a state that allows this, or it has changed since it was read."""


class SpaceExhausted(Conflict):
    """The study's search space has no more networks to suggest."""


class RateLimited(Problem):
    """Too many requests, after all retries."""


class Unavailable(Problem):
    """The service runs, but its database or broker is unavailable."""


class Invalid(Problem):
    """The request is invalid."""


class TargetOutOfRange(Invalid):
    """No network meets the target."""

    @property
    def reachable(self) -> dict[str, Any] | None:
        """The minimum and maximum reachable cost in the unit of the target: unit, precision, min, max."""
        return self.raw.get("reachable")

    @property
    def min_flops(self) -> int | None:
        """The minimum reachable flops, if the target is in flops."""
        return self.raw.get("min_flops")

    @property
    def max_flops(self) -> int | None:
        """The maximum reachable flops, if the target is in flops."""
        return self.raw.get("max_flops")

    @property
    def nearest(self) -> dict[str, Any] | None:
        """The nearest network: multipliers, config, cost."""
        return self.raw.get("nearest")


_CLASS_BY_KIND: dict[str, type[Problem]] = {
    "quota-exceeded": QuotaExceeded,
    "space-exhausted": SpaceExhausted,
    "target-out-of-range": TargetOutOfRange,
}
_CLASS_BY_STATUS: dict[int, type[Problem]] = {
    400: Invalid,
    401: Unauthorized,
    403: Unauthorized,
    404: NotFound,
    409: Conflict,
    412: Conflict,
    413: Invalid,
    415: Invalid,
    422: Invalid,
    429: RateLimited,
    431: Invalid,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def _restore(kind: type[RdwError], args: tuple[Any, ...], members: dict[str, Any]) -> RdwError:
    """Rebuild a pickled error without the arguments of its constructor."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(members)
    return error


def parse_problem(status: int, body: bytes) -> Problem:
    """Return the error for a response; without a problem document (a proxy's page), by the status alone."""
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        document = {"detail": f"The service responded with {status} and no problem document."}
    kind = str(document.get("type", "")).rpartition("/")[2]
    return _CLASS_BY_KIND.get(kind, _CLASS_BY_STATUS.get(status, Problem))(document, status)
