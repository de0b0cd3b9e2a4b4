"""What can go wrong in the service, beside what can go wrong in scaling (`scaling/errors.py`).

ServiceError
 |-- NotFound          no such resource
 |    `-- NoArtifact   the trial has no such file, or not yet
 |-- Conflict          the resource is not in a state for that, or the name is taken
 |    `-- InFlight     the same request, by its idempotency key, is being answered
 |-- KeyReused         an idempotency key that came with another request before
 |-- Stale             the resource is not the one that the caller has seen (If-Match)
 |-- UnknownDataset    no data set of that name, or a folder that is none
 |-- Unauthorized      no key, or one that is not known
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
    """No key, or one that is not known."""


class Invalid(ServiceError):
    """A request that is well-formed and wrong; `pointer` (JSON pointer) says where."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(message)
        self.pointer = pointer
        self.message = message
