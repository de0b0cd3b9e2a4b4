"""A detection trial over HTTP, from the request to the files that it leaves."""

from __future__ import annotations

import csv
import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from safetensors import safe_open

from app import datasets
from app.recipes import PRESETS
from app.scaling.architecture import Config
from app.settings import Settings
from tests.support import absent
from worker import export, scenes, trials
from worker.leases import Heartbeat
from worker.measuring import counted
from worker.ssdlite import SSDLite

SMALL: dict[str, Any] = {
    "name": "small",
    "baseline": {
        "family": "efficientnet",
        "resolution": 48,
        "in_chans": 3,
        "num_classes": 10,
        "stem": {"channels": 8},
        "stages": [
            {"block": "ds", "repeats": 1, "channels": 8},
            {"block": "ir", "repeats": 2, "channels": 16, "stride": 2, "expansion": 3, "se_ratio": 0.25},
        ],
        "head": {"channels": 32},
    },
    "rules": {"divisor": 4},
}
TRIAL: dict[str, Any] = {"architecture": "small", "dataset": "articles-on-photos"}
RECIPE = {"epochs": 1, "batch_size": 16, "train_images": 48, "flip": True}


@pytest.fixture
def empty_database(sqlite: str) -> str:
    """One kind is enough: what differs from other trials is in the worker."""
    return sqlite


@pytest.fixture
def patient(settings: Settings) -> Settings:
    """Of a worker whose lease outlasts the training: nobody's heart beats here."""
    return settings.model_copy(update={"lease_seconds": 3600.0})


@pytest.fixture
def few_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the real set the first ones of each part; the test skips where it is not there."""
    if datasets.scenes_missing(Path("absent")):
        absent("Fashion-MNIST or photos (Debian's dataset-fashion-mnist and mate-backgrounds)")
    monkeypatch.setattr(scenes, "_COUNTS", {"train": 60, "validation": 24, "test": 30})
    monkeypatch.setattr(trials, "_LATEST", OrderedDict())


@pytest.fixture(autouse=True)
def small(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_WARM_UP_SECONDS", 0.01)
    monkeypatch.setattr(export, "_SECONDS", 0.05)
    assert client.post("/v1/architectures", json=SMALL).status_code == 201


def test_a_detector_is_trained_over_http_like_any_network(
    client: TestClient, patient: Settings, few_scenes: None
) -> None:
    asked = client.post("/v1/trials", json={**TRIAL, "multipliers": {"r": 1, "d": 1, "w": 1}, "recipe": RECIPE})
    assert (asked.status_code, asked.json()["kind"]) == (202, "detection")
    trials.train_trial(patient, Heartbeat(patient, "a test"), asked.json()["id"])

    trial = client.get(f"/v1/trials/{asked.json()['id']}").json()
    assert (trial["state"], trial["kind"], trial["error"]) == ("completed", "detection", None)
    result = trial["result"]
    assert result["metric"] == "map"
    for name in ("accuracy", "ap50", "ap75", "test_accuracy", "test_ap50", "test_ap75"):
        assert 0 <= result[name] <= 1
    assert len(result["by_class"]) == len(result["test_by_class"]) == 10
    assert result["environment"]["images"] == {"train": 48, "validation": 24, "test": 30}
    config = Config.from_json(trial["config"])
    whole = counted(SSDLite(config), config)
    assert result["detector"] == {
        "flops": whole.by_operator["conv"],  # it has no linear layer
        "fvcore_total": sum(whole.by_operator.values()),
        "params": whole.params,
    }
    assert {"Conv", "Softmax"} <= set(result["operators"])
    assert "export_error" not in result

    listed = client.get("/v1/trials").json()["items"]
    assert [item["kind"] for item in listed] == ["detection"]
    again = client.post("/v1/trials", json={**TRIAL, "multipliers": {"r": 1, "d": 1, "w": 1}, "recipe": RECIPE})
    assert (again.status_code, again.json()["id"]) == (200, trial["id"])


def test_its_files_are_those_of_a_detector(
    client: TestClient, patient: Settings, tmp_path: Path, few_scenes: None
) -> None:
    study = client.post("/v1/studies", json={**TRIAL, "name": "a study", "trials": 2, "recipe": RECIPE}).json()["id"]
    request = {
        "architecture": "small",
        "target": {"ratio": 0.5},
        "rule": "compound",
        "train": {"dataset": "articles-on-photos", "recipe": RECIPE, "study": study},
    }

    answer = client.post("/v1/scale", json=request)
    assert answer.status_code == 202, answer.text
    id = answer.json()["trial"]["id"]
    trials.train_trial(patient, Heartbeat(patient, "a test"), id)

    files = {}
    for name in ("weights.safetensors", "model.onnx", "log.csv"):
        files[name] = tmp_path / f"downloaded-{name}"
        files[name].write_bytes(client.get(f"/v1/trials/{id}/artifacts/{name}").content)
    with safe_open(files["weights.safetensors"], "pt") as opened:
        assert opened.metadata()["task"] == "detection"
        assert json.loads(opened.metadata()["config"])["resolution"] == answer.json()["config"]["resolution"]
    assert isinstance(export.load(files["weights.safetensors"]), SSDLite)
    (session,) = [export.onnxruntime.InferenceSession(files["model.onnx"])]
    assert [output.name for output in session.get_outputs()] == ["boxes", "scores"]
    (row,) = csv.DictReader(files["log.csv"].read_text().splitlines())
    assert set(row) == {"epoch", "train_loss", "validation_accuracy", "validation_ap50", "validation_loss"}

    (observed,) = client.get(f"/v1/studies/{study}/observations").json()["items"]
    result = client.get(f"/v1/trials/{id}").json()["result"]
    assert observed["accuracy"] == result["accuracy"]
    assert observed["latency_ms"] == pytest.approx(result["latency"]["median_ms"])


def test_the_set_and_its_task_are_listed_and_what_lacks_is_said(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, few_scenes: None
) -> None:
    def items() -> dict[str, Any]:
        return {item["name"]: item for item in client.get("/v1/datasets").json()["items"]}

    there = items()
    assert there["articles-on-photos"]["missing"] is None
    assert {name: item["task"] for name, item in there.items()} == {
        "fashion-mnist": "classification",
        "digits": "classification",
        "articles-on-photos": "detection",
        "typefaces": "classification",
    }
    monkeypatch.setattr(datasets, "photo_folder", lambda: tmp_path / "absent")
    assert items()["articles-on-photos"]["missing"] == (
        "It is composed of what is not on this machine (photos): "
        "apt-get install -y dataset-fashion-mnist mate-backgrounds"
    )
    monkeypatch.setattr(datasets, "fashion_mnist_folder", lambda data_dir: None)
    assert "(Fashion-MNIST and photos)" in items()["articles-on-photos"]["missing"]


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/v1/trials", TRIAL, "/recipe"),
        ("/v1/studies", {**TRIAL, "name": "a study", "trials": 2}, "/recipe"),
        ("/v1/scale", {"architecture": "small", "target": {"ratio": 0.5}, "train": TRIAL}, "/train/recipe"),
    ],
)
@pytest.mark.parametrize(
    ("recipe", "option", "said"),
    [
        ("quick", "", "'quick' is no recipe for detection; take detection-quick"),
        ({"epochs": 2, "label_smoothing": 0.1}, "/label_smoothing", "label_smoothing has no meaning for detection"),
        ({"randaugment": 9}, "/randaugment", "randaugment has no meaning for detection"),
    ],
)
def test_a_recipe_that_is_not_for_detection_is_refused_where_it_is(
    client: TestClient, path: str, body: dict[str, Any], pointer: str, recipe: Any, option: str, said: str
) -> None:
    given = {"recipe": recipe}
    if "train" in body:
        given = {"train": {"dataset": TRIAL["dataset"], **given}}

    answer = client.post(path, json={**body, **given})

    assert answer.status_code == 422
    problem = answer.json()
    assert problem["type"] == "/problems/validation"
    assert problem["errors"][0]["pointer"] == pointer + option
    assert said in problem["errors"][0]["message"]
    assert "detection-quick" in problem["detail"]


@pytest.mark.parametrize(("dataset", "preset"), [("articles-on-photos", "detection-quick"), ("digits", "quick")])
def test_without_a_recipe_it_is_the_quick_one_of_the_data_sets_kind(
    client: TestClient, dataset: str, preset: str
) -> None:
    answer = client.post("/v1/trials", json={"architecture": "small", "dataset": dataset})

    assert answer.status_code == 202
    assert answer.json()["recipe"] == PRESETS[preset].model_dump()


def test_a_detection_recipe_is_none_for_classification(client: TestClient) -> None:
    answer = client.post("/v1/trials", json={"architecture": "small", "dataset": "digits", "recipe": "detection-quick"})

    assert answer.status_code == 422
    assert "take quick or" in answer.json()["detail"]


def test_a_config_of_other_classes_is_refused(client: TestClient) -> None:
    config = {**SMALL["baseline"], "num_classes": 12}

    answer = client.post(
        "/v1/trials",
        json={"config": config, **{k: v for k, v in TRIAL.items() if k == "dataset"}, "recipe": "detection-quick"},
    )

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/config/num_classes")


def test_what_a_detector_would_take_is_estimated(client: TestClient) -> None:
    body = {**TRIAL, "recipe": "detection-quick", "validate_only": True}

    assert client.post("/v1/trials", json=body).json()["estimate"]["seconds"] > 0
    assert client.get("/v1/trials").json()["items"] == []
