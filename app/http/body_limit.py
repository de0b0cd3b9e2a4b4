"""Which bodies a route accepts: their media types and size."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

MAX_BODY_BYTES = 256 * 1024  # bodies are parsed in the event loop, so they must not take long

_JSON = "application/json"
_OTHER_JSON = re.compile(r"application/[^/]+\+json")
_ATTRIBUTE = "__max_body_bytes__"
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


def max_body_bytes(limit: int) -> Callable[[Endpoint], Endpoint]:
    """Set another limit than `MAX_BODY_BYTES` for an endpoint. Place it below the router's decorator."""

    def set_limit(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _ATTRIBUTE, limit)
        return endpoint

    return set_limit


def body_limit_of(endpoint: Callable[..., Any]) -> int:
    """Return the endpoint's own limit, or `MAX_BODY_BYTES`."""
    return getattr(endpoint, _ATTRIBUTE, MAX_BODY_BYTES)


async def read_body(request: Request, limit: int, media_types: Collection[str]) -> Request:
    """Return the request with its whole body read, which has one of the media types unless it is empty.

    Raises: HTTPException (413, 415), ClientDisconnect.
    """
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    received = 0

    async def receive() -> Message:
        nonlocal received
        message = await request.receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise _too_large(limit)
        return message

    limited = Request(request.scope, receive)
    if await limited.body() and media_types:
        _check_media_type(request, media_types)
    return limited


def _check_media_type(request: Request, accepted: Collection[str]) -> None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type in accepted or (_JSON in accepted and _OTHER_JSON.fullmatch(media_type)):
        return
    headers = " or ".join(f"`Content-Type: {one}`" for one in accepted)
    raise HTTPException(415, f"Send the body with the header {headers}.", {"Accept": ", ".join(accepted)})


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"A body here has at most {limit:,} bytes.")
