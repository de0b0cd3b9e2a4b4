"""Values of requests have the types of the spec: nothing is converted from text, numbers or booleans."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

SCALE = {"architecture": "efficientnet_b0", "rule": "dwr"}
TRIAL = {"architecture": "efficientnet_b0", "dataset": "digits", "multipliers": {"r": 1, "d": 1, "w": 1}}
STUDY = {"name": "s", "architecture": "efficientnet_b0", "dataset": "digits"}


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/v1/scale", {**SCALE, "target": {"ratio": "0.5"}}, "/target/ratio"),
        ("/v1/scale", {**SCALE, "target": {"flops": True}}, "/target/flops"),
        ("/v1/scale", {**SCALE, "target": {"flops": "200000000"}}, "/target/flops"),
        ("/v1/scale", {**SCALE, "target": {"ratio": 0.5}, "budget": {"movement": {"stages": 0}}}, "/budget/movement"),
        (
            "/v1/scale",
            {**SCALE, "target": {"ratio": 0.5}, "constraints": {"activation_bytes_per_element": True}},
            "/constraints/activation_bytes_per_element",
        ),
        ("/v1/cost", {**TRIAL, "dataset": None, "multipliers": {"r": 1, "d": True, "w": 1}}, "/multipliers/d"),
        ("/v1/trials", {**TRIAL, "validate_only": 1}, "/validate_only"),
        ("/v1/trials", {**TRIAL, "seed": "4"}, "/seed"),
        ("/v1/trials", {**TRIAL, "recipe": {"epochs": "3"}}, "/recipe/epochs"),
        ("/v1/trials", {**TRIAL, "recipe": {"flip": "yes"}}, "/recipe/flip"),
        ("/v1/studies", {**STUDY, "load_if_exists": "on"}, "/load_if_exists"),
        ("/v1/studies", {**STUDY, "space": {"r": ["0.5", 1]}}, "/space/r/0"),
        ("/v1/studies", {**STUDY, "trials": True}, "/trials"),
        ("/v1/studies", {**STUDY, "trials": 10.5}, "/trials"),
    ],
)
def test_value_of_another_type_is_rejected(client: TestClient, path: str, body: dict[str, Any], pointer: str) -> None:
    answer = client.post(path, json=body)
    assert answer.status_code == 422
    assert any(error["pointer"].startswith(pointer) for error in answer.json()["errors"]), answer.text


def test_change_of_another_type_is_rejected(client: TestClient) -> None:
    answer = client.patch("/v1/predictors/published-tinynets", json={"archived": 0}, headers={"If-Match": '"x"'})
    assert answer.status_code == 422


@pytest.mark.parametrize("flops", [200_000_000, 2e8])
def test_number_without_a_fraction_is_an_integer(client: TestClient, flops: float) -> None:
    answer = client.post("/v1/scale", json={**SCALE, "target": {"flops": flops}})
    assert answer.json()["target_flops"] == 200_000_000
