"""A network is one network however it was requested: as a config, by multipliers, or from another baseline."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.core.settings import Settings
from app.core.trials import TrialResult
from app.db.unit_of_work import UnitOfWork
from app.services.trials import lifecycle
from tests.support import SMALL, claim_trial

Open = Callable[[], UnitOfWork]
MULTIPLIERS = {"r": 0.8, "d": 1.0, "w": 0.9}
ANSWERED = {**MULTIPLIERS, "w_stages": None}


@pytest.fixture
def study(client: TestClient) -> str:
    return create_study(client, SMALL)


@pytest.fixture
def complete(work: Open, settings: Settings) -> Callable[[str], None]:
    """Return a function that completes a trial."""

    def complete(trial: str) -> None:
        claim = claim_trial(work, trial, settings)
        with work() as unit:
            assert lifecycle.complete(unit, claim, TrialResult(0.7, 1.0, {}))

    return complete


def create_study(api: TestClient, architecture: Any) -> str:
    body = {"name": "a study", "architecture": architecture, "dataset": "digits", "trials": 2, "recipe": "digits-smoke"}
    answer = api.post("/v1/studies", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def request_trial(api: TestClient, **body: Any) -> dict[str, Any]:
    answer = api.post("/v1/trials", json={"dataset": "digits", "recipe": "digits-smoke", **body})
    assert answer.status_code in (200, 202), answer.text
    return dict(answer.json())


def config_of(api: TestClient, **network: Any) -> dict[str, Any]:
    return dict(api.post("/v1/cost", json={"architecture": SMALL, **network}).json()["config"])


def is_on_front(api: TestClient, study: str, trial: str) -> bool:
    return trial in [item["trial"] for item in api.get(f"/v1/studies/{study}/front").json()["items"]]


def exported(api: TestClient, study: str) -> list[dict[str, str]]:
    answer = api.get(f"/v1/studies/{study}/observations", headers={"Accept": "text/csv"})
    return list(csv.DictReader(io.StringIO(answer.text)))


@pytest.mark.parametrize("is_complete", [True, False])
def test_network_trained_as_config_has_multipliers_in_a_study(
    is_complete: bool, client: TestClient, study: str, complete: Callable[[str], None]
) -> None:
    trial = request_trial(client, config=config_of(client, multipliers=MULTIPLIERS))
    assert trial["multipliers"] is None
    if is_complete:
        complete(trial["id"])

    again = request_trial(client, architecture=SMALL, multipliers=MULTIPLIERS, study=study)

    assert (again["id"], again["multipliers"], again["architecture"]) == (trial["id"], ANSWERED, "small")
    if not is_complete:
        complete(trial["id"])
    assert is_on_front(client, study, trial["id"])
    (row,) = exported(client, study)
    assert {name: float(row[name]) for name in "rdw"} == MULTIPLIERS
    (observation,) = client.get(f"/v1/studies/{study}/observations").json()["items"]
    assert observation["ratio"] == pytest.approx(again["ratio"])


def test_config_requested_within_a_study_has_its_multipliers(
    client: TestClient, study: str, complete: Callable[[str], None]
) -> None:
    trial = request_trial(client, config=config_of(client, multipliers=MULTIPLIERS), study=study)
    complete(trial["id"])

    (listed,) = client.get("/v1/trials", params={"study": study}).json()["items"]
    assert config_of(client, multipliers=listed["multipliers"]) == config_of(client, multipliers=MULTIPLIERS)
    assert is_on_front(client, study, trial["id"])


def test_multipliers_are_relative_to_the_baseline_of_each_study(
    client: TestClient, complete: Callable[[str], None]
) -> None:
    """A baseline of twice the resolution has the same network at half of r."""
    doubled = {**SMALL, "name": "doubled", "baseline": {**SMALL["baseline"], "resolution": 32}}
    first, second = create_study(client, SMALL), create_study(client, doubled)
    trial = request_trial(client, architecture=SMALL, multipliers={"r": 1, "d": 1, "w": 1}, study=first)
    complete(trial["id"])
    again = request_trial(client, architecture=doubled, multipliers={"r": 0.5, "d": 1, "w": 1}, study=second)

    assert again["id"] == trial["id"]
    for study, r in ((first, 1), (second, 0.5)):
        (listed,) = client.get("/v1/trials", params={"study": study}).json()["items"]
        (network,) = client.get(f"/v1/studies/{study}/front").json()["items"]
        assert (listed["multipliers"]["r"], network["r"], listed["ratio"]) == (r, r, pytest.approx(network["c"]))


def test_trial_names_the_studies_it_belongs_to(client: TestClient, study: str) -> None:
    alone = request_trial(client, architecture=SMALL, multipliers=MULTIPLIERS)
    assert alone["studies"] == []
    request_trial(client, architecture=SMALL, multipliers=MULTIPLIERS, study=study)
    second = create_study(client, SMALL)

    shared = request_trial(client, architecture=SMALL, multipliers=MULTIPLIERS, study=second)

    assert shared["id"] == alone["id"]
    assert client.get(f"/v1/trials/{alone['id']}").json()["studies"] == [study, second]
