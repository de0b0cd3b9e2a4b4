"""Responses stored under clients' idempotency keys, so that a retry gets the first response.

They are kept for a day, and those of one API key up to a number of bytes: the oldest make room for new ones.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from threading import Lock

from app.core.errors import IdempotencyKeyReused, RequestInProgress
from app.core.settings import Settings
from app.db.tables import IdempotencyRow, utc_now
from app.db.unit_of_work import IdempotentRequest, UnitOfWork

RETENTION = timedelta(hours=24)
_RESERVED_SECONDS = 30.0  # the process of a request that takes longer has died
_ROW_BYTES = 1024  # that a stored response takes beside its body, indexes included
_CHECKS = 16  # per limit: the bytes in between are left free

_unchecked: Counter[tuple[str, str]] = Counter()  # bytes stored since the last check, by database and caller
_lock = Lock()


@dataclass(frozen=True)
class StoredResponse:
    """A response as it was sent."""

    status: int
    headers: dict[str, str]
    body: bytes


def reserve(settings: Settings, request: IdempotentRequest, digest: str) -> StoredResponse | None:
    """Return the stored response to the request; None if it has to be carried out now.

    Raises: IdempotencyKeyReused; RequestInProgress.
    """
    with UnitOfWork(settings.database) as work:
        now = work.idempotency_records.clock()
        new = IdempotencyRow(
            caller=request.caller, key=request.key, request_digest=digest, reserved_until=now + _RESERVED_SECONDS
        )
        if not work.idempotency_records.add_if_new(new):
            row = work.idempotency_records.lock(request.caller, request.key)
            now = work.idempotency_records.clock()  # waiting for the lock may have taken a while
            if row is None:  # released a moment ago
                raise RequestInProgress(1)
            if row.created_at < utc_now() - RETENTION:
                row.request_digest, row.status, row.outcome, row.created_at = digest, None, None, utc_now()
                row.reserved_until = now
            if row.request_digest != digest:
                raise IdempotencyKeyReused(
                    "This key was used for a different request before: use a new key for each request."
                )
            if row.status is not None and row.body is not None:
                return StoredResponse(row.status, row.headers or {}, row.body)
            if now < row.reserved_until <= now + _RESERVED_SECONDS:
                raise RequestInProgress(_retry_after(row.reserved_until - now))
            row.reserved_until = now + _RESERVED_SECONDS
        work.commit()
    return None


def _retry_after(remaining: float) -> int:
    """Return how many seconds to wait: as many as the request has taken so far, at most those that remain to it."""
    return max(1, math.ceil(min(_RESERVED_SECONDS - remaining, remaining)))


def store_response(settings: Settings, request: IdempotentRequest, response: StoredResponse) -> None:
    """Store the response that retries of the request will get."""
    with UnitOfWork(settings.database) as work:
        row = work.idempotency_records.lock(request.caller, request.key)
        if row is not None:
            row.status, row.headers, row.body = response.status, response.headers, response.body
            work.commit()
    if _is_check_due(settings, request.caller, len(response.body)):
        _delete_oldest(settings, request.caller)


def _is_check_due(settings: Settings, caller: str, size: int) -> bool:
    """Count a stored response; return whether the caller has stored so much that its limit has to be checked."""
    key = settings.database, caller
    with _lock:
        is_first = key not in _unchecked
        _unchecked[key] += size + _ROW_BYTES
        if not is_first and _unchecked[key] < settings.idempotency_bytes // _CHECKS:
            return False
        _unchecked[key] = 0
        return True


def _delete_oldest(settings: Settings, caller: str) -> None:
    """Delete the caller's oldest responses beyond its limit, and a little more, so that there is room until the next
    check."""
    limit = settings.idempotency_bytes - settings.idempotency_bytes // _CHECKS
    with UnitOfWork(settings.database, writes=False) as work:
        until = work.idempotency_records.newest_beyond(caller, limit, _ROW_BYTES)
    if until is None:
        return
    with UnitOfWork(settings.database) as work:
        work.count("evicted_responses", work.idempotency_records.delete_responses(caller, until))
        work.commit()


def release(settings: Settings, request: IdempotentRequest) -> None:
    """Release a request that failed: a retry is carried out, unless the outcome is recorded already."""
    with UnitOfWork(settings.database) as work:
        row = work.idempotency_records.lock(request.caller, request.key)
        if row is not None and row.outcome is not None:
            row.reserved_until = 0.0
        elif row is not None:
            work.idempotency_records.delete(row)
        work.commit()


def delete_expired(work: UnitOfWork) -> None:
    """Delete responses that are older than a day."""
    work.idempotency_records.delete_before(utc_now() - RETENTION)
