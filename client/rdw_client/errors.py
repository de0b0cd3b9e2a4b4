"""What a call can raise.

RdwError
 |-- Unreachable          nobody answered, however often it was tried
 |-- NotUnderstood        the answer is not one of rdw's: another service, or a proxy's page
 |-- WaitedTooLong        a wait's timeout passed; what was waited for goes on
 |-- TrialFailed          the trial that was waited for (`trial`)
 |-- TrialCancelled
 |-- StudyCancelled       likewise (`study`)
 `-- Problem              the service refused: an RFC 9457 problem document
      |-- Unauthorized      401, 403: no key, or one that may not
      |-- NotFound          404
      |-- Conflict          409, 412: the resource is not in a state for that
      |-- RateLimited       429, still after all retries
      |-- Unavailable       503: the service is there, and its database or broker is not
      `-- Invalid           400, 413, 422, 431: what was asked makes no sense; `errors` says where
           `-- TargetOutOfRange    says what is reachable: `least`, `most`, `nearest`
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rdw_client.answers import Study, Trial


class RdwError(Exception):
    """Root of the client's errors."""


class Unreachable(RdwError):
    """Nobody answered, however often it was tried."""


class NotUnderstood(RdwError):
    """The answer is not one of rdw's."""


class WaitedTooLong(RdwError, TimeoutError):
    """A wait's timeout passed; what was waited for goes on."""


class TrialFailed(RdwError):
    """The trial that was waited for has failed."""

    def __init__(self, trial: Trial) -> None:
        super().__init__(f"Trial {trial.id} has failed: {trial.error or 'it did not say why'}")
        self.trial = trial


class TrialCancelled(RdwError):
    """The trial that was waited for was cancelled."""

    def __init__(self, trial: Trial) -> None:
        super().__init__(f"Trial {trial.id} was cancelled.")
        self.trial = trial


class StudyCancelled(RdwError):
    """The study that was waited for was cancelled."""

    def __init__(self, study: Study) -> None:
        super().__init__(f"Study {study.id} was cancelled.")
        self.study = study


class Problem(RdwError):
    """The service refused; the message is the problem's detail, and what is wrong where."""

    def __init__(self, document: Mapping[str, Any], status: int) -> None:
        self.raw = dict(document)
        self.status = status
        self.type = str(document.get("type", "about:blank"))
        self.title = str(document.get("title", f"HTTP {status}"))
        self.detail = str(document.get("detail", ""))
        self.errors: list[dict[str, Any]] = list(document.get("errors") or [])
        self.extras = {name: value for name, value in document.items() if name not in _MEMBERS}
        super().__init__(self._in_words())

    @property
    def kind(self) -> str:
        """The last part of the type, which is the same wherever the service runs: `not-found`, `validation`, …"""
        return self.type.rpartition("/")[2]

    def _in_words(self) -> str:
        others = [e for e in self.errors if e.get("message") != self.detail]
        wrong = [f"{e.get('pointer') or 'the body'}: {e.get('message')}" for e in others]
        return "\n".join([self.detail or self.title, *(f"  {line}" for line in wrong if line not in self.detail)])


class Unauthorized(Problem):
    """No key, or one that may not do this."""


class NotFound(Problem):
    """There is no such resource."""


class Conflict(Problem):
    """The resource is not in a state for that, or has changed meanwhile."""


class RateLimited(Problem):
    """Too many requests, still after all retries."""


class Unavailable(Problem):
    """The service is there, and what it needs is not."""


class Invalid(Problem):
    """What was asked makes no sense."""


class TargetOutOfRange(Invalid):
    """No network meets the target; what is reachable."""

    @property
    def least(self) -> int | None:
        """Least reachable flops."""
        return self.raw.get("least")

    @property
    def most(self) -> int | None:
        """Most reachable flops."""
        return self.raw.get("most")

    @property
    def nearest(self) -> dict[str, Any] | None:
        """The nearest network: multipliers, config, cost."""
        return self.raw.get("nearest")


_MEMBERS = ("type", "title", "status", "detail", "instance", "errors")
_OF_TYPE: dict[str, type[Problem]] = {"target-out-of-range": TargetOutOfRange}
_OF_STATUS: dict[int, type[Problem]] = {
    400: Invalid,
    401: Unauthorized,
    403: Unauthorized,
    404: NotFound,
    409: Conflict,
    412: Conflict,
    413: Invalid,
    422: Invalid,
    429: RateLimited,
    431: Invalid,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def problem(status: int, body: bytes) -> Problem:
    """The problem that an answer tells of; of one without a document (a proxy's page) its status says enough."""
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        document = {"detail": f"The answer was {status}, without a problem document."}
    kind = str(document.get("type", "")).rpartition("/")[2]
    return _OF_TYPE.get(kind, _OF_STATUS.get(status, Problem))(document, status)
