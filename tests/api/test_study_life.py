"""Studies are counted, found by name, renamed, archived and deleted."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from app.core.settings import Settings
from app.core.trials import TrialResult
from app.db.unit_of_work import UnitOfWork
from app.services.trials import lifecycle
from tests.support import SMALL, claim_trial

pytestmark = pytest.mark.databases("sqlite", "postgresql")

Open = Callable[[], UnitOfWork]
SPACE = {"ratio": [0.05, 2]}


def create(api: TestClient, name: str = "a study", **more: Any) -> Any:
    body = {"name": name, "architecture": SMALL, "dataset": "digits", "trials": 2, "space": SPACE} | more
    return api.post("/v1/studies", json=body)


def read(api: TestClient, study: str) -> dict[str, Any]:
    return dict(api.get(f"/v1/studies/{study}").json())


def test_study_counts_suggestions_and_observations(client: TestClient) -> None:
    study = create(client).json()["id"]
    assert read(client, study)["best"] is None
    path = f"/v1/studies/{study}"
    suggestions = client.post(f"{path}/ask", json={"n": 4}).json()["items"]
    for suggestion, accuracy in zip(suggestions[:2], (0.6, 0.7), strict=True):
        client.post(f"{path}/tell", json={"suggestion": suggestion["id"], "accuracy": accuracy})
    client.post(f"{path}/tell", json={"suggestion": suggestions[2]["id"], "infeasible": "no memory"})
    client.post(f"{path}/observations", json={"observations": [{"r": 1, "d": 1, "w": 1, "accuracy": 0.9}]})

    found = read(client, study)
    assert found["counts"] == {
        "observations": 3, "suggestions_open": 1, "suggestions_answered": 3, "trials": {},
    }  # fmt: skip
    assert (found["best"]["accuracy"], found["best"]["r"], found["best"]["resolution"]) == (0.9, 1, 16)
    (listed,) = client.get("/v1/studies").json()["items"]
    assert listed["counts"] == found["counts"]

    client.post(f"{path}/observations/{found['best']['observation']}/retract", json={"reason": "wrong"})
    found = read(client, study)
    assert (found["counts"]["observations"], found["best"]["accuracy"]) == (2, 0.7)
    assert found["best"]["flops"] == suggestions[1]["flops"]


def test_existing_study_is_loaded_by_name(client: TestClient) -> None:
    first = create(client, "mine", load_if_exists=True)
    again = create(client, "mine", load_if_exists=True, trials=5)
    other = create(client, "mine", load_if_exists=True, architecture="tinynet_e")

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert (other.status_code, other.json()["type"]) == (409, "/problems/conflict")
    assert create(client, "mine").json()["id"] != first.json()["id"]


def test_clients_that_load_a_study_at_once_get_the_same(client: TestClient) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: create(client, "shared", load_if_exists=True).json()["id"], range(8)))

    assert set(found) == {found[0]}


def test_study_is_renamed_described_and_archived(client: TestClient) -> None:
    study = create(client).json()["id"]

    renamed = client.patch(f"/v1/studies/{study}", json={"name": "another", "description": "A sweep."}).json()
    archived = client.patch(f"/v1/studies/{study}", json={"archived": True}).json()

    assert (renamed["name"], renamed["description"], renamed["archived_at"]) == ("another", "A sweep.", None)
    assert (archived["name"], archived["archived_at"] is None) == ("another", False)
    assert client.get("/v1/studies").json()["items"] == []
    assert [s["id"] for s in client.get("/v1/studies", params={"archived": True}).json()["items"]] == [study]
    assert create(client, "another", load_if_exists=True).status_code == 201
    assert client.patch(f"/v1/studies/{study}", json={"archived": False}).json()["archived_at"] is None
    assert client.patch(f"/v1/studies/{'0' * 32}", json={"name": "x"}).status_code == 404


def test_empty_study_is_deleted_at_once(client: TestClient) -> None:
    study = create(client).json()["id"]

    assert client.delete(f"/v1/studies/{study}").status_code == 204
    assert client.get(f"/v1/studies/{study}").status_code == 404
    assert client.delete(f"/v1/studies/{study}").status_code == 404


def test_study_with_dependents_is_deleted_only_with_cascade(client: TestClient, work: Open, settings: Settings) -> None:
    study = create(client).json()["id"]
    path = f"/v1/studies/{study}"
    client.post(f"{path}/start")
    trials = [trial["id"] for trial in client.get("/v1/trials", params={"study": study}).json()["items"]]
    claim = claim_trial(work, trials[0], settings)
    with work() as unit:
        assert lifecycle.complete(unit, claim, TrialResult(0.7, 1.0, {}))
    (suggestion,) = client.post(f"{path}/ask", json={"n": 1}).json()["items"]
    rows = [{"r": 0.5 + 0.1 * i, "d": 1, "w": 0.5 + 0.1 * i, "accuracy": 0.5 + 0.02 * i} for i in range(6)]
    client.post(f"{path}/observations", json={"observations": rows})
    predictor = client.post(f"{path}/predictors").json()["id"]

    refused = client.delete(path)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/conflict")
    dependents = refused.json()["dependents"]
    assert (dependents["predictors"], dependents["trials"]) == ([predictor], trials[1:])
    assert (dependents["suggestions"], len(dependents["observations"])) == ([suggestion["id"]], 6)
    assert "force=true" in refused.json()["detail"]

    assert client.delete(path, params={"force": True}).status_code == 204
    assert client.get(path).status_code == 404
    assert client.get(f"/v1/predictors/{predictor}").json()["study_id"] is None
    assert [client.get(f"/v1/trials/{id}").json()["state"] for id in trials] == ["completed", "cancelled"]


def test_trial_of_a_study_is_deleted_only_with_force(client: TestClient, work: Open, settings: Settings) -> None:
    study = create(client).json()["id"]
    client.post(f"/v1/studies/{study}/start")
    trial = client.get("/v1/trials", params={"study": study}).json()["items"][0]["id"]
    assert client.delete(f"/v1/trials/{trial}", params={"force": True}).status_code == 409  # it has not ended
    claim = claim_trial(work, trial, settings)
    with work() as unit:
        assert lifecycle.complete(unit, claim, TrialResult(0.7, 1.0, {}))
    (settings.data_dir / "trials" / trial / "artifacts").mkdir(parents=True)
    assert len(client.get(f"/v1/studies/{study}/front").json()["items"]) == 1

    refused = client.delete(f"/v1/trials/{trial}")
    assert (refused.status_code, refused.json()["dependents"]) == (409, {"studies": [study]})
    assert client.delete(f"/v1/trials/{trial}", params={"force": True}).status_code == 204

    assert client.get(f"/v1/trials/{trial}").status_code == 404
    assert client.get(f"/v1/studies/{study}/front").json()["items"] == []
    assert not (settings.data_dir / "trials" / trial).exists()


def test_registered_baseline_with_studies_is_deleted_only_with_force(client: TestClient) -> None:
    client.post("/v1/architectures", json=SMALL)
    study = create(client, architecture="small").json()["id"]

    refused = client.delete("/v1/architectures/small")
    assert (refused.status_code, refused.json()["dependents"]) == (409, {"studies": [study]})
    assert client.delete("/v1/architectures/small", params={"force": True}).status_code == 204

    assert client.get("/v1/architectures/small").status_code == 404
    assert create(client, "another", architecture="small").status_code == 404
    assert len(client.post(f"/v1/studies/{study}/ask", json={"n": 2}).json()["items"]) == 2
    assert client.delete("/v1/architectures/efficientnet_b0").status_code == 409
    assert client.delete("/v1/architectures/small").status_code == 404


def test_active_predictor_is_deactivated(client: TestClient) -> None:
    study = create(client).json()["id"]
    rows = [{"r": 0.5 + 0.1 * i, "d": 1, "w": 0.5 + 0.1 * i, "accuracy": 0.5 + 0.02 * i} for i in range(6)]
    client.post(f"/v1/studies/{study}/observations", json={"observations": rows})
    predictor = client.post(f"/v1/studies/{study}/predictors", json={"activate": True}).json()["id"]
    body = {"architecture": SMALL, "target": {"ratio": 0.5}, "rule": "tiny_formula"}
    assert client.post("/v1/scale", json=body).json()["predictor"]["id"] == predictor

    answer = client.post(f"/v1/predictors/{predictor}/deactivate")

    assert (answer.status_code, answer.json()["active"]) == (200, False)
    assert client.post("/v1/scale", json=body).json()["predictor"]["id"] == "published-tinynets"
    assert client.post(f"/v1/predictors/{predictor}/activate").json()["active"] is True
    assert client.post("/v1/scale", json=body).json()["predictor"]["id"] == predictor


def test_registered_data_set_in_use_is_deleted_only_with_force(client: TestClient, settings: Settings) -> None:
    for split, images in (("train", 8), ("test", 6)):
        for name in ("a", "b"):
            folder = settings.data_dir / "datasets" / "mine" / split / name
            folder.mkdir(parents=True)
            for i in range(images):
                Image.new("RGB", (16, 16), (30 * i, 60 if name == "a" else 200, images)).save(folder / f"{i}.png")
    registered = client.post("/v1/datasets", json={"name": "mine", "folder": "mine", "native_px": 16})
    assert registered.status_code == 201, registered.text
    study = create(client, dataset="mine").json()["id"]
    client.post(f"/v1/studies/{study}/start")

    active = client.delete("/v1/datasets/mine", params={"force": True})
    assert (active.status_code, active.json()["dependents"]["studies"]) == (409, [study])
    client.post(f"/v1/studies/{study}/cancel")
    ended = client.delete("/v1/datasets/mine")
    assert (ended.status_code, ended.json()["dependents"]) == (409, {"studies": [study]})
    assert client.delete("/v1/datasets/mine", params={"force": True}).status_code == 204

    assert "mine" not in [dataset["name"] for dataset in client.get("/v1/datasets").json()["items"]]
    assert read(client, study)["dataset"] == "mine"
    assert client.delete("/v1/datasets/digits").status_code == 409
    assert client.delete("/v1/datasets/mine").status_code == 404
