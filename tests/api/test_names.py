"""Architectures are found under the names that people type."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from tests.api.test_baselines import RESNET

pytestmark = pytest.mark.databases("sqlite")


@pytest.mark.parametrize(
    "typed", ["tf_efficientnet_b0", "efficientnet_b0.ra_in1k", "EfficientNet-B0", "timm/efficientnet_b0"]
)
def test_scale_answers_with_the_baselines_own_name(client: TestClient, typed: str) -> None:
    answer = client.post("/v1/scale", json={"architecture": typed, "target": {"ratio": 0.3}})

    assert answer.status_code == 200, answer.text
    assert answer.json()["architecture"] == "efficientnet_b0"
    assert answer.json()["predictor"]["id"] == "published-tinynets"
    assert "transferred" not in [w["code"] for w in answer.json()["warnings"]]


def test_baseline_is_read_by_another_name(client: TestClient) -> None:
    assert client.get("/v1/architectures/ResNet50").json()["name"] == "resnet50"


def test_unknown_name_is_answered_with_the_nearest(client: TestClient) -> None:
    for answer in (
        client.post("/v1/cost", json={"architecture": "efficientnet_b9"}),
        client.get("/v1/architectures/efficientnet_b9"),
    ):
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")
        assert "Did you mean efficientnet_b" in answer.json()["detail"]


def test_registered_name_precedes_another_name(client: TestClient) -> None:
    assert client.get("/v1/architectures/efficientnet-b0").json()["name"] == "efficientnet_b0"
    assert client.post("/v1/cost", json={"architecture": "efficientnet-b0"}).status_code == 200
    registered = client.post("/v1/architectures", json={"name": "efficientnet-b0", "baseline": RESNET})

    assert registered.status_code == 201, registered.text
    assert client.get("/v1/architectures/EfficientNet-B0").json()["family"] == "resnet"
    cost = client.post("/v1/cost", json={"architecture": "efficientnet-b0"}).json()
    assert cost["config"]["family"] == "resnet"
