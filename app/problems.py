"""Every error as an RFC 9457 problem document: one table, error -> (status, type), and one handler."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app.db.session import DatabaseAway
from app.errors import (
    Conflict,
    Forbidden,
    InFlight,
    Invalid,
    KeyReused,
    NotFound,
    Overloaded,
    RateLimited,
    Stale,
    Unauthorized,
    UnknownDataset,
)
from app.logs import about
from app.problem_kinds import KINDS
from app.scaling.errors import (
    InvalidNetwork,
    NotEnoughObservations,
    SpaceTooSmall,
    TargetOutOfRange,
    UnknownArchitecture,
)
from app.schemas.architectures import config_json
from app.schemas.common import Problem
from app.security_headers import ALWAYS

log = logging.getLogger("rdw.problems")

MEDIA_TYPE = "application/problem+json"
_OF_A_PATH = "/:@!$&'()*+,;=~"
MOST_ERRORS = 100  # that one answer lists

PROBLEMS: dict[type[Exception], tuple[int, str]] = {
    NotFound: (404, "not-found"),
    UnknownArchitecture: (404, "not-found"),
    Unauthorized: (401, "unauthorized"),
    Forbidden: (403, "forbidden"),
    Conflict: (409, "conflict"),
    InFlight: (409, "idempotency-in-flight"),
    KeyReused: (422, "idempotency-key-reused"),
    Stale: (412, "precondition-failed"),
    NotEnoughObservations: (409, "conflict"),
    UnknownDataset: (422, "unknown-dataset"),
    Invalid: (422, "validation"),
    InvalidNetwork: (422, "validation"),
    SpaceTooSmall: (422, "validation"),
    TargetOutOfRange: (422, "target-out-of-range"),
    RateLimited: (429, "rate-limited"),
    Overloaded: (503, "overloaded"),
    DatabaseAway: (503, "database-unavailable"),
}

_BY_STATUS = {404: "not-found", 405: "method-not-allowed", 413: "too-large", 500: "internal"}

RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": description, "content": {MEDIA_TYPE: {}}}
    for status, description in (
        (401, "A key is needed."),
        (404, "There is no such resource."),
        (422, "The request is not valid."),
    )
}
CONFLICT: dict[int | str, dict[str, Any]] = {
    409: {
        "model": Problem,
        "description": "The resource is not in a state for that, or the same request is being answered.",
        "content": {MEDIA_TYPE: {}},
    }
}
STALE: dict[int | str, dict[str, Any]] = {
    412: {"model": Problem, "description": "It has changed since it was read.", "content": {MEDIA_TYPE: {}}}
}


OVERLOADED: dict[int | str, dict[str, Any]] = {
    503: {"model": Problem, "description": "There are too many streams.", "content": {MEDIA_TYPE: {}}}
}
REFUSED: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": description, "content": {MEDIA_TYPE: {}}}
    for status, description in (
        (401, "A key is needed."),
        (403, "The key's scope (`x-scope`) does not reach so far."),
        (408, "The body took too long to arrive."),
        (413, "The body is too large."),
        (429, "Too many requests: `Retry-After` says when to ask again."),
        (431, "The request's line and headers are too large."),
    )
}


def add_handlers(app: FastAPI) -> None:
    """Make every error that leaves a route a problem document."""
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    for kind in PROBLEMS:
        app.add_exception_handler(kind, known)
    app.add_exception_handler(Exception, _unknown)


def problem(request: Request, status: int, kind: str, detail: str, **more: Any) -> JSONResponse:
    """The document; `more` are its extension members and headers."""
    headers = more.pop("headers", None)
    body = {
        "type": f"/problems/{kind}",
        "title": KINDS[kind].title,
        "status": status,
        "detail": _printable(detail),
        "instance": quote(request.scope["path"].encode("utf-8", "surrogateescape"), safe=_OF_A_PATH),
        **more,
    }
    return JSONResponse(body, status, headers=headers, media_type=MEDIA_TYPE)


def known(request: Request, error: Exception) -> JSONResponse:
    """The document of an error of the table."""
    status, kind = next(PROBLEMS[k] for k in type(error).__mro__ if k in PROBLEMS)
    more: dict[str, Any] = {}
    if isinstance(error, TargetOutOfRange):
        more = {"least": error.least, "most": error.most, "constraints": error.constraints}
        if error.nearest is not None:
            more["nearest"] = {
                "multipliers": error.nearest.multipliers.to_json(),
                "config": config_json(error.nearest.config),
                "cost": error.nearest.cost.to_json(),
            }
    if isinstance(error, Invalid | InvalidNetwork):
        more = {"errors": [{"pointer": error.pointer, "message": _printable(error.message)}]}
    if isinstance(error, Unauthorized):
        more = {"headers": {"WWW-Authenticate": 'Bearer error="invalid_token"' if error.invalid else "Bearer"}}
    if isinstance(error, Forbidden) and "authorization" in request.headers:
        more = {"headers": {"WWW-Authenticate": 'Bearer error="insufficient_scope"'}}
    if isinstance(error, RateLimited):
        more = {"headers": {"Retry-After": str(error.seconds)}}
    if isinstance(error, InFlight):
        more = {"headers": {"Retry-After": str(error.retry_after)}}
    if status == 503:
        more = {"headers": {"Retry-After": "5"}}
    return problem(request, status, kind, str(error), **more)


def _validation(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    errors = [_field_error(one) for one in error.errors()[:MOST_ERRORS]]
    first = f"{errors[0]['pointer'] or 'the body'}: {errors[0]['message']}" if errors else "not valid"
    return problem(request, 422, "validation", first, errors=errors)


def _field_error(one: dict[str, Any]) -> dict[str, str]:
    if one["type"] == "json_invalid":  # it points at a byte
        return {"pointer": "", "message": f"no JSON: {one.get('ctx', {}).get('error', one['msg'])}"}
    return {"pointer": _pointer(one["loc"]), "message": _printable(one["msg"].removeprefix("Value error, "))}


def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status = 422 if error.status_code == 400 else error.status_code  # a body that is no JSON at all
    headers = {"Allow": _allowed(request)} if status == 405 else error.headers
    more = {"errors": [{"pointer": "", "message": str(error.detail)}]} if status == 422 else {}
    return problem(request, status, _BY_STATUS.get(status, "validation"), str(error.detail), headers=headers, **more)


def without_body(path: str) -> bool:
    """Whether HEAD is answered there as GET is: events have no end, and so no headers without them."""
    return not path.endswith("/events")


def _allowed(request: Request) -> str:
    """The methods of all operations at this path: the router names those of the first alone. Pages are read."""
    paths = request.app.openapi()["paths"]
    here = [p for p in paths if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", p), request.url.path)]
    methods = {method.upper() for path in here for method in paths[path]} or {"GET"}
    return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods and without_body(request.url.path) else set())))


def _unknown(request: Request, error: Exception) -> JSONResponse:
    request_id = request.state.request_id
    with about(request_id=request_id):
        log.exception("unexpected error at %s %s", request.method, request.url.path, exc_info=error)
    detail = "An unexpected error; the log has it under this request's id."
    return problem(request, 500, "internal", detail, headers={"X-Request-ID": request_id, **ALWAYS})


def _pointer(location: Sequence[int | str]) -> str:
    """A JSON pointer into the body, or a parameter's name; the tags of unions are left out."""
    where, *path = location
    steps = [str(step).replace("~", "~0").replace("/", "~1") for step in path if not str(step).startswith("<")]
    return _printable("".join(f"/{step}" for step in steps) if where == "body" else "/".join(steps))


def _printable(text: str) -> str:
    """Lone surrogates, which JSON can carry and UTF-8 cannot, are shown escaped."""
    return text.encode("utf-8", "backslashreplace").decode()
