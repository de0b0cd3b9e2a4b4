"""The default rule `auto`: what it takes, and why."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient


def scale(client: TestClient, **body: Any) -> dict[str, Any]:
    answer = client.post("/v1/scale", json={"target": {"ratio": 0.3}, **body})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def fitted(client: TestClient, n: int, d: str = "falls", activate: bool = True) -> dict[str, Any]:
    """Import networks of a small baseline, refit and activate; on `noise` d has nothing to do with the cost."""
    body = {"name": "auto", "architecture": "mobilenetv3_small_050", "dataset": "digits", "trials": 1}
    study = client.post("/v1/studies", json=body).json()["id"]
    random = np.random.default_rng(0)
    rows = []
    for c in np.geomspace(0.2, 0.95, n):
        depth = random.uniform(0.5, 1.2) if d == "noise" else c**0.3
        rows.append({"r": 0.95 * c**0.25, "d": depth, "w": c**0.3, "accuracy": 0.9 + 0.05 * np.log(c)})
    answer = client.post(f"/v1/studies/{study}/observations", json={"source": "a test", "observations": rows})
    assert answer.status_code == 201, answer.text
    return dict(client.post(f"/v1/studies/{study}/predictors", json={"activate": activate}).json())


def test_published_predictor_answers_for_its_own_baseline(client: TestClient) -> None:
    answer = scale(client, architecture="efficientnet_b0")

    assert answer["rule"] == "tiny_formula"
    assert "published" in answer["rule_reason"]


@pytest.mark.parametrize("name", ["ghostnet_100", "resnet18", "efficientnet_b1"])
def test_another_baseline_gets_dwr_without_data(client: TestClient, name: str) -> None:
    answer = scale(client, architecture=name)

    assert answer["rule"] == "dwr"
    assert name in answer["rule_reason"]
    assert answer["predictor"] is None
    assert scale(client, architecture=name, rule="dwr")["config"] == answer["config"]


def test_tiny_formula_of_another_baseline_is_available_on_request(client: TestClient) -> None:
    by_rule = scale(client, architecture="ghostnet_100", rule="tiny_formula")
    by_predictor = scale(client, architecture="ghostnet_100", predictor="published-tinynets")

    for answer in (by_rule, by_predictor):
        assert answer["rule"] == "tiny_formula"
        assert "transferred" in [warning["code"] for warning in answer["warnings"]]
    assert by_rule["rule_reason"] is None


def test_own_predictor_with_skill_is_taken(client: TestClient) -> None:
    predictor = fitted(client, 12)
    answer = scale(client, architecture="mobilenetv3_small_050", target={"ratio": 0.6})

    assert answer["rule"] in ("tiny_formula", "surrogate")
    assert predictor["id"] in answer["rule_reason"]
    assert answer["predictor"]["id"] == predictor["id"]


def test_curve_without_skill_stays_on_that_of_dwr(client: TestClient) -> None:
    predictor = fitted(client, 16, d="noise")
    detail = client.get(f"/v1/predictors/{predictor['id']}").json()
    body = {"architecture": "mobilenetv3_small_050", "target": {"ratio": 0.6}}
    answer, dwr = scale(client, **body, rule="tiny_formula"), scale(client, **body, rule="dwr")
    d, d_of_dwr = (found["multipliers"]["d"] - found["moved"]["d"] for found in (answer, dwr))

    assert (detail["skill"]["r"]["proven"], detail["skill"]["d"]["proven"]) == (True, False)
    assert "no_skill" in [warning["code"] for warning in answer["warnings"]]
    assert d == pytest.approx(d_of_dwr, abs=0.002)
    assert answer["multipliers"]["d_sd"] is None


def test_families_take_the_default_rule_too(client: TestClient) -> None:
    body = {"architecture": "ghostnet_100", "targets": [{"ratio": 0.5}, {"ratio": 0.3}]}
    items = client.post("/v1/scale/family", json=body).json()["items"]

    assert [item["rule"] for item in items] == ["dwr", "dwr"]
    assert all(item["rule_reason"] for item in items)


def test_movement_reports_px_blocks_and_width(client: TestClient) -> None:
    moved = scale(client, architecture="resnet50", rule="dwr")["moved"]

    assert moved.keys() == {"resolution", "r", "d", "blocks", "w"}
    assert isinstance(moved["blocks"], int) and isinstance(moved["w"], float)
    assert scale(client, architecture="efficientnet_b0")["moved"]["w"] is None
