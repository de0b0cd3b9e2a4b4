"""Completes the spec that FastAPI derives from the routes: links between operations, scopes and common headers."""

from __future__ import annotations

import gzip
import json
import threading
from functools import cache
from typing import Any

from fastapi import FastAPI, Request, Response

from app.http import problems
from app.http.conditional import add_etag
from app.http.openapi_steps import STEPS
from app.http.static_files import accepts_gzip, compressed_headers

Spec = dict[str, Any]

_IDENTIFIES = "x-identifies"  # replaced by the links
_BEARER = "HTTPBearer"


def identifies(collection: str, pointer: str, parameter: str = "id", **others: str) -> dict[str, Any]:
    """Return an entry of a route's `responses`: `pointer` leads to an id in the collection.

    The spec links the response to every operation that takes such an id as the path parameter. `others` are further
    parameters of these operations, each with the expression of its value.
    """
    return {
        _IDENTIFIES: {"segment": f"/{collection}/{{{parameter}}}", parameter: f"$response.body#{pointer}", **others}
    }


def with_scope(extra: Spec, scope: str, header: Spec) -> Spec:
    """Return an operation's `openapi_extra` with its scope and the header that `ApiRoute` reads."""
    return {**extra, "security": [{_BEARER: [scope]}], "parameters": [header]}


def complete_spec(app: FastAPI) -> None:
    """Add the links and the security scheme to the application's spec."""
    derive, lock = app.openapi, threading.Lock()

    def spec() -> Spec:
        with lock:  # requests read it in threads
            if app.openapi_schema is None:
                app.openapi_schema = _complete(derive())
            return app.openapi_schema

    app.openapi = spec  # type: ignore[method-assign]
    app.state.encoded_spec = cache(lambda: _encode(spec()))


def read_spec(request: Request) -> Response:
    """Answer with the spec. FastAPI's own route derives it on the event loop, where all requests would wait for it."""
    plain, compressed = request.app.state.encoded_spec()
    if accepts_gzip(request.headers):
        headers = compressed_headers(compressed)
        return add_etag(request, Response(compressed, media_type="application/json", headers=headers))
    return add_etag(request, Response(plain, media_type="application/json", headers={"Vary": "Accept-Encoding"}))


def _encode(spec: Spec) -> tuple[bytes, bytes]:
    """Return the spec as JSON, and compressed."""
    plain = json.dumps(spec, ensure_ascii=False, separators=(",", ":")).encode()
    return plain, gzip.compress(plain, mtime=0)


def _complete(spec: Spec) -> Spec:
    spec["components"]["securitySchemes"] = {_BEARER: {"type": "http", "scheme": "bearer"}}
    for schema in spec["components"]["schemas"].values():
        if "d" in schema.get("properties", {}):
            _make_d_last(schema)
    for operations in spec["paths"].values():
        for operation in operations.values():
            for response in operation["responses"].values():
                _describe_events(response)
                _describe_problem(response)
                if _IDENTIFIES in response:
                    response["links"] = _links(spec, **response.pop(_IDENTIFIES))
            if operation.get("security"):
                _add_scope(operation)
            if steps := STEPS.get(operation["operationId"]):
                operation["x-first"] = [step.to_json() for step in steps]
    return spec


def _make_d_last(schema: Spec) -> None:
    """Make `d` the last property of the schema, and the schema a closed one, as openapi-python-client needs it.

    The clients that it generates parse properties one by one from a local variable `d`, which a property `d`
    overwrites, and read it once more where there may be further properties. Required properties come first there, so
    that `d` is the last one only if all properties are required, or `d` is not.
    """
    schema["properties"]["d"] = schema["properties"].pop("d")
    schema["additionalProperties"] = False


def _describe_events(response: Spec) -> None:
    """Describe an event stream as text: `itemSchema`, which FastAPI writes, exists only from OpenAPI 3.2 on."""
    for content in response.get("content", {}).values():
        if content.pop("itemSchema", None) is not None:
            content["schema"] = {"type": "string", "description": "Server-sent events with `id`, `event` and `data`."}


def _describe_problem(response: Spec) -> None:
    """Describe a problem under its own media type: FastAPI describes it under that of the other responses."""
    if problems.MEDIA_TYPE in response.get("content", {}):
        response["content"] = {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def _links(spec: Spec, segment: str, **parameters: str) -> Spec:
    return {
        target["operationId"]: {"operationId": target["operationId"], "parameters": parameters}
        for path, operations in spec["paths"].items()
        if segment in path
        for target in operations.values()
    }


def _add_scope(operation: Spec) -> None:
    """Add the scope as an extension, since the requirement of a bearer key has no standard member for scopes."""
    (requirement,) = operation["security"]
    (operation["x-scope"],) = requirement[_BEARER]
    operation["security"].append({})  # a service without keys requires none, and one with keys answers 401
