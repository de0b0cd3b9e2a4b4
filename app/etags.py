"""Answers that are not sent twice: `ETag`, `If-None-Match` and `If-Match` (RFC 9110)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

from fastapi import Header, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel

from app.errors import Stale


async def takes_tag(
    if_none_match: Annotated[
        str | None, Header(max_length=1000, description="An `ETag` from before: 304 where nothing has changed since.")
    ] = None,
) -> None:
    """Puts the header in the spec."""


def tagged(request: Request, response: Response) -> Response:
    """The answer with its tag, or 304 where the client has it already."""
    if response.status_code != 200 or not (tag := response.headers.get("etag") or _of_body(response)):
        return response
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", **_kept(response)}
    if _among(tag, ",".join(request.headers.getlist("if-none-match"))):
        return Response(status_code=304, headers=headers)
    response.headers.update(headers)
    return response


def page(request: Request, file: Path, headers: dict[str, str]) -> Response:
    """A page that is a file, with its tag."""
    return tagged(request, FileResponse(file, headers=headers, stat_result=file.stat()))


def same(answer: BaseModel, if_match: str | None) -> None:
    """Raises: Stale where the client has seen another representation than `answer`."""
    if if_match is not None and not _among(_tag(answer.model_dump_json().encode()), if_match):
        raise Stale("It has changed since you read it: read it again, and decide anew.")


def _kept(response: Response) -> dict[str, str]:
    """What an answer without a body says all the same."""
    return {name: response.headers[name] for name in ("vary", "content-security-policy") if name in response.headers}


def _of_body(response: Response) -> str | None:
    body = getattr(response, "body", None)  # a stream has none
    return _tag(bytes(body)) if body else None


def _tag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def _among(tag: str, given: str) -> bool:
    """Weak comparison: what a proxy compressed is the same to us."""
    tags = {one.strip().removeprefix("W/") for one in given.split(",")}
    return "*" in tags or tag.removeprefix("W/") in tags
