"""A study's family, refits with the gate, and versions of predictors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.core.settings import Settings
from app.core.trials import Latency, TrialResult
from app.db.unit_of_work import UnitOfWork
from app.services.trials import lifecycle
from tests.support import SMALL, claim_trial

Open = Callable[[], UnitOfWork]
LATENCY = Latency(1.5, 2.0, 700, 1, 1, "onnxruntime")


def rows(n: int, shift: float = 0.0) -> list[dict[str, float]]:
    steps = [i / (n - 1) for i in range(n)]
    return [
        {"r": 0.6 + 0.8 * s + shift, "d": 0.6 + s, "w": 0.5 + 0.8 * s, "accuracy": 0.5 + 0.3 * s**0.5} for s in steps
    ]


@pytest.fixture
def study(client: TestClient) -> str:
    assert client.post("/v1/architectures", json=SMALL).status_code == 201
    body = {
        "name": "a study",
        "architecture": "small",
        "dataset": "digits",
        "recipe": {"epochs": 2, "batch_size": 64},
        "trials": 2,
        "space": {"ratio": [0.05, 3]},
    }
    answer = client.post("/v1/studies", json=body)
    client.post(f"/v1/studies/{answer.json()['id']}/observations", json={"observations": rows(12)})
    return str(answer.json()["id"])


def finish(work: Open, settings: Settings, trial: str, accuracy: float) -> None:
    claim = claim_trial(work, trial, settings)
    with work() as unit:
        assert lifecycle.complete(unit, claim, TrialResult(accuracy, 1.0, {"torch": "2"}, latency=LATENCY))


def test_family_is_trained_and_tabulated(client: TestClient, study: str, work: Open, settings: Settings) -> None:
    client.post(f"/v1/studies/{study}/predictors")
    body = {
        "targets": [{"ratio": 0.5}, {"ratio": 1.0}],
        "rules": ["tiny_formula", "compound"],
        "recipes": ["same", "randaugment"],
        "seeds": 2,
    }

    answer = client.post(f"/v1/studies/{study}/family", json=body)

    assert answer.status_code == 202, answer.text
    items = answer.json()["items"]
    assert len(items) == 8
    assert client.post(f"/v1/studies/{study}/family", json=body).json()["items"] == items
    mine = next(item for item in items if (item["rule"], item["recipe"]) == ("tiny_formula", "same"))
    for trial, accuracy in zip(mine["trials"], (0.7, 0.8), strict=True):
        finish(work, settings, trial["id"], accuracy)
    table = client.get(f"/v1/studies/{study}/family").json()["items"]
    done = next(item for item in table if item["accuracies"])
    assert (done["mean"], done["sd"]) == (pytest.approx(0.75), pytest.approx(0.0707, abs=1e-4))
    assert done["latency_ms"] == 1.5
    assert done["predicted_accuracy"]["mean"] == pytest.approx(0.7, abs=0.1)
    figure = client.get(f"/v1/studies/{study}/figures/family.csv").text
    assert sum(line.startswith("tiny_formula") for line in figure.splitlines()) == 1


def test_randaugment_recipe_differs_and_results_do_not_count(
    client: TestClient, study: str, work: Open, settings: Settings
) -> None:
    client.post(f"/v1/studies/{study}/predictors")
    body = {"targets": [{"ratio": 0.5}], "rules": ["tiny_formula"], "recipes": ["randaugment"]}
    (item,) = client.post(f"/v1/studies/{study}/family", json=body).json()["items"]
    (trial,) = item["trials"]

    assert client.get(f"/v1/trials/{trial['id']}").json()["recipe"]["randaugment"] == 9
    finish(work, settings, trial["id"], 0.99)
    front = client.get(f"/v1/studies/{study}/front").json()["items"]
    assert 0.99 not in [network["accuracy"] for network in front]
    roles = [o["role"] for o in client.get(f"/v1/studies/{study}/observations").json()["items"]]
    assert roles == ["import"] * 12 + ["family"]


def test_rule_without_answer_is_explained(client: TestClient, study: str) -> None:
    client.post(f"/v1/studies/{study}/predictors")
    body = {"targets": [{"ratio": 900}], "rules": ["width", "depth"]}

    items = client.post(f"/v1/studies/{study}/family", json=body).json()["items"]

    assert all("cannot be met" in item["problem"] and item["trials"] == [] for item in items)


def test_without_a_predictor_there_is_no_family(client: TestClient, study: str) -> None:
    answer = client.post(f"/v1/studies/{study}/family", json={"targets": [{"ratio": 0.5}]})

    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/conflict")


def test_gate_decides_on_request_and_gives_reason(client: TestClient, study: str) -> None:
    first = client.post(f"/v1/studies/{study}/predictors", json={"activate": "gate"}).json()
    again = client.post(f"/v1/studies/{study}/predictors", json={"activate": "gate"}).json()

    assert (first["active"], first["gate"]["promoted"]) == (True, True), first["gate"]
    assert (again["active"], again["gate"]["promoted"]) == (False, False)
    assert "nothing new" in again["gate"]["reason"]
    assert [check["name"] for check in again["gate"]["checks"]] == ["points", "coverage", "skill", "error"]


def test_fitted_study_predicts_accuracy_for_every_rule(client: TestClient, study: str) -> None:
    client.post(f"/v1/studies/{study}/predictors", json={"activate": True})

    body = {"architecture": "small", "target": {"ratio": 0.6}}
    items = client.post("/v1/compare", json={**body, "multipliers": {"r": 1, "d": 1}}).json()["items"]

    answers = {item["rule"]: item["answer"] for item in items if item["answer"]}
    assert {"tiny_formula", "surrogate", "compound", "manual"} <= set(answers)
    for answer in answers.values():
        assert answer["predicted_accuracy"]["dataset"] == "digits"
        assert answer["predictor"]["id"] == "small.digits.v1"
    best = answers["surrogate"]["predicted_accuracy"]
    assert best["mean"] >= answers["compound"]["predicted_accuracy"]["mean"] - best["sd"]


def test_an_old_answer_is_replayed_by_version(client: TestClient, study: str) -> None:
    body = {"architecture": "small", "target": {"ratio": 0.6}}
    first = client.post(f"/v1/studies/{study}/predictors", json={"activate": True}).json()["id"]
    before = client.post("/v1/scale", json=body).json()
    client.post(f"/v1/studies/{study}/observations", json={"observations": rows(10, 0.2)})
    second = client.post(f"/v1/studies/{study}/predictors", json={"activate": True}).json()["id"]

    assert client.post("/v1/scale", json=body).json() != before
    assert client.post("/v1/scale", json={**body, "predictor": first}).json() == before
    assert client.post("/v1/scale", json={**body, "predictor": second, "version": 1}).json() == before


@pytest.mark.parametrize(
    ("asked", "status"), [({"predictor": "published-tinynets", "version": 99}, 404), ({"version": 1}, 422)]
)
def test_unknown_predictor_version_is_refused(client: TestClient, asked: dict[str, Any], status: int) -> None:
    answer = client.post("/v1/scale", json={"architecture": "efficientnet_b0", "target": {"ratio": 0.6}, **asked})

    assert answer.status_code == status


def test_predictor_calibration_compares_with_measurements(
    client: TestClient, study: str, work: Open, settings: Settings
) -> None:
    predictor = client.post(f"/v1/studies/{study}/predictors", json={"activate": True}).json()["id"]
    train = {"dataset": "digits", "recipe": {"epochs": 2, "batch_size": 64}}
    scaled = client.post("/v1/scale", json={"architecture": "small", "target": {"ratio": 0.7}, "train": train}).json()

    mean = scaled["trial"]["predicted"]["mean"]
    finish(work, settings, scaled["trial"]["id"], mean + 2.5 * scaled["trial"]["predicted"]["sd"])

    found = client.get(f"/v1/predictors/{predictor}/calibration").json()
    assert (found["trials"], found["coverage_50"], found["coverage_90"]) == (1, 0.0, 0.0)
    assert found["items"][0]["trial"] == scaled["trial"]["id"]
