"""Every request has limits on its fields, its body and its headers."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi.testclient import TestClient

from app.core.settings import Settings
from app.db.tables import ApiKeyRow
from app.db.unit_of_work import UnitOfWork
from app.http import server as serving
from app.http.app import create_app
from app.services.auth.keys import digest_of
from tests.support import find_free_port

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


def test_every_request_field_is_bounded(settings: Settings) -> None:
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
def test_unbounded_field_is_detected(loose: dict[str, Any]) -> None:
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
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "scheme": "http",
        "http_version": "1.1", "asgi": {"version": "3.0"},
    }  # fmt: skip
    await app(scope, receive, send)
    return sent


def test_chunked_body_is_refused_at_the_limit(settings: Settings) -> None:
    endless = [{"type": "http.request", "body": b" " * 2**20, "more_body": True} for _ in range(9)]

    start, body = asyncio.run(asked(create_app(settings), [*endless]))

    assert start["status"] == 413
    assert json.loads(body["body"])["type"] == "/problems/too-large"


@pytest.mark.parametrize("nested", ['{"a":' * 40_000, "[" * 50_000, '{"timm":{"a":' * 3_000])
def test_deeply_nested_body_is_refused(client: TestClient, nested: str) -> None:
    whole = nested + "1" + "".join("}" if c == "{" else "]" for c in reversed(nested) if c in "{[")

    answer = client.post("/v1/cost", content=whole, headers={"Content-Type": "application/json"})

    assert answer.status_code == 422


@contextmanager
def serve(settings: Settings) -> Iterator[int]:
    """Serve the API as `rdw api` does; yield its port."""
    port = find_free_port()
    update = {"port": port, "trusted_proxies": ""}
    app = create_app(settings)
    app.openapi()  # 405 needs it, and building it takes more memory than these tests allow a request
    config = uvicorn.Config(app, **serving.options(settings.model_copy(update=update)))
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    yield port
    server.should_exit = True
    thread.join()


@pytest.fixture
def real(settings: Settings) -> Iterator[int]:
    """The port of an API without keys."""
    with serve(settings) as port:
        yield port


@pytest.fixture
def locked(settings: Settings) -> Iterator[int]:
    """The port of an API with the keys `one` and, of scope `read`, `reader`."""
    with UnitOfWork(settings.database) as work:
        work.keys.add_if_new(ApiKeyRow(name="reader", digest=digest_of("reader"), scope="read"))
        work.commit()
    with serve(settings.model_copy(update={"api_keys": digest_of("one")})) as port:
        yield port


def test_large_request_header_is_refused(real: int) -> None:
    with socket.create_connection(("127.0.0.1", real), 60) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"a" * 40_000)
        assert connection.recv(100).startswith(b"HTTP/1.1 400")


def test_request_header_within_limit_is_accepted(real: int) -> None:
    headers = {"X-Long": "a" * 30_000}
    assert httpx.get(f"http://127.0.0.1:{real}/healthz", headers=headers, timeout=60).status_code == 200


def test_server_header_is_absent(real: int) -> None:
    assert "server" not in httpx.get(f"http://127.0.0.1:{real}/healthz", timeout=60).headers


def test_only_configured_proxies_are_trusted(settings: Settings) -> None:
    assert not uvicorn.Config("x", **serving.options(settings)).proxy_headers
    trusting = uvicorn.Config("x", **serving.options(settings.model_copy(update={"trusted_proxies": "10.0.0.7"})))
    assert (trusting.proxy_headers, trusting.forwarded_allow_ips) == (True, "10.0.0.7")


def test_connections_of_a_process_are_bounded(settings: Settings) -> None:
    assert uvicorn.Config("x", **serving.options(settings)).limit_concurrency


STUDY = "0" * 32
LARGE = 24 * 2**20
HELD = 4 * 2**20  # bytes, of the server and this client


def offer(port: int, head: str, *, is_chunked: bool) -> tuple[bytes, int]:
    """Send the head of a request and then 24 MiB of a body; return the response and the most memory that was held."""
    block = b" " * 2**16
    piece = b"10000\r\n" + block + b"\r\n" if is_chunked else block
    tracemalloc.start()
    try:
        with socket.create_connection(("127.0.0.1", port), 60) as connection:
            connection.sendall(f"{head}\r\n\r\n".encode())
            response = connection.recv(4096)  # it comes before the body
            with suppress(OSError):  # the connection may be closed
                for _ in range(0, LARGE, len(block)):
                    connection.sendall(piece)
        return response, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("framing", [f"Content-Length: {LARGE}", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize(
    ("line", "key", "status"),
    [
        ("POST /nothing/observations", "", 404),
        ("POST /v1/nothing", "", 401),
        ("POST /v1/nothing", "one", 404),
        ("POST /healthz", "", 405),
        ("GET /healthz", "", 200),
        ("PUT /v1/cost", "one", 405),
        ("POST /v1/cost", "", 401),
        ("POST /v1/cost", "wrong", 401),
        (f"POST /v1/studies/{STUDY}/observations", "", 401),
        (f"POST /v1/studies/{STUDY}/observations", "wrong", 401),
        (f"PUT /v1/studies/{STUDY}/observations", "one", 405),
        (f"POST /v1/studies/{STUDY}/observations", "reader", 403),
        ("POST /dashboard/x", "", 405),
        ("POST /problems/none", "", 405),
    ],
)
def test_body_that_no_route_wants_is_not_held(locked: int, line: str, key: str, status: int, framing: str) -> None:
    head = f"{line} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{framing}"
    if key:
        head += f"\r\nAuthorization: Bearer {key}"

    response, held = offer(locked, head, is_chunked="chunked" in framing)

    assert response.startswith(f"HTTP/1.1 {status}".encode())
    assert held < HELD


def test_declared_length_above_the_limit_is_refused_before_the_body(locked: int) -> None:
    head = f"POST /v1/cost HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer one\r\nContent-Length: {LARGE}"

    response, held = offer(locked, head, is_chunked=False)

    assert response.startswith(b"HTTP/1.1 413")
    assert held < HELD


def test_more_body_than_declared_is_not_held(locked: int) -> None:
    head = "POST /v1/cost HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer one\r\nContent-Length: 2\r\n\r\n{}"

    response, held = offer(locked, head, is_chunked=False)

    assert response.startswith((b"HTTP/1.1 415", b"HTTP/1.1 400"))
    assert held < HELD
