"""Responses that are not sent twice: `ETag`, `If-None-Match` and `If-Match` (RFC 9110)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel

from app.core.errors import InvalidRequest, PreconditionFailed

_MAX_LENGTH = 1000

IF_NONE_MATCH: dict[str, Any] = {
    "name": "if-none-match",
    "in": "header",
    "required": False,
    "description": "`ETag` of an earlier response; 304 if the resource has not changed.",
    "schema": {"type": "string", "maxLength": _MAX_LENGTH},
}
"""The header's parameter in the spec."""


def is_current(request: Request, tag: str) -> bool:
    """Whether the client has the response of that tag already, so that `add_etag` needs no body for its 304.

    Raises: InvalidRequest.
    """
    return _matches(tag, _sent_tags(request))


def add_etag(request: Request, response: Response) -> Response:
    """Return the response with its tag, or 304 if the client has it already.

    Raises: InvalidRequest.
    """
    sent = _sent_tags(request)
    if response.status_code != 200 or not (tag := response.headers.get("etag") or _body_tag(response)):
        return response
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", **_headers_without_body(response)}
    if _matches(tag, sent):
        return Response(status_code=304, headers=headers)
    response.headers.update(headers)
    return response


def file_response(request: Request, file: Path, headers: dict[str, str]) -> Response:
    """Return a file with its tag."""
    return add_etag(request, FileResponse(file, headers=headers, stat_result=file.stat()))


def check_if_match(representation: BaseModel, if_match: str | None) -> None:
    """Check that the client has seen the current representation.

    Raises: PreconditionFailed.
    """
    if if_match is not None and not _matches(_tag(representation.model_dump_json().encode()), if_match):
        raise PreconditionFailed("The resource has changed since you read it. Read it again before you retry.")


def _sent_tags(request: Request) -> str:
    sent = ",".join(request.headers.getlist("if-none-match"))
    if len(sent) > _MAX_LENGTH:
        raise InvalidRequest("if-none-match", f"The header has at most {_MAX_LENGTH} characters.")
    return sent


def _headers_without_body(response: Response) -> dict[str, str]:
    """Return the headers that a 304 needs as well."""
    return {name: response.headers[name] for name in ("vary", "content-security-policy") if name in response.headers}


def _body_tag(response: Response) -> str | None:
    body = getattr(response, "body", None)  # a stream has no body attribute
    return _tag(bytes(body)) if body else None


def _tag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def _matches(tag: str, header: str) -> bool:
    """Compare weakly: a body that a proxy has compressed is the same."""
    tags = {sent_tag.strip().removeprefix("W/") for sent_tag in header.split(",")}
    return "*" in tags or tag.removeprefix("W/") in tags
