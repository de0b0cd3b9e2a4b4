"""Unchanged responses are not sent twice, and changes of outdated resources are rejected."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

STUDY = {"name": "tagged", "architecture": "tinynet_e", "dataset": "digits"}


@pytest.fixture
def study(client: TestClient) -> str:
    return client.post("/v1/studies", json=STUDY).headers["location"]


@pytest.mark.parametrize("path", ["/v1/architectures", "/v1/predictors", "/v1/predictors/published-tinynets", "study"])
def test_unchanged_resource_is_not_sent_twice(client: TestClient, study: str, path: str) -> None:
    path = study if path == "study" else path
    tag = client.get(path).headers["etag"]

    for given in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        again = client.get(path, headers={"If-None-Match": given})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_what_has_changed_is_sent(client: TestClient, study: str) -> None:
    tag = client.get(study).headers["etag"]
    client.post(f"{study}/start")

    answer = client.get(study, headers={"If-None-Match": tag})

    assert answer.status_code == 200
    assert answer.json()["state"] == "running"
    assert answer.headers["etag"] != tag


def test_activation_honours_if_match(client: TestClient, study: str) -> None:
    rows = [{"r": 0.5 + i / 10, "d": 0.6 + i / 10, "w": 0.5 + i / 10, "accuracy": 0.5 + i / 20} for i in range(5)]
    client.post(f"{study}/observations", json={"source": "a table", "observations": rows})
    predictors = [client.post(f"{study}/predictors", json={}).headers["location"] for _ in range(2)]
    tag = client.get(predictors[0]).headers["etag"]

    assert client.post(f"{predictors[0]}/activate", headers={"If-Match": tag}).status_code == 200

    answer = client.post(f"{predictors[0]}/activate", headers={"If-Match": tag})
    assert (answer.status_code, answer.json()["type"]) == (412, "/problems/precondition-failed")
    now = client.get(predictors[0]).headers["etag"]
    assert client.post(f"{predictors[0]}/activate", headers={"If-Match": now}).json()["active"] is True
