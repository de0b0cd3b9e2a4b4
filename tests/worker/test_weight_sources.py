"""Trials whose recipe names trained weights: resolved when they are requested, and found again by their contents."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from safetensors.torch import load_file, save_file

from app.core.settings import Settings
from app.db.unit_of_work import UnitOfWork
from app.services.trials import requests
from tests.support import SMALL
from worker import export, run_trial
from worker.heartbeat import Heartbeat

Open = Callable[[], UnitOfWork]
RECIPE = {"epochs": 2, "batch_size": 32, "lr": 0.01, "train_images": 500}


@pytest.fixture
def api(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setattr(export, "MEASURED_SECONDS", 0.05)
    assert client.post("/v1/architectures", json=SMALL).status_code == 201
    return client


def request(api: TestClient, recipe: dict[str, Any], d: float = 1, w: float = 0.5, **more: Any) -> Any:
    network = {"architecture": "small", "multipliers": {"r": 1, "d": d, "w": w}}
    return api.post("/v1/trials", json={**network, "dataset": "digits", "recipe": {**RECIPE, **recipe}, **more})


@pytest.fixture
def run(work: Open, settings: Settings) -> Callable[[str], Any]:
    """Runs the next trial as a worker does, and returns it."""

    def run(trial_id: str) -> Any:
        run_trial.train_next_trial(settings, Heartbeat(settings, "a test"), trial_id)
        with work() as unit:
            return requests.find(unit, trial_id)

    return run


@pytest.fixture
def source(api: TestClient, run: Callable[[str], Any]) -> str:
    """A completed trial of the baseline."""
    answer = request(api, {}, w=1)
    assert run(answer.json()["id"]).state == "completed"
    return str(answer.json()["id"])


def test_trial_starts_from_the_weights_of_another_and_learns_from_it(
    api: TestClient, source: str, run: Callable[[str], Any]
) -> None:
    answer = request(api, {"init": {"trial": source}, "distill": {"teacher": {"trial": source}}})

    assert answer.status_code == 202
    digest = api.get(f"/v1/trials/{source}/artifacts/weights.safetensors").headers["etag"].strip('"')
    resolved = {"trial": source, "sha256": digest}
    recipe = answer.json()["recipe"]
    assert recipe["init"] == resolved
    assert recipe["distill"] == {"teacher": resolved, "match": "logits", "temperature": 2, "weight": 0.5}
    assert run(answer.json()["id"]).state == "completed"
    result = api.get(answer.headers["location"]).json()["result"]
    assert result["init"]["sha256"] == result["teacher"]["sha256"] == digest
    assert result["init"]["classifier"] == "inherited"
    assert result["teacher"]["accuracy"] > 0.3
    again = request(api, {"init": resolved, "distill": {"teacher": {"trial": source}}})
    assert (again.status_code, again.json()["id"]) == (200, answer.json()["id"])


def test_contents_and_options_identify_a_trial(api: TestClient, source: str) -> None:
    teacher = {"teacher": {"trial": source}}
    recipes: list[dict[str, Any]] = [
        {},
        {"init": {"trial": source}},
        {"distill": teacher},
        {"distill": {**teacher, "weight": 0.6}},
        {"distill": {**teacher, "temperature": 3}},
        {"freeze_epochs": 1},
        {"layer_decay": 0.8},
    ]
    ids = [request(api, recipe).json()["id"] for recipe in recipes]

    assert len(set(ids)) == len(recipes)
    assert request(api, {"init": "scratch", "distill": None}).json()["id"] == ids[0]


def test_source_must_have_completed(api: TestClient) -> None:
    queued = request(api, {}).json()["id"]

    answer = request(api, {"init": {"trial": queued}}, w=0.4)
    missing = request(api, {"init": {"trial": "0" * 32}}, w=0.4)

    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/conflict")
    assert "is queued: it will have weights.safetensors once it has completed" in answer.json()["detail"]
    assert missing.status_code == 404


def put_file(settings: Settings, content: Path, name: str = "mine/weights.safetensors") -> Path:
    file = settings.data_dir / "datasets" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(content, file)
    return file


def weights_of(settings: Settings, trial: str) -> Path:
    (file,) = settings.data_dir.glob(f"trials/{trial}/artifacts/*/weights.safetensors")
    return file


def test_file_is_a_source_by_its_contents(
    api: TestClient, source: str, settings: Settings, run: Callable[[str], Any]
) -> None:
    put_file(settings, weights_of(settings, source))
    init = {"file": "mine/weights.safetensors"}

    answer = request(api, {"init": init})

    assert answer.status_code == 202
    assert answer.json()["recipe"]["init"].keys() == {"file", "sha256"}
    state = load_file(weights_of(settings, source))
    file = settings.data_dir / "datasets" / "mine" / "weights.safetensors"
    save_file({name: tensor + 1 for name, tensor in state.items() if tensor.is_floating_point()}, file)
    assert request(api, {"init": answer.json()["recipe"]["init"]}, w=0.4).status_code == 422
    failed = run(answer.json()["id"])
    assert failed.state == "failed"
    assert "has changed since the trial was requested" in (failed.error or "")


def test_file_without_a_config_is_of_the_baseline(
    api: TestClient, source: str, settings: Settings, run: Callable[[str], Any]
) -> None:
    file = put_file(settings, weights_of(settings, source))
    save_file(load_file(file), file)

    answer = request(api, {"init": {"file": "mine/weights.safetensors"}})

    assert answer.json()["recipe"]["init"]["architecture"] == "small"
    assert run(answer.json()["id"]).state == "completed"
    other = request(api, {"init": {"file": "mine/weights.safetensors", "architecture": "resnet18"}}, w=0.4)
    assert other.status_code == 422
    assert "of the family resnet" in other.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    ("init", "pointer", "message"),
    [
        ({"file": "../rdw.sqlite3"}, "/recipe/init/file", "outside of the data root"),
        ({"file": "/etc/passwd"}, "/recipe/init/file", "outside of the data root"),
        ({"file": "link"}, "/recipe/init/file", "outside of the data root"),
        ({"file": "absent"}, "/recipe/init/file", "no file 'absent'"),
        ({"file": "\x00"}, "/recipe/init/file", "not a valid file name"),
        ({"file": "pickle.pt"}, "/recipe/init/file", "not a safetensors file"),
        ({"file": "strange.safetensors"}, "/recipe/init/file", "not one of rdw"),
        ({"timm": "vgg11"}, "/recipe/init/timm", "not a built-in baseline"),
        ({"timm": "resnet18"}, "/recipe/init", "of the family resnet"),
        ("timm", "/recipe/init/timm", "'small' is not a built-in baseline"),
    ],
)  # fmt: skip
def test_unusable_source_is_a_problem(
    init: Any, pointer: str, message: str, api: TestClient, settings: Settings
) -> None:
    root = settings.data_dir / "datasets"
    root.mkdir(exist_ok=True)
    (root / "link").symlink_to("/etc/passwd")
    (root / "pickle.pt").write_bytes(b"\x80\x04\x95")
    header = json.dumps({"__metadata__": {"config": "[1]"}}).encode()
    (root / "strange.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)

    answer = request(api, {"init": init})

    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["pointer"] == pointer
    assert message in error["message"]


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [({}, ""), ({"trial": "0" * 32, "timm": "resnet18"}, ""), ({"trial": "x"}, "/trial"), ("none", ""), (1, "")],
)
def test_malformed_source_is_a_problem(wrong: Any, pointer: str, api: TestClient) -> None:
    answer = request(api, {"init": wrong})

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [f"/recipe/init{pointer}"]


def test_needed_source_is_deleted_by_force_only(api: TestClient, source: str, run: Callable[[str], Any]) -> None:
    waiting = request(api, {"init": {"trial": source}}).json()["id"]
    body = {"name": "s", "architecture": "small", "dataset": "digits", "space": {"ratio": [0.05, 3]}, "trials": 2}
    study = api.post("/v1/studies", json={**body, "recipe": {**RECIPE, "init": {"trial": source}}}).json()["id"]

    refused = api.delete(f"/v1/trials/{source}")

    assert refused.status_code == 409
    assert refused.json()["dependents"] == {"studies": [study], "trials": [waiting]}
    assert api.delete(f"/v1/trials/{source}?force=true").status_code == 204
    failed = run(waiting)
    assert failed.state == "failed"
    assert f"There is no trial '{source}'" in (failed.error or "")


def test_study_takes_networks_of_its_own_start_only(api: TestClient, source: str) -> None:
    body = {"name": "s", "architecture": "small", "dataset": "digits", "space": {"ratio": [0.05, 3]}, "trials": 2}
    recipe = {**RECIPE, "init": {"trial": source}}
    study = api.post("/v1/studies", json={**body, "recipe": recipe}).json()

    from_scratch = request(api, {}, study=study["id"])
    inherited = request(api, {"init": {"trial": source}}, study=study["id"])

    assert from_scratch.status_code == 409
    assert "are initialised with the weights of trial" in from_scratch.json()["detail"]
    assert "would be trained from scratch" in from_scratch.json()["detail"]
    assert inherited.status_code == 202
    rows = [
        {"r": 0.6 + 0.08 * i, "d": 0.6 + 0.1 * i, "w": 0.5 + 0.08 * i, "accuracy": 0.5 + 0.03 * i} for i in range(9)
    ]
    api.post(f"/v1/studies/{study['id']}/observations", json={"observations": rows})
    predictor = api.post(f"/v1/studies/{study['id']}/predictors", json={"activate": False}).json()
    assert study["recipe"]["init"]["sha256"] in predictor["provenance"]
