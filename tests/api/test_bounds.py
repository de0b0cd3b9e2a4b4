"""Every request is bounded: in what it says, in its size, in the time it takes, and in what is kept open for it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi.testclient import TestClient

from app import serving
from app.main import create_app
from app.settings import Settings
from tests.api.test_events import new_trial
from tests.api.test_events import serving as served
from tests.support import SMALL, free_port

TRIAL = {"architecture": "small", "dataset": "digits", "recipe": "digits-smoke"}
LEAST, MOST = {"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}


def unbounded(schema: Any, path: str) -> Iterator[str]:
    """Where a schema lets in what has no bound."""
    if isinstance(schema, list):
        for number, item in enumerate(schema):
            yield from unbounded(item, f"{path}/{number}")
    if not isinstance(schema, dict):
        return
    kind, keys = schema.get("type"), set(schema)
    if not keys & {"enum", "const"} and (
        (kind == "array" and "maxItems" not in keys)
        or (kind == "string" and not keys & {"maxLength", "pattern", "format"})
        or (kind in ("integer", "number") and not (keys & LEAST and keys & MOST))
        or (kind == "object" and schema.get("additionalProperties", True) and "maxProperties" not in keys)
    ):
        yield path
    for key, value in schema.items():
        if key not in ("example", "examples", "default"):
            yield from unbounded(value, f"{path}/{key}")


def asked_for(part: Any, schemas: dict[str, Any], known: set[str]) -> set[str]:
    """The names of the schemas that a part of the spec stands on."""
    for name in re.findall(r"#/components/schemas/([\w\-]+)", json.dumps(part)):
        if name not in known:
            known.add(name)
            asked_for(schemas[name], schemas, known)
    return known


def test_everything_a_request_may_say_is_bounded(settings: Settings) -> None:
    spec = create_app(settings).openapi()
    schemas = spec["components"]["schemas"]
    found, names = [], set[str]()
    for route, operations in spec["paths"].items():
        for method, operation in operations.items():
            said = [operation.get("parameters", []), operation.get("requestBody", {})]
            found += unbounded(said, f"{method} {route}")
            asked_for(said, schemas, names)
    assert {"ScaleRequest", "NewStudy", "Recipe"} <= names

    assert found + [where for name in names for where in unbounded(schemas[name], name)] == []


@pytest.mark.parametrize(
    "loose",
    [
        {"type": "array", "items": {}},
        {"type": "string"},
        {"type": "number", "minimum": 0},
        {"anyOf": [{"type": "object"}]},
    ],
    ids=lambda loose: next(iter(loose.values())) if "type" in loose else "any",
)
def test_what_has_no_bound_is_found(loose: dict[str, Any]) -> None:
    assert list(unbounded(loose, "")) != []


async def asked(app: Any, messages: list[dict[str, Any]], path: str = "/v1/cost") -> list[dict[str, Any]]:
    """What the app sends to a request whose body comes in these pieces, and then no more."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop(0)
        return await asyncio.Future()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": [(b"content-type", b"application/json")], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
        "scheme": "http", "http_version": "1.1", "asgi": {"version": "3.0"},
    }  # fmt: skip
    await app(scope, receive, send)
    return sent


def test_a_body_that_does_not_arrive_in_time_is_given_up(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"body_seconds": 0.1}))

    start, body = asyncio.run(asked(app, [{"type": "http.request", "body": b"{", "more_body": True}]))

    assert start["status"] == 408
    assert (b"connection", b"close") in start["headers"]
    assert json.loads(body["body"])["type"] == "/problems/timeout"


def test_a_body_without_a_length_is_refused_as_soon_as_it_is_too_large(settings: Settings) -> None:
    endless = [{"type": "http.request", "body": b" " * 2**20, "more_body": True} for _ in range(9)]

    start, body = asyncio.run(asked(create_app(settings), [*endless]))

    assert start["status"] == 413
    assert json.loads(body["body"])["type"] == "/problems/too-large"


@pytest.mark.parametrize("nested", ['{"a":' * 40_000, "[" * 50_000, '{"timm":{"a":' * 3_000])
def test_a_deeply_nested_body_is_refused(client: TestClient, nested: str) -> None:
    whole = nested + "1" + "".join("}" if c == "{" else "]" for c in reversed(nested) if c in "{[")

    answer = client.post("/v1/cost", content=whole, headers={"Content-Type": "application/json"})

    assert answer.status_code == 422


@pytest.fixture
def few(settings: Settings) -> Iterator[str]:
    """A service with room for two event streams."""
    with served(settings.model_copy(update={"max_streams": 2})) as address:
        httpx.post(f"{address}/v1/architectures", json=SMALL).raise_for_status()
        yield address


def test_event_streams_are_so_many_and_no_more_and_a_closed_one_makes_room(few: str) -> None:
    events = f"{few}/v1/trials/{new_trial(few)}/events"

    with httpx.stream("GET", events) as one:
        with httpx.stream("GET", events) as two:
            refused = httpx.get(events)
            assert (one.status_code, two.status_code) == (200, 200)
            assert (refused.status_code, refused.json()["type"]) == (503, "/problems/overloaded")
            assert "retry-after" in refused.headers
        deadline = time.monotonic() + 30
        while True:  # the server notices that a client has gone when it next turns to it
            with httpx.stream("GET", events) as again:
                if again.status_code == 200:
                    break
            assert time.monotonic() < deadline


def test_a_key_has_so_many_event_streams(settings: Settings) -> None:
    update = {"api_keys": hashlib.sha256(b"one").hexdigest(), "max_streams_per_caller": 1}
    with (
        served(settings.model_copy(update=update)) as address,
        httpx.Client(base_url=address, headers={"Authorization": "Bearer one"}) as client,
    ):
        client.post("/v1/architectures", json=SMALL).raise_for_status()
        trial = client.post("/v1/trials", json=TRIAL).raise_for_status().json()["id"]
        with client.stream("GET", f"/v1/trials/{trial}/events") as one:
            refused = client.get(f"/v1/trials/{trial}/events")
            assert (one.status_code, refused.status_code) == (200, 429)
            assert refused.json()["type"] == "/problems/rate-limited"


@pytest.fixture
def real(settings: Settings) -> Iterator[int]:
    """The API as `rdw api` serves it; its port."""
    port = free_port()
    update = {"port": port, "trusted_proxies": "", "api_keys": ""}
    config = uvicorn.Config(create_app(settings), **serving.options(settings.model_copy(update=update)))
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    yield port
    server.should_exit = True
    thread.join()


def test_a_head_of_a_request_that_is_too_large_is_refused(real: int) -> None:
    with socket.create_connection(("127.0.0.1", real), 10) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"a" * 40_000)
        assert connection.recv(100).startswith(b"HTTP/1.1 400")


def test_a_target_may_be_a_whole_address(real: int) -> None:
    with socket.create_connection(("127.0.0.1", real), 10) as connection:
        connection.sendall(b"GET http://localhost/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200")


LONG = [
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"a" * 70_000 + b"\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"X-Short: a\r\n" * 6_000 + b"\r\n",
    b"GET /healthz?" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"POST /v1/" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
]


@pytest.mark.parametrize("head", LONG, ids=["a header", "many headers", "a query", "a path"])
def test_a_head_that_arrives_in_one_piece_is_bounded_as_well(real: int, head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", real), 10) as connection:
        connection.sendall(head)
        answer = HTTPResponse(connection)
        answer.begin()
        problem = json.loads(answer.read())

    assert answer.status == problem["status"] == 431
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] and answer.headers["x-content-type-options"] == "nosniff"
    assert problem["type"] == "/problems/headers-too-large"


def test_a_head_within_the_bound_is_taken(real: int) -> None:
    assert httpx.get(f"http://127.0.0.1:{real}/healthz", headers={"X-Long": "a" * 30_000}).status_code == 200


def test_the_server_does_not_say_what_it_is(real: int) -> None:
    assert "server" not in httpx.get(f"http://127.0.0.1:{real}/healthz").headers


def test_only_proxies_that_are_configured_are_believed(settings: Settings) -> None:
    assert not uvicorn.Config("x", **serving.options(settings)).proxy_headers
    trusting = uvicorn.Config("x", **serving.options(settings.model_copy(update={"trusted_proxies": "10.0.0.7"})))
    assert (trusting.proxy_headers, trusting.forwarded_allow_ips) == (True, "10.0.0.7")
