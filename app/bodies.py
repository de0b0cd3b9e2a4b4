"""How large a request's body may be, and how long it may take to arrive."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import problems

_LARGEST = 256 * 1024  # what is validated in the event loop is validated soon
_LARGEST_IMPORT = 24 * 1024 * 1024  # 100,000 observations as JSON, with room


class BodyLimit:
    """Reads bodies whole, and refuses those above the limits with a problem document."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self.app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        request = Request(scope)
        most = _LARGEST_IMPORT if scope["path"].endswith("/observations") else _LARGEST
        declared = request.headers.get("content-length", "0")
        try:
            if declared.isdigit() and int(declared) > most:
                raise _TooLarge
            async with asyncio.timeout(self._seconds):
                body = await _read(receive, most)
        except _TooLarge:
            answer = problems.problem(request, 413, "too-large", f"A body has at most {most:,} bytes here.")
            return await answer(scope, receive, send)
        except TimeoutError:
            detail = f"A body has to arrive within {self._seconds:g} s."
            answer = problems.problem(request, 408, "timeout", detail, headers={"Connection": "close"})
            return await answer(scope, receive, send)
        if body is not None:
            await self.app(scope, _replayed(body, receive), send)


class _TooLarge(Exception):
    """More bytes than are taken."""


async def _read(receive: Receive, most: int) -> bytes | None:
    """The whole body; none where the client has gone.

    Raises: _TooLarge.
    """
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > most:
            raise _TooLarge
    return bytes(body)


def _replayed(body: bytes, receive: Receive) -> Receive:
    whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return whole.pop() if whole else await receive()

    return replay
