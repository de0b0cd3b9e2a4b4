"""What HTTP asks of every resource (RFC 9110): HEAD where there is GET, ranges only where they make sense, and targets
that may be whole addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import problems

_SPAN = r"[ \t]*(?:\d{1,18}-\d{0,18}|-\d{1,18})[ \t]*"
_RANGE = re.compile(rf"bytes={_SPAN}(?:,{_SPAN}){{0,15}}")
_REPLACED = ("content-length", "content-type")


class PlainHttp:
    """Stands before everything else."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        scope = {**scope, "headers": [*_sensible(scope["headers"])]}
        if not scope["path"].startswith("/"):
            scope["path"] = urlsplit(scope["path"]).path or "/"
        if scope["method"] == "HEAD" and problems.without_body(scope["path"]):
            scope["method"], send = "GET", _headless(send)
        await self.app(scope, receive, _told_of_ranges(scope, receive, send))


def _sensible(headers: Iterable[tuple[bytes, bytes]]) -> Iterable[tuple[bytes, bytes]]:
    """A range that cannot be read, or ends before it begins, is ignored."""
    return (one for one in headers if one[0] != b"range" or _can_be_read(one[1].decode("latin-1")))


def _can_be_read(ranges: str) -> bool:
    if not _RANGE.fullmatch(ranges):
        return False
    ends = (one.strip().split("-") for one in ranges.removeprefix("bytes=").split(","))
    return all(not first or not last or int(first) <= int(last) for first, last in ends)


def _headless(send: Send) -> Send:
    async def send_no_body(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return send_no_body


def _told_of_ranges(scope: Scope, receive: Receive, send: Send) -> Send:
    """A range beyond the end is a problem as any other."""
    refused = False

    async def send_or_tell(message: Message) -> None:
        nonlocal refused
        if message["type"] == "http.response.start" and message["status"] == 416:
            refused = True
            kept = {name: value for name, value in Headers(raw=message["headers"]).items() if name not in _REPLACED}
            detail = "The file ends before this range begins: Content-Range says how long it is."
            answer = problems.problem(Request(scope), 416, "range-not-satisfiable", detail, headers=kept)
            return await answer(scope, receive, send)
        if not refused:
            await send(message)

    return send_or_tell
