"""What any resource does with HEAD, other methods, ranges, and what a client would rather have."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

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
def test_head_says_what_get_would(client: TestClient, path: str) -> None:
    read, asked = client.get(path), client.head(path)

    assert asked.status_code == read.status_code == 200
    assert asked.content == b""
    assert asked.headers["content-type"] == read.headers["content-type"]
    assert asked.headers.get("etag") == read.headers.get("etag")


def test_head_of_what_is_not_there_or_has_no_end(client: TestClient) -> None:
    assert client.head("/nowhere").status_code == 404
    events = client.head(f"/v1/trials/{'0' * 32}/events")
    assert (events.status_code, events.headers["allow"]) == (405, "GET")


@pytest.mark.parametrize("path", PAGES)
def test_another_method_is_told_which_there_are(client: TestClient, path: str) -> None:
    answer = client.request("PUT", path)

    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"
    assert problem_of(answer)["type"] == "/problems/method-not-allowed"


@pytest.mark.parametrize("given", ["bytes=abc", "foo=0-1", "bytes=5-2", "bytes=", "bytes=1-2,x"])
def test_a_range_that_makes_no_sense_is_ignored(client: TestClient, given: str) -> None:
    answer = client.get(FILE, headers={"Range": given})

    assert (answer.status_code, answer.content) == (200, client.get(FILE).content)


def test_a_part_of_a_file(client: TestClient) -> None:
    whole = client.get(FILE).content
    first = client.get(FILE, headers={"Range": "bytes=0-9"})
    beyond = client.get(FILE, headers={"Range": "bytes=99999999-"})

    assert (first.status_code, first.content) == (206, whole[:10])
    assert beyond.status_code == 416
    assert problem_of(beyond)["type"] == "/problems/range-not-satisfiable"
    assert beyond.headers["content-range"].endswith(f"*/{len(whole)}")
    assert beyond.headers["x-content-type-options"] == "nosniff"


def test_an_address_with_a_slash_too_many_is_none_and_keeps_no_key(client: TestClient) -> None:
    key = {"Idempotency-Key": "a"}

    astray = client.post("/v1/studies/", json=STUDY, headers=key, follow_redirects=False)

    assert astray.status_code == 404
    problem_of(astray)
    assert client.post("/v1/studies", json=STUDY, headers=key).status_code == 201


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_is_not_sent_twice(client: TestClient, path: str) -> None:
    tag = client.get(path).headers["etag"]
    again = client.get(path, headers=[("If-None-Match", '"another"'), ("If-None-Match", tag)])

    assert (again.status_code, again.content) == (304, b"")
    assert "script-src 'self'" in again.headers["content-security-policy"]


def test_the_pages_of_problems_may_have_their_style(client: TestClient) -> None:
    page = client.get("/problems")

    assert '<link rel="stylesheet" href="/assets/page.css">' in page.text
    assert "style-src 'self'" in page.headers["content-security-policy"]
    assert client.get("/assets/page.css").is_success


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("text/csv", "text/csv"),
        ("TEXT/CSV", "text/csv"),
        ("application/json;q=0.5, text/csv", "text/csv"),
        ("text/*", "text/csv"),
        ("*/*", "application/json"),
        ("application/json, text/csv;q=0.1", "application/json"),
        ("text/csv;q=0, application/json", "application/json"),
        ("text/csvx", "application/json"),
        ("text/csv;q=much", "application/json"),
    ],
)
def test_observations_come_as_the_client_would_rather_have_them(client: TestClient, accept: str, media: str) -> None:
    study = client.post("/v1/studies", json=STUDY).json()["id"]

    answer = client.get(f"/v1/studies/{study}/observations", headers={"Accept": accept})

    assert answer.headers["content-type"].partition(";")[0] == media
    assert answer.headers["vary"] == "Accept"


def test_a_cursor_is_of_its_own_list(client: TestClient) -> None:
    for name in ("one", "two"):
        client.post("/v1/studies", json={**STUDY, "name": name})
    cursor = client.get("/v1/studies?limit=1").json()["next"]

    assert client.get(f"/v1/studies?cursor={cursor}").json()["items"][0]["name"] == "one"
    for astray in (f"/v1/trials?cursor={cursor}", f"/v1/studies?cursor={cursor}!!", f"/v1/studies?cursor=%20{cursor}"):
        answer = client.get(astray)
        assert answer.status_code == 422
        assert problem_of(answer)["errors"][0]["pointer"] == "cursor"


def test_what_is_no_json_is_wrong_as_a_whole(client: TestClient) -> None:
    for body in ('{"architecture": ', "[1, 2", '{"target": 1' + "0" * 5000 + "}", b"\xff"):
        answer = client.post("/v1/scale", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422
        assert [error["pointer"] for error in problem_of(answer)["errors"]] == [""]


def test_of_very_many_mistakes_a_hundred_are_told(client: TestClient) -> None:
    answer = client.post("/v1/cost", json={f"x{i}": 0 for i in range(5000)})

    assert answer.status_code == 422
    assert len(problem_of(answer)["errors"]) == 100


def test_the_instance_of_a_problem_is_an_address(client: TestClient) -> None:
    assert problem_of(client.get("/problems/%3Cscript%3E%00"))["instance"] == "/problems/%3Cscript%3E%00"
