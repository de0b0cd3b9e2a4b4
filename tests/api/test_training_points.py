"""The training points of a predictor name the trials that they come from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.core.settings import Settings
from app.core.trials import TrialResult
from app.db.unit_of_work import UnitOfWork
from app.services.predictors import store
from app.services.trials import lifecycle
from tests.support import SMALL, claim_trial

pytestmark = pytest.mark.databases("sqlite", "postgresql")

Open = Callable[[], UnitOfWork]
IMPORTED = [{"r": 0.5 + 0.1 * i, "d": 1.0, "w": 0.5 + 0.1 * i, "accuracy": 0.5 + 0.05 * i} for i in range(4)]
TRAIN = {"dataset": "digits", "recipe": "digits-smoke"}


@pytest.fixture
def study(client: TestClient) -> str:
    """A study with four imported networks."""
    client.post("/v1/architectures", json=SMALL).raise_for_status()
    body = {"name": "points", "architecture": "small", "dataset": "digits", "trials": 1}
    study = client.post("/v1/studies", json=body).json()["id"]
    client.post(f"/v1/studies/{study}/observations", json={"observations": IMPORTED}).raise_for_status()
    return str(study)


@pytest.fixture
def train(client: TestClient, study: str, work: Open, settings: Settings) -> Callable[..., str]:
    """A function that trains a network in the study, and returns the id of its trial."""

    def train(accuracy: float, r: float = 1.2, **more: Any) -> str:
        body = {"architecture": "small", "multipliers": {"r": r, "d": 1.5, "w": 1.2}, "study": study, **TRAIN, **more}
        trial = client.post("/v1/trials", json=body).json()["id"]
        claim = claim_trial(work, trial, settings)
        with work() as unit:
            assert lifecycle.complete(unit, claim, TrialResult(accuracy, 1.0, {}))
        return str(trial)

    return train


def refit(client: TestClient, study: str) -> dict[str, Any]:
    answer = client.post(f"/v1/studies/{study}/predictors")
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def test_point_names_its_trial_and_an_imported_one_has_none(client: TestClient, study: str, train: Any) -> None:
    best = train(0.95)

    made = refit(client, study)

    trials = {point["r"]: point["trial"] for point in made["points"]}
    assert trials == {1.2: best, **{row["r"]: None for row in IMPORTED}}
    assert client.get(f"/v1/predictors/{made['id']}").json()["points"] == made["points"]


def test_point_of_several_seeds_names_the_first_trial(client: TestClient, study: str, train: Any) -> None:
    first = train(0.94, seed=1)
    train(0.96, seed=2)

    (point,) = [point for point in refit(client, study)["points"] if point["r"] == 1.2]

    assert (point["trial"], point["accuracy"]) == (first, pytest.approx(0.95))


def test_point_of_a_deleted_trial_names_none(client: TestClient, study: str, train: Any) -> None:
    best = train(0.95)
    made = refit(client, study)

    assert client.delete(f"/v1/trials/{best}?force=true").status_code == 204

    points = client.get(f"/v1/predictors/{made['id']}").json()["points"]
    assert points == [{**point, "trial": None} for point in made["points"]]


def test_built_in_points_name_no_trial(client: TestClient) -> None:
    for predictor in client.get("/v1/predictors").json()["items"]:
        points = client.get(f"/v1/predictors/{predictor['id']}").json()["points"]
        assert points and {point["trial"] for point in points} == {None}


def test_trials_are_no_part_of_the_fit(client: TestClient, study: str, train: Any, work: Open) -> None:
    train(0.95)
    made = refit(client, study)

    with work() as unit:
        row = store.find(unit, made["id"])
        assert store.load(unit, row).to_json() == row.data
        assert all("trial" not in point for point in row.data["points"])
        row.point_trials = None  # as in a version that an earlier release fitted
        unit.commit()

    points = client.get(f"/v1/predictors/{made['id']}").json()["points"]
    assert [point["trial"] for point in points] == [None] * len(made["points"])
