"""Writes that are safe to send again: `Idempotency-Key`, as the IETF's draft and Stripe's API have it.

The same key with the same request gives the first answer again, for a day and for the same caller. What a write kept is
noted in its own transaction (`UnitOfWork.keep_outcome`), so that even where the process died before its answer was
kept, the request sent again does nothing twice. Answers that are errors are not kept: nothing has happened then.
"""

from __future__ import annotations

import hashlib
import logging
import re
from contextlib import suppress
from typing import Annotated

from fastapi import Header, Request
from fastapi.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.db.session import DatabaseAway
from app.db.unit_of_work import Keyed
from app.errors import ServiceError
from app.problems import known
from app.scopes import reads
from app.services import replays

log = logging.getLogger("rdw.idempotency")

_KEY = r"^[\x21-\x7e]{1,200}$"
_KEPT_HEADERS = (b"content-type", b"location", b"retry-after")


async def takes_key(
    idempotency_key: Annotated[
        str | None,
        Header(
            pattern=_KEY,
            description="Any name for this very request, a UUID say: sent again within a day, the request gives "
            "the first answer (`Idempotent-Replayed: true`) and nothing is done twice.",
        ),
    ] = None,
) -> None:
    """Puts the header in the spec, and refuses what is no key."""


class Idempotency:
    """Answers a write that was named by a key and sent before with its first answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            return await self.app(scope, receive, send)
        request = Request(scope, receive)
        key, caller = request.headers.get("idempotency-key", ""), getattr(request.state, "caller", None)
        if caller is None or not re.fullmatch(_KEY, key):  # what is no key the route refuses
            return await self.app(scope, receive, send)
        body = await request.body()
        if reads(scope["path"]) and b'"train"' not in body:  # the same answer comes of it however often it is sent
            return await self.app(scope, _again(body, receive), send)
        settings = request.app.state.settings
        keyed = Keyed(caller.id, key)
        try:
            before = await run_in_threadpool(replays.begin, settings, keyed, _digest(request, body))
        except (ServiceError, DatabaseAway) as error:
            return await known(request, error)(scope, receive, send)
        if before is not None:
            return await _send(send, before, (b"idempotent-replayed", b"true"))
        request.state.keyed = keyed
        messages: list[Message] = []
        done = False
        try:
            await self.app(scope, _again(body, receive), _collected_in(messages))
            done = bool(messages) and messages[0]["status"] < 300
        finally:
            with suppress(DatabaseAway):  # what was done is known by its own transaction
                if done:
                    await run_in_threadpool(replays.keep, settings, keyed, _answer(messages))
                else:
                    await run_in_threadpool(replays.give_up, settings, keyed)
        for message in messages:
            await send(message)


def _digest(request: Request, body: bytes) -> str:
    """SHA-256 of the request, as far as it decides what is done."""
    decisive = (request.url.path, request.url.query, request.headers.get("content-type", ""))
    return hashlib.sha256("\n".join(decisive).encode() + b"\n" + body).hexdigest()


def _again(body: bytes, receive: Receive) -> Receive:
    whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return whole.pop() if whole else await receive()

    return replay


def _collected_in(messages: list[Message]) -> Send:
    """The answer is sent once it is kept: what a client has seen it can have again."""

    async def collect(message: Message) -> None:
        messages.append(message)

    return collect


def _answer(messages: list[Message]) -> replays.Answer:
    headers = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in messages[0]["headers"]
        if name.lower() in _KEPT_HEADERS
    }
    return replays.Answer(messages[0]["status"], headers, b"".join(m.get("body", b"") for m in messages[1:]))


async def _send(send: Send, answer: replays.Answer, *more: tuple[bytes, bytes]) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()]
    headers += [(b"content-length", str(len(answer.body)).encode()), *more]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
