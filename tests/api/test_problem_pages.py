"""A problem's `type` leads to a page that explains it."""

from __future__ import annotations

from fastapi.testclient import TestClient

from app.problem_kinds import KINDS
from app.problems import PROBLEMS


def test_every_kind_has_a_page_and_is_on_the_list(client: TestClient) -> None:
    listed = client.get("/problems").text
    for name, kind in KINDS.items():
        page = client.get(f"/problems/{name}")
        assert page.headers["content-type"].startswith("text/html")
        assert kind.title in page.text
        assert f'href="/problems/{name}"' in listed


def test_the_type_of_a_problem_leads_there(client: TestClient) -> None:
    for answer in (client.get("/nowhere"), client.post("/v1/scale", json={}), client.delete("/v1/scale")):
        plain = client.get(answer.json()["type"], headers={"Accept": "application/json"}).json()
        assert (plain["type"], plain["title"], plain["status"]) == (
            answer.json()["type"],
            answer.json()["title"],
            answer.status_code,
        )
        assert plain["meaning"] and plain["remedy"]


def test_every_error_of_the_service_is_of_a_kind_that_is_told() -> None:
    for status, kind in PROBLEMS.values():
        assert KINDS[kind].status == status


def test_a_kind_that_is_none_is_a_problem_itself(client: TestClient) -> None:
    answer = client.get("/problems/<script>alert(1)</script>")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
