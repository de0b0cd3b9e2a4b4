"""The outermost layer: every request gets an id and is measured, every response gets security headers."""

from __future__ import annotations

import secrets
from time import perf_counter

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.logging import log_context
from app.http import API_PREFIX
from app.http.metrics import Metrics
from app.http.security_policy import SECURITY_HEADERS

_MAX_ID_LENGTH = 100
_SECURITY = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]
_NOT_STORED = (b"cache-control", b"no-store")
_HTTPS_FOR_ONE_YEAR = (b"strict-transport-security", b"max-age=31536000")


class RequestContextMiddleware:
    """Assigns `X-Request-ID`, counts and times requests by route, adds default headers, and answers HEAD as GET.

    The id is the client's own if that is usable; log lines and trials carry it as well. The server drops the body of a
    response to HEAD.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started = perf_counter()
        request_id = _request_id(scope)
        is_head = scope["method"] == "HEAD"
        scope.setdefault("state", {}).update(request_id=request_id, is_head=is_head)
        if is_head:
            scope = {**scope, "method": "GET"}

        def record(status: int) -> None:
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.count_response(scope["method"], route, status, perf_counter() - started)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                record(message["status"])
                headers = message["headers"]
                present = {name for name, _ in headers}
                defaults = [header for header in _default_headers(scope) if header[0] not in present]
                message["headers"] = [*headers, *defaults, (b"x-request-id", request_id.encode())]
            await send(message)

        with log_context(request_id=request_id):
            try:
                await self.app(scope, receive, send_with_headers)
            except Exception:  # ServerErrorMiddleware, which is further out, responds
                record(500)
                raise


def _request_id(scope: Scope) -> str:
    proposed = Headers(scope=scope).get("x-request-id", "")
    is_usable = proposed.isascii() and proposed.isprintable() and 0 < len(proposed) <= _MAX_ID_LENGTH
    return proposed if is_usable else secrets.token_hex(16)


def _default_headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    headers = _SECURITY
    if scope["path"].startswith(f"{API_PREFIX}/"):
        headers = [*headers, _NOT_STORED]
    if scope["scheme"] == "https":
        headers = [*headers, _HTTPS_FOR_ONE_YEAR]
    return headers
