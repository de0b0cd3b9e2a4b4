"""With `validate_only` a request returns an estimate and starts nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.core.settings import Settings
from app.core.trials import TrialResult
from app.db.unit_of_work import UnitOfWork
from app.services.trials import lifecycle
from tests.support import SMALL

Open = Callable[[], UnitOfWork]
TRIAL: dict[str, Any] = {"architecture": SMALL, "dataset": "digits", "recipe": "digits-smoke"}
STUDY = {**TRIAL, "name": "a study", "trials": 6}
SCALE = {"architecture": SMALL, "target": {"ratio": 0.5}}


def nothing_is_there(client: TestClient) -> bool:
    return not client.get("/v1/trials").json()["items"] and not client.get("/v1/studies").json()["items"]


def test_a_training_is_estimated_and_not_started(client: TestClient) -> None:
    answer = client.post("/v1/trials", json={**TRIAL, "validate_only": True})

    estimate = answer.json()["estimate"]
    assert answer.status_code == 200
    assert 0 < estimate["low"] < estimate["seconds"] < estimate["high"]
    assert "location" not in answer.headers
    assert nothing_is_there(client)


def test_estimate_says_that_nothing_was_trained_yet(client: TestClient) -> None:
    estimate = client.post("/v1/trials", json={**TRIAL, "validate_only": True}).json()["estimate"]

    assert estimate["trainings"] == 0
    assert "Nothing was trained here yet" in estimate["basis"]
    assert estimate["seconds"] > estimate["first_use_seconds"] > 0
    assert estimate["high"] > 50 * (estimate["seconds"] - estimate["first_use_seconds"])


def test_estimate_says_how_many_trainings_it_is_based_on(client: TestClient, work: Open, settings: Settings) -> None:
    client.post("/v1/trials", json=TRIAL)
    with work() as unit:
        claim = lifecycle.claim(unit, "a worker", settings)
        assert claim is not None
        lifecycle.complete(unit, claim, TrialResult(0.5, 60, {}, images_per_second=1000.0))
    estimate = client.post("/v1/trials", json={**TRIAL, "seed": 1, "validate_only": True}).json()["estimate"]

    assert estimate["basis"] == "Based on 1 completed training."


def test_more_epochs_take_longer(client: TestClient) -> None:
    def seconds(epochs: int) -> float:
        body = {**TRIAL, "recipe": {"epochs": epochs}, "validate_only": True}
        estimate = client.post("/v1/trials", json=body).json()["estimate"]
        return estimate["seconds"] - estimate["first_use_seconds"]

    assert seconds(40) == pytest.approx(4 * seconds(10))


def test_study_estimate_is_sum_of_trial_estimates(client: TestClient) -> None:
    one = client.post("/v1/trials", json={**TRIAL, "validate_only": True}).json()["estimate"]

    answer = client.post("/v1/studies", json={**STUDY, "validate_only": True})

    assert answer.status_code == 200
    whole = answer.json()["estimate"]
    alone, together = (each["seconds"] - each["first_use_seconds"] for each in (one, whole))
    assert whole["first_use_seconds"] == one["first_use_seconds"] > 0
    assert 2 * alone < together < 12 * alone
    assert nothing_is_there(client)


def test_scaling_tells_what_training_its_answer_would_take(client: TestClient) -> None:
    train = {"dataset": "digits", "recipe": "digits-smoke", "validate_only": True}

    answer = client.post("/v1/scale", json={**SCALE, "train": train})

    assert answer.status_code == 200
    assert answer.json()["estimate"]["seconds"] > 0
    assert answer.json()["trial"] is None
    assert nothing_is_there(client)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/trials", {**TRIAL, "dataset": "no-such"}),
        ("/v1/studies", {**STUDY, "space": {"r": [1, 1], "d": [1, 1], "w": [1, 1]}, "trials": 50}),
    ],
)
def test_what_could_not_be_started_is_no_estimate(client: TestClient, path: str, body: dict[str, Any]) -> None:
    assert client.post(path, json={**body, "validate_only": True}).status_code == 422


def test_estimate_error_is_recorded_when_trial_ends(client: TestClient, work: Open, settings: Settings) -> None:
    trial = client.post("/v1/trials", json=TRIAL).json()
    estimate = client.post("/v1/trials", json={**TRIAL, "validate_only": True}).json()["estimate"]
    estimated = estimate["seconds"] - estimate["first_use_seconds"]
    with work() as unit:
        claim = lifecycle.claim(unit, "a worker", settings)
        assert claim is not None
        lifecycle.complete(unit, claim, TrialResult(0.5, 2 * estimated, {}))

    ended = client.get(f"/v1/trials/{trial['id']}").json()["result"]["estimate"]

    assert ended["seconds"] == pytest.approx(estimated, abs=1e-3)
    assert ended["error"] == pytest.approx(-0.5, abs=0.01)


@pytest.mark.parametrize(("epochs", "least", "most"), [(1, 1, 59), (1000, 60, 60)])
def test_response_has_retry_after(client: TestClient, epochs: int, least: int, most: int) -> None:
    body = {**TRIAL, "recipe": {"epochs": epochs, "batch_size": 64}}
    estimate = client.post("/v1/trials", json={**body, "validate_only": True}).json()["estimate"]
    estimated = estimate["seconds"] - estimate["first_use_seconds"]

    answer = client.post("/v1/trials", json=body)

    assert int(answer.headers["retry-after"]) == math.ceil(min(60, max(1, estimated)))
    assert least <= int(answer.headers["retry-after"]) <= most
