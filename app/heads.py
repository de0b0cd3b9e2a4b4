"""How large a request's line and headers may be together."""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app import problems

LARGEST = 32 * 1024  # bytes


class HeadLimit:
    """Refuses those above the limit with a problem document.

    The server bounds only those that arrive in pieces: what it reads in one it takes whole.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _size(scope) <= LARGEST:
            return await self.app(scope, receive, send)
        detail = f"A request's line and headers have at most {LARGEST:,} bytes."
        answer = problems.problem(Request(scope), 431, "headers-too-large", detail)
        await answer(scope, receive, send)


def _size(scope: Scope) -> int:
    """As it was on the wire, but for what stands between the parts of a line."""
    line = len(scope["method"]) + len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"])
    return line + sum(len(name) + len(value) + len(": \r\n") for name, value in scope["headers"])
