"""HEAD, unsupported methods, partial files, media types and invalid requests."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.serving import RunningService, serve_api

PAGES = (
    "/",
    "/docs",
    "/problems",
    "/problems/validation",
    "/dashboard/main.js",
    "/openapi.json",
    "/healthz",
    "/metrics",
)
READS = ("/v1/architectures", "/v1/queue", "/v1/predictors/published-tinynets")
FILE = "/dashboard/main.js"
STUDY = {"name": "one", "architecture": "tinynet_e", "dataset": "digits"}


def problem_of(answer: Any) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == answer.status_code
    return answer.json()


@pytest.mark.parametrize("path", [*PAGES, *READS])
def test_head_has_same_headers_as_get(client: TestClient, path: str) -> None:
    read, asked = client.get(path), client.head(path)

    assert asked.status_code == read.status_code == 200
    assert asked.content == b""
    assert asked.headers["content-type"] == read.headers["content-type"]
    assert asked.headers.get("etag") == read.headers.get("etag")


def test_head_of_missing_or_endless_resource(client: TestClient) -> None:
    assert client.head("/nowhere").status_code == 404
    events = client.head(f"/v1/trials/{'0' * 32}/events")
    assert (events.status_code, events.headers["allow"]) == (405, "GET")


@pytest.mark.parametrize("path", PAGES)
def test_unsupported_method_lists_allowed_methods(client: TestClient, path: str) -> None:
    answer = client.request("PUT", path)

    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"
    assert problem_of(answer)["type"] == "/problems/method-not-allowed"


def test_range_returns_part_of_a_file(client: TestClient) -> None:
    whole = client.get(FILE).content

    part = client.get(FILE, headers={"Range": "bytes=0-9"})

    assert (part.status_code, part.content) == (206, whole[:10])


def test_trailing_slash_is_404_and_reserves_no_key(client: TestClient) -> None:
    key = {"Idempotency-Key": "a"}

    astray = client.post("/v1/studies/", json=STUDY, headers=key, follow_redirects=False)

    assert astray.status_code == 404
    problem_of(astray)
    assert client.post("/v1/studies", json=STUDY, headers=key).status_code == 201


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_unchanged_page_is_not_sent_again(client: TestClient, path: str) -> None:
    tag = client.get(path).headers["etag"]
    again = client.get(path, headers=[("If-None-Match", '"another"'), ("If-None-Match", tag)])

    assert (again.status_code, again.content) == (304, b"")
    assert "script-src 'self'" in again.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("text/csv", "text/csv"),
        ("TEXT/CSV", "text/csv"),
        ("text/csv, application/json;q=0.5", "text/csv"),
        ("*/*", "application/json"),
        ("application/json, text/csv;q=0.1", "application/json"),
    ],
)
def test_observations_have_the_first_accepted_media_type(client: TestClient, accept: str, media: str) -> None:
    study = client.post("/v1/studies", json=STUDY).json()["id"]

    response = client.get(f"/v1/studies/{study}/observations", headers={"Accept": accept})

    assert response.headers["content-type"].partition(";")[0] == media
    assert response.headers["vary"] == "Accept"


def test_cursor_of_another_list_is_refused(client: TestClient) -> None:
    for name in ("one", "two"):
        client.post("/v1/studies", json={**STUDY, "name": name})
    cursor = client.get("/v1/studies?limit=1").json()["next"]

    assert client.get(f"/v1/studies?cursor={cursor}").json()["items"][0]["name"] == "one"
    for astray in (f"/v1/trials?cursor={cursor}", f"/v1/studies?cursor={cursor}!!", f"/v1/studies?cursor=%20{cursor}"):
        answer = client.get(astray)
        assert answer.status_code == 422
        assert problem_of(answer)["errors"][0]["pointer"] == "cursor"


def test_invalid_json_error_points_at_whole_body(client: TestClient) -> None:
    for body in ('{"architecture": ', "[1, 2", '{"target": 1' + "0" * 5000 + "}", b"\xff"):
        answer = client.post("/v1/scale", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422
        assert [error["pointer"] for error in problem_of(answer)["errors"]] == [""]


def test_at_most_hundred_mistakes_are_listed(client: TestClient) -> None:
    answer = client.post("/v1/cost", json={f"x{i}": 0 for i in range(5000)})

    assert answer.status_code == 422
    assert len(problem_of(answer)["errors"]) == 100


def test_instance_of_a_problem_is_an_encoded_path(client: TestClient) -> None:
    assert problem_of(client.get("/problems/%3Cscript%3E%00"))["instance"] == "/problems/%3Cscript%3E%00"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with serve_api(tmp_path_factory.mktemp("service")) as service:
        yield service


def send_request_line(service: RunningService, line: str, host: str = "rdw.example") -> tuple[int, dict[str, Any]]:
    """Send a request that HTTP libraries refuse to send; return the status and the JSON of the response."""
    with socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2]))) as connection:
        connection.sendall(f"{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        head, _, body = b"".join(iter(partial(connection.recv, 65536), b"")).partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 4"):
        assert b"content-type: application/problem+json" in head.lower()
    return int(head.split()[1]), json.loads(body)


@pytest.mark.parametrize(
    "target",
    [
        "http://[/x",
        "http://[/v1/queue",
        "http://a:b/x",
        "http://a:99999/x",
        "http:///x",
        "ftp://a/x",
        "x",
        "*",
        "http:",
    ],
)
def test_malformed_target_is_400(service: RunningService, target: str) -> None:
    status, body = send_request_line(service, f"GET {target}")

    assert (status, body["type"]) == (400, "/problems/bad-request")


@pytest.mark.parametrize("host", ["[", "[::1", "a b", "a:b", "a/b", "user@a"])
def test_malformed_host_is_400(service: RunningService, host: str) -> None:
    for path in ("/v1/queue", "/healthz", "/nowhere"):
        assert send_request_line(service, f"GET {path}", host)[0] == 400


@pytest.mark.parametrize("host", ["", "127.0.0.1:8000", "[::1]:8000", "api_1.example"])
def test_valid_hosts_are_accepted(service: RunningService, host: str) -> None:
    assert send_request_line(service, "GET /healthz", host)[0] == 200


def test_absolute_target_means_its_path(service: RunningService) -> None:
    assert send_request_line(service, "GET http://localhost/v1/queue?x=1")[0] == 200
    assert send_request_line(service, "GET http://[::1]:80/healthz")[0] == 200
    assert send_request_line(service, "GET http://localhost/nowhere")[1]["instance"] == "/nowhere"


def test_host_of_an_absolute_target_is_checked(service: RunningService) -> None:
    assert send_request_line(service, "GET http://rdw.example/v1/queue", "localhost")[0] == 403
    assert send_request_line(service, "GET http://localhost/v1/queue", "rdw.example")[0] == 200


def test_absolute_target_needs_a_key_as_its_path_does(tmp_path: Path) -> None:
    with serve_api(tmp_path, api_keys="0" * 64) as service:
        assert send_request_line(service, "GET http://rdw.example/v1/queue")[0] == 401
