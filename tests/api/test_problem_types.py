"""The `type` of a problem links to its explanation."""

from __future__ import annotations

from fastapi.testclient import TestClient

from app.http.problem_types import PROBLEM_TYPES
from app.http.problems import PROBLEMS


def test_every_problem_type_is_listed_and_explained(client: TestClient) -> None:
    listed = client.get("/problems").json()["items"]

    assert [item["type"] for item in listed] == [f"/problems/{name}" for name in PROBLEM_TYPES]
    for item in listed:
        assert client.get(item["type"]).json() == item
        assert item["meaning"] and item["remedy"]


def test_type_of_a_problem_leads_to_its_explanation(client: TestClient) -> None:
    for response in (client.get("/nowhere"), client.post("/v1/scale", json={}), client.delete("/v1/scale")):
        problem = response.json()
        explanation = client.get(problem["type"]).json()
        assert (explanation["title"], explanation["status"]) == (problem["title"], response.status_code)


def test_every_service_error_has_a_problem_type() -> None:
    for status, name in PROBLEMS.values():
        assert PROBLEM_TYPES[name].status == status


def test_unknown_problem_type_is_not_found(client: TestClient) -> None:
    response = client.get("/problems/<script>alert(1)</script>")

    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
