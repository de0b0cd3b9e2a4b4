"""Writes that clients may safely retry: with an `Idempotency-Key` a request is executed once.

Keys belong to the caller, so callers cannot collide. The key is reserved before the request is executed, its effect is
recorded in the transaction that makes it, and the response is stored afterwards. If the process dies before the
response is stored, a retry does nothing twice. Error responses are not stored, since nothing has happened then; nor are
responses with a secret, which their route marks `Cache-Control: no-store`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool

from app.core.errors import InvalidRequest
from app.db.session import DatabaseUnavailable
from app.db.unit_of_work import IdempotentRequest
from app.http.auth import caller_of
from app.services import idempotency_store
from app.services.idempotency_store import StoredResponse

_HEADER = "idempotency-key"
_PATTERN = r"^[\x21-\x7e]{1,200}$"
_VALID_KEY = re.compile(_PATTERN)
_STORED_HEADERS = ("content-type", "location", "retry-after")

IDEMPOTENCY_KEY: dict[str, Any] = {
    "name": _HEADER,
    "in": "header",
    "required": False,
    "description": "A unique key of this request, such as a UUID. A request that is repeated with its key within "
    "a day gets the first response again (`Idempotent-Replayed: true`) and has no further effect.",
    "schema": {"type": "string", "pattern": _PATTERN},
}
"""The header's parameter in the spec."""


def check_key(request: Request) -> str | None:
    """Return the request's idempotency key, if it has one.

    Raises: InvalidRequest.
    """
    key = request.headers.get(_HEADER)
    if key is not None and not _VALID_KEY.fullmatch(key):
        raise InvalidRequest(_HEADER, "The key has 1 to 200 visible ASCII characters.")
    return key


async def respond_once(request: Request, handler: Callable[[Request], Awaitable[Response]]) -> Response:
    """Return the handler's response, and store it under the request's idempotency key; or return the stored one.

    Raises: IdempotencyKeyReused, RequestInProgress, DatabaseUnavailable; whatever the handler raises.
    """
    key = check_key(request)
    if key is None:
        return await handler(request)
    settings, idempotent_request = request.app.state.settings, IdempotentRequest(caller_of(request).id, key)
    digest = _digest(request, await request.body())
    stored = await run_in_threadpool(idempotency_store.reserve, settings, idempotent_request, digest)
    if stored is not None:
        return Response(stored.body, stored.status, {**stored.headers, "idempotent-replayed": "true"})
    request.state.idempotent_request = idempotent_request
    is_stored = False
    try:
        response = await handler(request)
        is_stored = response.status_code < 300 and response.headers.get("cache-control") != "no-store"
    finally:
        with suppress(DatabaseUnavailable):  # the effect is recorded by its own transaction
            if is_stored:
                await run_in_threadpool(
                    idempotency_store.store_response, settings, idempotent_request, _stored(response)
                )
            else:
                await run_in_threadpool(idempotency_store.release, settings, idempotent_request)
    return response


def _digest(request: Request, body: bytes) -> str:
    """Return the SHA-256 of everything in the request that decides what it does."""
    headers = (request.headers.get(name, "") for name in ("content-type", "if-match"))
    decisive = (request.url.path, request.url.query, *headers)
    return hashlib.sha256("\n".join(decisive).encode() + b"\n" + body).hexdigest()


def _stored(response: Response) -> StoredResponse:
    headers = {name: response.headers[name] for name in _STORED_HEADERS if name in response.headers}
    return StoredResponse(response.status_code, headers, bytes(response.body))
