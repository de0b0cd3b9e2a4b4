"""Every error as an RFC 9457 problem document: one table, error -> (status, type), and one handler."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from app.core.errors import (
    Conflict,
    Forbidden,
    HasDependents,
    IdempotencyKeyReused,
    InvalidRequest,
    NotFound,
    PreconditionFailed,
    QuotaExceeded,
    RateLimited,
    RequestInProgress,
    ServiceBusy,
    Unauthorized,
    UnknownDataset,
    UnreadableFiles,
)
from app.core.logging import log_context
from app.db.session import DatabaseUnavailable
from app.http.problem_types import PROBLEM_TYPES
from app.http.schemas.architectures import config_json
from app.http.schemas.common import Problem
from app.http.security_policy import SECURITY_HEADERS
from app.scaling.cost.budget_unit import FLOPS
from app.scaling.errors import InvalidNetwork, NotEnoughObservations, SpaceExhausted, SpaceTooSmall, UnknownArchitecture
from app.scaling.solver.width_solver import TargetOutOfRange

log = logging.getLogger("rdw.problems")

Entry = TypeVar("Entry")

MEDIA_TYPE = "application/problem+json"
_UNQUOTED_IN_PATH = "/:@!$&'()*+,;=~"
MAX_LISTED_ERRORS = 100  # in one document

PROBLEMS: dict[type[Exception], tuple[int, str]] = {
    NotFound: (404, "not-found"),
    UnknownArchitecture: (404, "not-found"),
    Unauthorized: (401, "unauthorized"),
    Forbidden: (403, "forbidden"),
    Conflict: (409, "conflict"),
    RequestInProgress: (409, "idempotency-in-flight"),
    IdempotencyKeyReused: (422, "idempotency-key-reused"),
    PreconditionFailed: (412, "precondition-failed"),
    NotEnoughObservations: (409, "conflict"),
    UnknownDataset: (422, "unknown-dataset"),
    InvalidRequest: (422, "validation"),
    InvalidNetwork: (422, "validation"),
    SpaceTooSmall: (422, "validation"),
    SpaceExhausted: (409, "space-exhausted"),
    TargetOutOfRange: (422, "target-out-of-range"),
    QuotaExceeded: (403, "quota-exceeded"),
    RateLimited: (429, "rate-limited"),
    ServiceBusy: (503, "busy"),
    DatabaseUnavailable: (503, "database-unavailable"),
}

_BY_STATUS = {
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    415: "unsupported-media-type",
    500: "internal",
}


def _describe_responses(descriptions: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    return {
        status: {"model": Problem, "description": description, "content": {MEDIA_TYPE: {}}}
        for status, description in descriptions.items()
    }


RESPONSES = _describe_responses(
    {
        401: "A valid API key is required.",
        404: "The resource was not found.",
        422: "The request is invalid.",
    }
)
CONFLICT = _describe_responses(
    {409: "The state of the resource does not allow it, or the same request is being processed."}
)
UNSUPPORTED_MEDIA_TYPE = _describe_responses({415: "The body has another media type than those in `Accept`, or none."})
STALE = _describe_responses({412: "The resource has changed since it was read."})
BUSY = _describe_responses({503: "Too many computations wait. Retry after `Retry-After` seconds."})
REFUSED = _describe_responses(
    {
        401: "A valid API key is required.",
        403: "The API key does not have the scope `x-scope`, another key owns the resource, or its quota is used up.",
        413: "The body is too large.",
        429: "Too many requests. Retry after `Retry-After` seconds.",
    }
)


def add_handlers(app: FastAPI) -> None:
    """Make every error that leaves a route a problem document."""
    app.add_exception_handler(RequestValidationError, _handle_validation_error)
    app.add_exception_handler(HTTPException, _handle_http_exception)
    for kind in PROBLEMS:
        app.add_exception_handler(kind, error_response)
    app.add_exception_handler(Exception, _handle_unexpected_error)


def problem(request: Request, status: int, kind: str, detail: str, **more: Any) -> JSONResponse:
    """Return a problem document; `more` has its extension members and headers."""
    headers = more.pop("headers", None)
    body = {
        "type": f"/problems/{kind}",
        "title": PROBLEM_TYPES[kind].title,
        "status": status,
        "detail": _printable(detail),
        "instance": quote(request.scope["path"].encode("utf-8", "surrogateescape"), safe=_UNQUOTED_IN_PATH),
        **more,
    }
    return JSONResponse(body, status, headers=headers, media_type=MEDIA_TYPE)


def error_response(request: Request, error: Exception) -> JSONResponse:
    """Return the problem document of an error in `PROBLEMS`."""
    status, kind = _lookup(PROBLEMS, error)
    headers = _lookup(_HEADERS, error)(request, error)
    return problem(request, status, kind, str(error), headers=headers, **_lookup(_MEMBERS, error)(error))


def _lookup(table: dict[type[Exception], Entry], error: Exception) -> Entry:
    """Return the entry of the error's class, or of its nearest base class."""
    return next(table[base] for base in type(error).__mro__ if base in table)


def _unauthorized_headers(request: Request, error: Unauthorized) -> dict[str, str]:
    return {"WWW-Authenticate": 'Bearer error="invalid_token"' if error.invalid else "Bearer"}


def _forbidden_headers(request: Request, error: Forbidden) -> dict[str, str]:
    has_key = "authorization" in request.headers
    return {"WWW-Authenticate": 'Bearer error="insufficient_scope"'} if has_key else {}


def _target_members(error: TargetOutOfRange) -> dict[str, Any]:
    unit = error.unit
    members: dict[str, Any] = {
        "reachable": {
            "unit": unit.name,
            "precision": unit.precision if unit.has_precision else None,
            "min": error.minimum,
            "max": error.maximum,
        },
        "constraints": error.constraints,
    }
    if unit == FLOPS:
        members |= {"min_flops": error.minimum, "max_flops": error.maximum}
    if error.nearest is not None:
        members["nearest"] = {
            "multipliers": error.nearest.multipliers.to_json(),
            "config": config_json(error.nearest.config),
            "cost": error.nearest.cost.to_json(),
        }
    return members


def _pointer_members(error: InvalidRequest | InvalidNetwork) -> dict[str, Any]:
    return {"errors": [{"pointer": error.pointer, "message": _printable(error.message)}]}


_HEADERS: dict[type[Exception], Callable[[Request, Any], dict[str, str]]] = {
    Unauthorized: _unauthorized_headers,
    Forbidden: _forbidden_headers,
    RateLimited: lambda request, error: {"Retry-After": str(error.seconds)},
    ServiceBusy: lambda request, error: {"Retry-After": str(error.seconds)},
    RequestInProgress: lambda request, error: {"Retry-After": str(error.retry_after)},
    DatabaseUnavailable: lambda request, error: {"Retry-After": "5"},
    Exception: lambda request, error: {},
}
_MEMBERS: dict[type[Exception], Callable[[Any], dict[str, Any]]] = {
    TargetOutOfRange: _target_members,
    HasDependents: lambda error: {"dependents": error.dependents, "dependent_counts": error.counts},
    UnreadableFiles: lambda error: {"unreadable": {"count": error.count, "files": error.files}},
    QuotaExceeded: lambda error: {"quota": {"name": error.name, "used": error.used, "limit": error.limit}},
    InvalidRequest: _pointer_members,
    InvalidNetwork: _pointer_members,
    Exception: lambda error: {},
}


def _handle_validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    errors = [_field_error(item) for item in error.errors()[:MAX_LISTED_ERRORS]]
    first = f"{errors[0]['pointer'] or 'the body'}: {errors[0]['message']}" if errors else "invalid"
    return problem(request, 422, "validation", first, errors=errors)


def invalid_body(error: ValidationError) -> RequestValidationError:
    """Return the errors of a body that was validated without FastAPI as FastAPI would raise them."""
    return RequestValidationError(
        [{**item, "loc": ("body", *item["loc"])} for item in error.errors(include_url=False, include_input=False)]
    )


def _field_error(item: dict[str, Any]) -> dict[str, str]:
    if item["type"] == "json_invalid":  # its location is a byte
        return {"pointer": "", "message": f"invalid JSON: {item.get('ctx', {}).get('error', item['msg'])}"}
    return {"pointer": _pointer(item["loc"]), "message": _printable(item["msg"].removeprefix("Value error, "))}


def _handle_http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status = 422 if error.status_code == 400 else error.status_code  # a body that is not JSON at all
    headers = {"Allow": _allowed_methods(request)} if status == 405 else error.headers
    more = {"errors": [{"pointer": "", "message": str(error.detail)}]} if status == 422 else {}
    return problem(request, status, _BY_STATUS.get(status, "validation"), str(error.detail), headers=headers, **more)


def _allowed_methods(request: Request) -> str:
    """Return the methods of all operations at this path, since the router lists only those of the first.

    Pages, which are not in the spec, can only be read.
    """
    operations: dict[str, Any] = {}
    for path, path_operations in request.app.openapi()["paths"].items():
        if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", path), request.url.path):
            operations |= path_operations
    methods = {method.upper() for method in operations} or {"GET"}
    if "GET" in methods and not _is_stream(operations.get("get")):
        methods.add("HEAD")
    return ", ".join(sorted(methods))


def _is_stream(operation: dict[str, Any] | None) -> bool:
    return operation is not None and "text/event-stream" in operation["responses"]["200"].get("content", {})


def _handle_unexpected_error(request: Request, error: Exception) -> JSONResponse:
    request_id = request.state.request_id
    with log_context(request_id=request_id):
        log.exception("unexpected error at %s %s", request.method, request.url.path, exc_info=error)
    detail = "An unexpected error occurred. The log has it under `X-Request-ID`."
    return problem(request, 500, "internal", detail, headers={"X-Request-ID": request_id, **SECURITY_HEADERS})


def _pointer(location: Sequence[int | str]) -> str:
    """Return a JSON pointer into the body, or a parameter's name; the tags of unions are left out."""
    source, *path = location
    steps = [str(step).replace("~", "~0").replace("/", "~1") for step in path if not str(step).startswith("<")]
    return _printable("".join(f"/{step}" for step in steps) if source == "body" else "/".join(steps))


def _printable(text: str) -> str:
    """Escape lone surrogates, which JSON can contain and UTF-8 cannot."""
    return text.encode("utf-8", "backslashreplace").decode()
