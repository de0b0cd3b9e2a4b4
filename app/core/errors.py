"""The errors of the service; those of scaling are in `scaling/errors.py`.

ServiceError
 |-- NotFound                 the resource does not exist
 |    `-- ArtifactNotFound    the trial does not have this file, or not yet
 |-- Conflict                 the resource's state does not allow the operation, or the name is taken
 |    |-- HasDependents       other resources depend on the one to delete; lists them
 |    |-- IllegalTransition   there is no transition from its state to the requested one
 |    `-- RequestInProgress   a request with the same idempotency key is still being processed
 |-- IdempotencyKeyReused     an idempotency key that was used for a different request before
 |-- PreconditionFailed       the resource has changed since the caller read it (If-Match)
 |-- UnknownDataset           the data set does not exist, or its folder is not a valid data set
 |    `-- UnreadableFiles     files of the folder are not images that can be decoded; names the first ones
 |-- Unauthorized             the API key is missing or invalid
 |-- Forbidden                the key's scope does not cover the operation, or the request is cross-site
 |    `-- NotOwner            the resource belongs to another key
 |-- QuotaExceeded            the caller's key would use more than its quota; says what, how much and the limit
 |-- RateLimited              the caller has exceeded its rate limit; says when to retry
 |-- ServiceBusy              too many computations wait; says when to retry
 `-- InvalidRequest           the request is well-formed but invalid; points to where
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from app.scaling.errors import SentBetweenProcesses

Resource = TypeVar("Resource")

_MAX_LISTED = 5  # ids of a kind in a message


class ServiceError(SentBetweenProcesses):
    """Root of the service's errors."""


class NotFound(ServiceError):
    """The resource does not exist."""

    def __init__(self, kind: str, key: str, nearest: Sequence[str] = ()) -> None:
        hint = f" Did you mean {' or '.join(nearest)}?" if nearest else ""
        super().__init__(f"There is no {kind} {key!r}.{hint}")


def require_found(resource: Resource | None, kind: str, key: str) -> Resource:
    """Return the resource that was looked up by this key.

    Raises: NotFound if it is None.
    """
    if resource is None:
        raise NotFound(kind, key)
    return resource


class ArtifactNotFound(NotFound):
    """The trial does not have this file, or not yet."""

    def __init__(self, message: str) -> None:
        ServiceError.__init__(self, message)


class Conflict(ServiceError):
    """The resource's state does not allow the operation, or the name is taken."""


class HasDependents(Conflict):
    """Other resources depend on the one to delete: ids of the first ones by kind, and how many there are."""

    def __init__(
        self, subject: str, dependents: Mapping[str, Sequence[str]], counts: Mapping[str, int], remedy: str
    ) -> None:
        listed = "; ".join(f"{kind}: {_shorten(ids, counts[kind])}" for kind, ids in dependents.items())
        super().__init__(f"{subject} is in use ({listed}). {remedy}")
        self.dependents = {kind: list(ids) for kind, ids in dependents.items()}
        self.counts = dict(counts)


def _shorten(ids: Sequence[str], count: int) -> str:
    shown = ids[:_MAX_LISTED]
    return ", ".join(shown) + (f" and {count - len(shown):,} more" if count > len(shown) else "")


class IllegalTransition(Conflict):
    """The resource cannot change from its state to the requested one."""


class RequestInProgress(Conflict):
    """A request with the same idempotency key is being processed; retry in `retry_after` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("The same request is being processed. Retry with the same key.")
        self.retry_after = retry_after


class IdempotencyKeyReused(ServiceError):
    """The idempotency key was used for a different request before."""


class PreconditionFailed(ServiceError):
    """The resource has changed since the caller read it (If-Match)."""


class UnknownDataset(ServiceError):
    """The data set does not exist, or its folder is not a valid data set."""


class UnreadableFiles(UnknownDataset):
    """`count` files of the folder are not images that can be decoded; `files` names the first ones."""

    def __init__(self, message: str, files: Sequence[str], count: int) -> None:
        super().__init__(message)
        self.files, self.count = list(files), count


class Unauthorized(ServiceError):
    """The API key is missing, or unknown, revoked or expired: then `invalid` is true."""

    def __init__(self, message: str, *, invalid: bool = False) -> None:
        super().__init__(message)
        self.invalid = invalid


class Forbidden(ServiceError):
    """The key's scope does not cover the operation, or the request is cross-site."""


class NotOwner(Forbidden):
    """The resource belongs to another key; says who may change it."""

    def __init__(self, subject: str, owner: str | None) -> None:
        belongs = "belongs to no key" if owner is None else f"belongs to the key {owner!r}"
        may = "Only a key" if owner is None else "Only that key or one"
        super().__init__(f"{subject} {belongs}. {may} of scope `admin` may change it.")


class QuotaExceeded(ServiceError):
    """The caller's key would use more than its quota: `used` of `limit` of what `name` says."""

    def __init__(self, name: str, used: int, limit: int, message: str) -> None:
        super().__init__(message)
        self.name = name
        self.used = used
        self.limit = limit


class RateLimited(ServiceError):
    """The caller has exceeded its rate limit and may retry in `seconds`."""

    def __init__(self, message: str, seconds: int) -> None:
        super().__init__(message)
        self.seconds = seconds


class ServiceBusy(ServiceError):
    """Too many computations wait; retry in `seconds`."""

    def __init__(self, message: str, seconds: int) -> None:
        super().__init__(message)
        self.seconds = seconds


class InvalidRequest(ServiceError):
    """The request is well-formed but invalid; `pointer` (JSON pointer) says where."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(message)
        self.pointer = pointer
        self.message = message
