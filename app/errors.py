"""What can go wrong in the service, beside what can go wrong in scaling (`scaling/errors.py`).

ServiceError
 |-- NotFound          no such resource
 |    `-- NoArtifact   the trial has no such file, or not yet
 |-- Conflict          the resource is not in a state for that, or the name is taken
 |    `-- InFlight     the same request, by its idempotency key, is being answered
 |-- KeyReused         an idempotency key that came with another request before
 |-- Stale             the resource is not the one that the caller has seen (If-Match)
 |-- UnknownDataset    no data set of that name, or a folder that is none
 |-- Unauthorized      no key, or one that does not count (any more)
 |-- Forbidden         the key's scope does not reach so far, or a page of another site asks
 |-- RateLimited       the caller has asked for too much; it says when to ask again
 |-- Overloaded        all together have asked for too much
 `-- Invalid           a request that is well-formed and wrong, with a pointer to where
"""

from __future__ import annotations


class ServiceError(Exception):
    """Root of the service's errors."""


class NotFound(ServiceError):
    """No such resource."""

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(f"There is no {kind} {key!r}.")


class NoArtifact(NotFound):
    """The trial has no such file, or not yet."""

    def __init__(self, message: str) -> None:
        ServiceError.__init__(self, message)


class Conflict(ServiceError):
    """The resource is not in a state for that, or the name is taken."""


class InFlight(Conflict):
    """The same request, by its idempotency key, is being answered; to be sent again in `retry_after` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("The same request is being answered: send it again in a moment, with the same key.")
        self.retry_after = retry_after


class KeyReused(ServiceError):
    """An idempotency key that came with another request before."""


class Stale(ServiceError):
    """The resource is not the one that the caller has seen (If-Match)."""


class UnknownDataset(ServiceError):
    """No data set of that name, or a folder that is none."""


class Unauthorized(ServiceError):
    """No key, or one that does not count (any more): then `invalid`."""

    def __init__(self, message: str, *, invalid: bool = False) -> None:
        super().__init__(message)
        self.invalid = invalid


class Forbidden(ServiceError):
    """The key's scope does not reach so far, or a page of another site asks."""


class RateLimited(ServiceError):
    """The caller has asked for too much; `seconds` from now it may ask again."""

    def __init__(self, message: str, seconds: int) -> None:
        super().__init__(message)
        self.seconds = seconds


class Overloaded(ServiceError):
    """All together have asked for too much."""


class Invalid(ServiceError):
    """A request that is well-formed and wrong; `pointer` (JSON pointer) says where."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(message)
        self.pointer = pointer
        self.message = message
