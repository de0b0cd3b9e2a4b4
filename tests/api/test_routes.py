"""The scope that a route declares is enforced, and a route without a scope is rejected."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient

from app.core.settings import Settings
from app.http.app import create_app
from app.http.auth import ADMIN, READ
from app.http.body_limit import MAX_BODY_BYTES
from app.http.route import ApiRoute, include_api_router


def test_a_route_declares_one_scope() -> None:
    router = APIRouter(prefix="/v1/things", route_class=ApiRoute)

    for dependencies in ([], [READ, ADMIN]):
        with pytest.raises(TypeError, match="read_thing has to declare one scope"):

            @router.get("", dependencies=dependencies)
            def read_thing() -> None: ...


@pytest.mark.parametrize(
    "router",
    [APIRouter(prefix="/v1/things"), APIRouter(prefix="/things", route_class=ApiRoute)],
    ids=["of another class", "outside of the prefix"],
)
def test_route_without_scope_is_refused(router: APIRouter) -> None:
    @router.get("/{id}", dependencies=[READ])
    def read_thing(id: str) -> None: ...

    with pytest.raises(TypeError, match="not an ApiRoute below /v1"):
        include_api_router(FastAPI(), router)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/v1/nowhere", 404), ("POST", "/nowhere", 404), ("GET", "/v1/queue", 200), ("POST", "/v1/queue", 405)],
)
def test_body_of_unknown_route_is_not_read(settings: Settings, method: str, path: str, status: int) -> None:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        raise AssertionError("the body was read")

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": [(b"host", b"localhost")], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "scheme": "http",
        "http_version": "1.1", "asgi": {"version": "3.0"},
    }  # fmt: skip

    asyncio.run(create_app(settings)(scope, receive, send))

    assert sent[0]["status"] == status


def test_body_limit_is_that_of_its_route(client: TestClient) -> None:
    body, headers = b" " * (MAX_BODY_BYTES + 1), {"Content-Type": "application/json"}

    cost = client.post("/v1/cost", content=body, headers=headers)
    imported = client.post(f"/v1/studies/{'0' * 32}/observations", content=body, headers=headers)

    assert (cost.status_code, cost.json()["type"]) == (413, "/problems/too-large")
    assert (imported.status_code, imported.json()["type"]) == (422, "/problems/validation")
