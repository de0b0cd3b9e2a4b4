"""Studies, trials, data sets, baselines and predictors are renamed, archived and deleted in the same way."""

from __future__ import annotations

from collections.abc import Callable
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
MULTIPLIERS = {"r": 1, "d": 1, "w": 1}
ROWS = [{"r": 0.5 + 0.1 * i, "d": 1, "w": 0.5 + 0.1 * i, "accuracy": 0.5 + 0.02 * i} for i in range(6)]


def add_images(settings: Settings, images: int = 8) -> None:
    for split in ("train", "test"):
        for name in ("a", "b"):
            folder = settings.data_dir / "datasets" / "mine" / split / name
            folder.mkdir(parents=True, exist_ok=True)
            for i in range(images):
                Image.new("RGB", (16, 16), (20 * i, 60 if name == "a" else 200, 7)).save(folder / f"{i}.png")


@pytest.fixture
def registered(client: TestClient, settings: Settings) -> None:
    """The baseline `small` and the data set `mine`."""
    add_images(settings)
    for path, body in (
        ("architectures", SMALL),
        ("datasets", {"name": "mine", "folder": "mine", "native_px": 16}),
    ):
        answer = client.post(f"/v1/{path}", json=body)
        assert answer.status_code == 201, answer.text


def train(api: TestClient, dataset: str = "mine", architecture: str = "small", **more: Any) -> Any:
    body = {"architecture": architecture, "dataset": dataset, "multipliers": MULTIPLIERS, **more}
    return api.post("/v1/trials", json=body)


def create_study(api: TestClient, dataset: str = "mine", architecture: str = "small", **more: Any) -> Any:
    body = {"name": "a study", "architecture": architecture, "dataset": dataset, "trials": 1, **more}
    return api.post("/v1/studies", json={"space": {"ratio": [0.05, 2]}, **body})


def complete(work: Open, settings: Settings, trial: str) -> None:
    claim = claim_trial(work, trial, settings)
    with work() as unit:
        assert lifecycle.complete(unit, claim, TrialResult(0.7, 1.0, {}))


def fit(api: TestClient, study: str, **options: Any) -> str:
    api.post(f"/v1/studies/{study}/observations", json={"observations": ROWS})
    answer = api.post(f"/v1/studies/{study}/predictors", json=options)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def read(api: TestClient, path: str) -> dict[str, Any]:
    answer = api.get(path)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def predictor_in_use(api: TestClient, architecture: str = "small", **more: Any) -> str:
    body = {"architecture": architecture, "target": {"ratio": 0.5}, "rule": "tiny_formula", **more}
    answer = api.post("/v1/scale", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["predictor"]["id"])


def resources(api: TestClient) -> list[str]:
    """Return the paths of one resource of each kind."""
    trial = train(api).json()["id"]
    study = create_study(api).json()["id"]
    predictor = fit(api, study)
    return [
        f"/v1/studies/{study}", f"/v1/trials/{trial}", f"/v1/predictors/{predictor}", "/v1/architectures/small",
        "/v1/datasets/mine",
    ]  # fmt: skip


@pytest.mark.usefixtures("registered")
def test_each_resource_is_named_described_and_archived(client: TestClient) -> None:
    for path in resources(client):
        collection, _, key = path.rpartition("/")
        changed = client.patch(path, json={"name": "another", "description": "Why it exists."}).json()
        assert (changed["name"], changed["description"], changed["archived_at"]) == ("another", "Why it exists.", None)

        etag = client.get(path).headers["ETag"]
        assert client.patch(path, json={"archived": True}, headers={"If-Match": etag}).status_code == 200, path
        stale = client.patch(path, json={"name": "late"}, headers={"If-Match": etag})
        assert (stale.status_code, stale.json()["type"]) == (412, "/problems/precondition-failed")
        listed, archived = (
            [item.get("id", item["name"]) for item in client.get(collection, params=query).json()["items"]]
            for query in ({}, {"archived": True})
        )
        key = "another" if key in ("small", "mine") else key
        assert key not in listed
        assert key in archived
        again = client.patch(path, json={"archived": False, "description": ""}).json()
        assert again["archived_at"] is None and again["description"] != "Why it exists."


@pytest.mark.usefixtures("registered")
def test_archived_resources_take_no_new_work(client: TestClient, work: Open, settings: Settings) -> None:
    study = create_study(client).json()["id"]
    predictor = fit(client, study, activate=True)
    trial = train(client).json()["id"]
    client.post(f"/v1/trials/{trial}/cancel")

    def refused(answer: Any) -> None:
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/conflict"), answer.text
        assert "archived" in answer.json()["detail"]

    for path in ("datasets/mine", "architectures/small"):
        assert client.patch(f"/v1/{path}", json={"archived": True}).status_code == 200
        refused(train(client, seed=1))
        refused(create_study(client))
        body = {"architecture": "small", "target": {"ratio": 0.5}, "train": {"dataset": "mine"}}
        refused(client.post("/v1/scale", json=body))
        assert predictor_in_use(client) == predictor
        client.patch(f"/v1/{path}", json={"archived": False})
    client.patch("/v1/datasets/mine", json={"archived": True})
    refused(client.post(f"/v1/studies/{study}/start"))
    client.patch("/v1/datasets/mine", json={"archived": False})

    client.patch(f"/v1/studies/{study}", json={"archived": True})
    refused(client.post(f"/v1/studies/{study}/start"))
    refused(client.post(f"/v1/studies/{study}/ask", json={}))
    refused(train(client, study=study, seed=2))
    refused(client.post(f"/v1/studies/{study}/family", json={"targets": [{"ratio": 0.5}], "rules": ["tiny_formula"]}))

    client.patch(f"/v1/trials/{trial}", json={"archived": True})
    refused(client.post(f"/v1/trials/{trial}/retry"))

    active = client.patch(f"/v1/predictors/{predictor}", json={"archived": True})
    assert (active.status_code, "deactivate" in active.json()["detail"]) == (409, True)
    client.post(f"/v1/predictors/{predictor}/deactivate")
    client.patch(f"/v1/predictors/{predictor}", json={"archived": True})
    refused(client.post(f"/v1/predictors/{predictor}/activate"))
    refused(client.post("/v1/scale", json={"architecture": "small", "target": {"ratio": 0.5}, "predictor": predictor}))
    assert predictor_in_use(client) == "published-tinynets"


@pytest.mark.usefixtures("registered")
def test_rename_keeps_what_was_trained_and_the_former_names(client: TestClient, work: Open, settings: Settings) -> None:
    study = create_study(client).json()["id"]
    predictor = fit(client, study, activate=True)
    trial, failed = (train(client, seed=seed).json()["id"] for seed in (0, 1))
    complete(work, settings, trial)
    client.post(f"/v1/trials/{failed}/cancel")

    renamed = client.patch("/v1/datasets/mine", json={"name": "pets"})
    assert (renamed.status_code, renamed.json()["name"]) == (200, "pets")
    assert client.patch("/v1/architectures/small", json={"name": "tiny"}).json()["name"] == "tiny"

    for path in (f"studies/{study}", f"trials/{trial}", f"trials/{failed}", f"predictors/{predictor}"):
        found = read(client, f"/v1/{path}")
        assert (found["architecture"], found["dataset"]) == ("tiny", "pets"), path
    assert read(client, f"/v1/studies/{study}")["spec"]["name"] == "tiny"
    for architecture, dataset in (("tiny", "pets"), ("small", "mine")):
        again = train(client, dataset, architecture)
        assert (again.status_code, again.json()["id"]) == (200, trial)
        assert predictor_in_use(client, architecture, dataset=dataset) == predictor
        found = client.get("/v1/trials", params={"architecture": architecture}).json()["items"]
        assert {item["id"] for item in found} == {trial, failed}
        assert read(client, f"/v1/architectures/{architecture}")["name"] == "tiny"
    assert client.post(f"/v1/trials/{failed}/retry").status_code == 202
    assert client.get("/v1/queue").status_code == 200
    client.post(f"/v1/trials/{failed}/cancel")

    for path, body in (
        ("architectures", {**SMALL, "rules": {"divisor": 8}}),
        ("datasets", {"name": "mine", "folder": "mine", "native_px": 32}),
    ):
        taken = client.post(f"/v1/{path}", json=body)
        assert (taken.status_code, "former name" in taken.json()["detail"]) == (409, True), taken.text
    assert client.patch("/v1/datasets/pets", json={"name": "mine"}).json()["name"] == "mine"
    assert read(client, f"/v1/trials/{trial}")["dataset"] == "mine"
    assert train(client, "pets", "small").json()["id"] == trial
    assert client.delete("/v1/datasets/pets", params={"force": True}).status_code == 204
    assert train(client, "pets", seed=3).json()["type"] == "/problems/unknown-dataset"
    assert client.post("/v1/datasets", json={"name": "pets", "folder": "mine", "native_px": 32}).status_code == 201


@pytest.mark.usefixtures("registered")
def test_names_of_others_are_not_taken(client: TestClient) -> None:
    client.post("/v1/architectures", json={**SMALL, "name": "other"})
    client.post("/v1/datasets", json={"name": "other", "folder": "mine", "native_px": 32})
    create_study(client, dataset="digits", architecture={**SMALL, "name": "inline"})

    for path, names in (
        ("architectures/small", ("other", "efficientnet_b0", "inline")),
        ("datasets/mine", ("other", "digits", "typefaces-3")),
    ):
        for name in names:
            assert client.patch(f"/v1/{path}", json={"name": name}).status_code == 409, name
    for path in (
        "architectures/efficientnet_b0",
        "datasets/digits",
        "datasets/typefaces",
        "predictors/published-tinynets",
    ):
        for answer in (client.patch(f"/v1/{path}", json={"archived": True}), client.delete(f"/v1/{path}")):
            assert (answer.status_code, "built-in" in answer.json()["detail"]) == (409, True), answer.text
    for path in ("architectures/none", "datasets/none", "predictors/none", f"trials/{'0' * 32}"):
        for answer in (client.patch(f"/v1/{path}", json={"archived": True}), client.delete(f"/v1/{path}")):
            assert answer.status_code == 404, answer.text


@pytest.mark.usefixtures("registered")
def test_dependents_are_listed_before_a_deletion(client: TestClient, work: Open, settings: Settings) -> None:
    study = create_study(client).json()["id"]
    fit(client, study)
    predictor = fit(client, study, activate=True)
    trial = train(client, study=study).json()["id"]
    complete(work, settings, trial)

    for path, counts in (
        (f"predictors/{predictor}", {"architectures": 1}),
        ("architectures/small", {"studies": 1, "predictors": 1}),
        ("datasets/mine", {"studies": 1}),
        (f"trials/{trial}", {"studies": 1}),
        (f"studies/{study}", {"predictors": 1, "observations": 6}),
    ):
        preview = client.delete(f"/v1/{path}", params={"dry_run": True})
        assert (preview.status_code, preview.json()["dependent_counts"]) == (200, counts), path
        refused = client.delete(f"/v1/{path}")
        assert refused.status_code == 409
        assert refused.json()["dependents"] == preview.json()["dependents"]
        assert refused.json()["dependent_counts"] == counts
        assert "force=true" in refused.json()["detail"]
        assert client.delete(f"/v1/{path}", params={"force": True}).status_code == 204, path
        assert client.delete(f"/v1/{path}", params={"dry_run": True}).status_code == 404


@pytest.mark.usefixtures("registered")
def test_deleted_predictor_is_not_used_and_its_id_not_given_again(client: TestClient) -> None:
    study = create_study(client).json()["id"]
    predictor = fit(client, study, activate=True)
    assert predictor_in_use(client) == predictor

    assert client.delete(f"/v1/predictors/{predictor}", params={"force": True}).status_code == 204

    assert predictor_in_use(client) == "published-tinynets"
    assert client.get(f"/v1/predictors/{predictor}").status_code == 404
    assert client.post(f"/v1/predictors/{predictor}/activate").status_code == 404
    following = client.post(f"/v1/studies/{study}/predictors").json()
    assert (following["id"], following["version"]) != (predictor, 1)


@pytest.mark.usefixtures("registered")
def test_predictors_of_a_deleted_baseline_do_not_answer_for_another_one(client: TestClient) -> None:
    fit(client, create_study(client).json()["id"], activate=True)
    client.delete("/v1/architectures/small", params={"force": True})

    assert client.post("/v1/architectures", json={**SMALL, "rules": {"divisor": 2}}).status_code == 201

    assert predictor_in_use(client) == "published-tinynets"


@pytest.mark.usefixtures("registered")
def test_refreshed_data_set_leaves_old_trials_their_digest(client: TestClient, work: Open, settings: Settings) -> None:
    trial, failed, waiting = (train(client, seed=seed).json()["id"] for seed in range(3))
    before = read(client, f"/v1/trials/{trial}")["dataset_digest"]
    complete(work, settings, trial)
    client.post(f"/v1/trials/{failed}/cancel")
    assert client.post("/v1/datasets/mine/refresh").json()["digest"] == before
    add_images(settings, images=9)

    refused = client.post("/v1/datasets/mine/refresh")
    assert (refused.status_code, refused.json()["dependents"]) == (409, {"trials": [waiting]})
    client.post(f"/v1/trials/{waiting}/cancel")
    refreshed = client.post("/v1/datasets/mine/refresh")
    assert (refreshed.status_code, refreshed.json()["train_images"]) == (200, 18)
    assert refreshed.json()["digest"] != before

    assert read(client, f"/v1/trials/{trial}")["dataset_digest"] == before
    again = train(client)
    assert (again.status_code, again.json()["dataset_digest"]) == (202, refreshed.json()["digest"])
    retried = client.post(f"/v1/trials/{failed}/retry")
    assert (retried.status_code, "have changed" in retried.json()["detail"]) == (409, True)
    assert client.post("/v1/datasets/digits/refresh").status_code == 409
    assert client.post("/v1/datasets/none/refresh").status_code == 404


@pytest.mark.usefixtures("registered")
def test_data_set_of_a_completed_study_is_deleted(client: TestClient, work: Open, settings: Settings) -> None:
    study = create_study(client).json()["id"]
    client.post(f"/v1/studies/{study}/start")
    (trial,) = client.get("/v1/trials", params={"study": study}).json()["items"]
    waiting = client.delete("/v1/datasets/mine", params={"force": True})
    assert waiting.json()["dependents"] == {"trials": [trial["id"]], "studies": [study]}
    complete(work, settings, trial["id"])
    assert read(client, f"/v1/studies/{study}")["state"] == "completed"

    assert client.delete("/v1/datasets/mine", params={"force": True}).status_code == 204

    assert read(client, f"/v1/trials/{trial['id']}")["dataset"] == "mine"
    assert client.post(f"/v1/studies/{study}/ask", json={}).status_code == 200


@pytest.mark.usefixtures("registered")
def test_trial_on_a_deleted_data_set_is_not_retried(client: TestClient) -> None:
    trial = train(client).json()["id"]
    client.post(f"/v1/trials/{trial}/cancel")
    client.delete("/v1/datasets/mine")

    assert client.post(f"/v1/trials/{trial}/retry").status_code == 409

    assert client.get("/v1/queue").status_code == 200
