"""Costs are counted for the classes and channels that the request names, as training counts them."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.scaling.families import baseline

pytestmark = pytest.mark.databases("sqlite")  # the database does not matter to arithmetic

TINY_E = {"architecture": "tinynet_e", "multipliers": {"r": 0.3, "d": 0.5, "w": 0.2}}


def post(client: TestClient, path: str, **body: Any) -> dict[str, Any]:
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_cost_counts_the_classes_of_the_data_set(client: TestClient) -> None:
    alone = post(client, "/v1/cost", **TINY_E)
    fashion = post(client, "/v1/cost", **TINY_E, dataset="fashion-mnist")
    trained = client.post("/v1/trials", json={**TINY_E, "dataset": "fashion-mnist"}).json()

    assert (alone["num_classes"], alone["in_chans"]) == (1000, 3)
    assert (fashion["num_classes"], fashion["in_chans"]) == (10, 3)
    assert fashion["cost"]["flops"] == trained["flops"] < alone["cost"]["flops"]
    assert fashion["config"]["num_classes"] == 10


def test_cost_counts_given_classes_and_channels(client: TestClient) -> None:
    counted = post(client, "/v1/cost", architecture="resnet18", num_classes=7, in_chans=1)
    base = post(client, "/v1/cost", architecture="resnet18")

    assert (counted["num_classes"], counted["in_chans"]) == (7, 1)
    assert base["cost"]["flops"] - counted["cost"]["flops"] == 512 * 993 + 2 * 64 * 49 * 112 * 112


def test_scale_meets_with_a_data_set_what_training_meets(client: TestClient) -> None:
    body = {"architecture": "tinynet_e", "target": {"flops": 1_200_000}, "budget": {"mode": "at_most"}}
    train = {"dataset": "fashion-mnist", "validate_only": True}
    refused = client.post("/v1/scale", json=body)
    answer = post(client, "/v1/scale", **body, dataset="fashion-mnist")
    trained = post(client, "/v1/scale", **body, train=train)

    assert refused.status_code == 422
    assert answer["config"] == trained["config"]
    assert answer["num_classes"] == trained["num_classes"] == 10
    assert answer["cost"]["flops"] <= 1_200_000


def test_ratio_is_relative_to_the_counted_baseline(client: TestClient) -> None:
    answer = post(client, "/v1/scale", architecture="tinynet_e", target={"ratio": 0.5}, num_classes=10)
    ten = baseline("tinynet_e").adapt(10)

    assert answer["target_flops"] == round(
        0.5 * post(client, "/v1/cost", architecture="tinynet_e", num_classes=10)["cost"]["flops"]
    )
    assert answer["config"]["num_classes"] == ten.baseline.num_classes


def test_family_and_compare_say_what_they_counted(client: TestClient) -> None:
    family = post(client, "/v1/scale/family", architecture="tinynet_e", targets=[{"ratio": 0.5}], dataset="digits")
    compared = post(client, "/v1/compare", architecture="tinynet_e", target={"ratio": 0.5}, num_classes=5, in_chans=1)

    assert (family["num_classes"], family["items"][0]["num_classes"]) == (10, 10)
    assert (compared["num_classes"], compared["in_chans"]) == (5, 1)
    answers = [item["answer"] for item in compared["items"] if item["answer"]]
    assert {(answer["config"]["num_classes"], answer["config"]["in_chans"]) for answer in answers} == {(5, 1)}


def test_typefaces_are_counted_before_they_are_rendered(client: TestClient) -> None:
    assert post(client, "/v1/cost", architecture="tinynet_e", dataset="typefaces")["num_classes"] > 10


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/cost", {"architecture": "resnet18", "dataset": "digits", "num_classes": 3}, 422),
        ("/v1/cost", {"architecture": "resnet18", "dataset": "none-of-that-name"}, 422),
        ("/v1/scale", {"architecture": "resnet18", "target": {"ratio": 0.5}, "num_classes": 1}, 422),
        (
            "/v1/scale",
            {
                "architecture": "resnet18",
                "target": {"ratio": 0.5},
                "dataset": "digits",
                "train": {"dataset": "fashion-mnist"},
            },
            422,
        ),
    ],
)
def test_contradictions_are_refused(client: TestClient, path: str, body: dict[str, Any], status: int) -> None:
    assert client.post(path, json=body).status_code == status


def test_config_keeps_its_own_classes(client: TestClient) -> None:
    config = baseline("resnet18").adapt(12).baseline.to_json()

    assert post(client, "/v1/cost", config=config)["num_classes"] == 12
    assert client.post("/v1/cost", json={"config": config, "num_classes": 3}).status_code == 422
