"""Responses whose JSON is described but not validated by the service conform to the spec."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from fastapi.testclient import TestClient

from app.core.settings import Settings
from app.core.trials import EstimateError, Latency, ReadingProgress, RungAccuracy, TrainingProgress, TrialResult
from app.db.unit_of_work import UnitOfWork
from app.services.trials import lifecycle
from tests.support import SMALL, claim_trial

Open = Callable[[], UnitOfWork]
TRAIN = {"dataset": "digits", "recipe": {"epochs": 2, "batch_size": 64}}
RESULT = TrialResult(
    accuracy=0.7,
    seconds=1.0,
    environment={"torch": "2"},
    metric="accuracy",
    score={"accuracy": 0.7, "loss": 1.0},
    test={"accuracy": 0.6},
    weights="raw",
    history=[{"epoch": 1, "validation_accuracy": 0.7}],
    latency=Latency(1.5, 2.0, 700, 1, 1, "onnxruntime"),
    operators=["Conv"],
    estimate=EstimateError(2.0, 0.5),
)
ROWS = [
    {"r": 0.6 + 0.8 * s, "d": 0.6 + s, "w": 0.5 + 0.8 * s, "accuracy": 0.5 + 0.3 * s**0.5}
    for s in (i / 11 for i in range(12))
]


class CheckedClient:
    """Sends requests and checks every response against the spec."""

    def __init__(self, client: TestClient) -> None:
        self._client = client
        self._schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())

    def get(self, template: str, **parameters: str) -> Any:
        response = self._client.get(template.format(**parameters))
        self._schema[template]["GET"].validate_response(response)
        return response.json()

    def post(self, template: str, body: Any = None, **parameters: str) -> Any:
        response = self._client.post(template.format(**parameters), json=body)
        self._schema[template]["POST"].validate_response(response)
        assert response.is_success, response.text
        return response.json()


@pytest.fixture
def checked(client: TestClient) -> CheckedClient:
    return CheckedClient(client)


@pytest.fixture
def study(checked: CheckedClient) -> str:
    checked.post("/v1/architectures", SMALL)
    body = {
        "name": "a study",
        "architecture": "small",
        **TRAIN,
        "trials": 2,
        "space": {"ratio": [0.05, 3]},
        "halving": {"eta": 2},
    }
    study = str(checked.post("/v1/studies", body)["id"])
    checked.post("/v1/studies/{id}/observations", {"observations": ROWS}, id=study)
    checked.post("/v1/studies/{id}/predictors", {"activate": "gate"}, id=study)
    return study


def test_trial_responses_conform_to_the_spec_from_queue_to_result(
    checked: CheckedClient, study: str, work: Open, settings: Settings
) -> None:
    body = {"architecture": "small", "target": {"ratio": 0.7}, "train": TRAIN, "rule": "surrogate"}
    trial = checked.post("/v1/scale", body)["trial"]["id"]
    claim = claim_trial(work, trial, settings)
    for progress in (ReadingProgress(1, 2), TrainingProgress(1, 2, 3, 4, 0.5, 0.6, 100.0, 1.0)):
        with work() as unit:
            lifecycle.report(unit, claim, progress)
        assert checked.get("/v1/trials/{id}", id=trial)["progress"]["phase"] == progress.phase
    with work() as unit:
        unit.trials.update_if(trial, ("running",), {"rungs": (RungAccuracy(1, 0.6),)})
        unit.commit()
    with work() as unit:
        lifecycle.complete(unit, claim, RESULT)

    completed = checked.get("/v1/trials/{id}", id=trial)

    assert completed["result"]["test_accuracy"] == 0.6
    assert completed["predicted"]["predictor"]
    assert checked.get("/v1/trials")["items"]


def test_study_and_predictor_responses_conform_to_the_spec(checked: CheckedClient, study: str) -> None:
    checked.get("/v1/studies/{id}", id=study)
    suggestion = checked.post("/v1/studies/{id}/ask", {}, id=study)["items"][0]
    result = {"suggestion": suggestion["id"], "accuracy": 0.5, "metrics": {"f1": 0.4}}
    assert checked.post("/v1/studies/{id}/tell", result, id=study)["suggestion"]["reported"]["metrics"] == {"f1": 0.4}
    family = {"targets": [{"ratio": 0.5}], "rules": ["tiny_formula"]}
    assert checked.post("/v1/studies/{id}/family", family, id=study)["items"][0]["config"]
    for predictor in checked.get("/v1/predictors")["items"]:
        assert checked.get("/v1/predictors/{id}", id=predictor["id"])["quality"]["r"]
