"""Detection trials over HTTP, from the request to their files."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from cachetools import LRUCache
from fastapi.testclient import TestClient
from safetensors import safe_open

from app.core.settings import Settings
from app.data import builtin_datasets
from app.data.recipes import PRESETS
from app.scaling.network import Config
from tests.worker.scenery import skip_without_scenes
from tests.worker.support import link_datasets
from worker import export, run_trial
from worker.data import scenes
from worker.fvcore_counts import count_network
from worker.heartbeat import Heartbeat
from worker.training.ssdlite import SSDLite

pytestmark = pytest.mark.databases("sqlite")  # detection trials differ from others in the worker only

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
def long_lease(settings: Settings) -> Settings:
    """Settings with a lease that outlasts the training: no heartbeat thread runs here."""
    return settings.model_copy(update={"lease_seconds": 3600.0})


@pytest.fixture
def few_scenes(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose only the first scenes of each part; skip the test if the sources are missing."""
    skip_without_scenes()
    link_datasets(settings.data_dir)
    monkeypatch.setattr(scenes, "_COUNTS", {"train": 60, "validation": 24, "test": 30})
    monkeypatch.setattr(run_trial, "_DATA_CACHE", LRUCache(maxsize=2))


@pytest.fixture(autouse=True)
def small(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "WARM_UP_SECONDS", 0.01)
    monkeypatch.setattr(export, "MEASURED_SECONDS", 0.05)
    assert client.post("/v1/architectures", json=SMALL).status_code == 201


def test_detection_trial_completes_over_http(client: TestClient, long_lease: Settings, few_scenes: None) -> None:
    created = client.post("/v1/trials", json={**TRIAL, "multipliers": {"r": 1, "d": 1, "w": 1}, "recipe": RECIPE})
    assert (created.status_code, created.json()["kind"]) == (202, "detection")
    run_trial.train_next_trial(long_lease, Heartbeat(long_lease, "a test"), created.json()["id"])

    trial = client.get(f"/v1/trials/{created.json()['id']}").json()
    assert (trial["state"], trial["kind"], trial["error"]) == ("completed", "detection", None)
    result = trial["result"]
    assert result["metric"] == "map"
    for name in ("accuracy", "ap50", "ap75", "test_accuracy", "test_ap50", "test_ap75"):
        assert 0 <= result[name] <= 1
    assert len(result["by_class"]) == len(result["test_by_class"]) == 10
    assert result["environment"]["images"] == {"train": 48, "validation": 24, "test": 30}
    config = Config.from_json(trial["config"])
    whole = count_network(SSDLite(config), config)
    assert result["detector"] == {
        "flops": whole.by_operator["conv"],  # a detector has no linear layer
        "fvcore_total": sum(whole.by_operator.values()),
        "params": whole.params,
    }
    assert {"Conv", "Softmax"} <= set(result["operators"])
    assert "export_error" not in result

    listed = client.get("/v1/trials").json()["items"]
    assert [item["kind"] for item in listed] == ["detection"]
    repeated = client.post("/v1/trials", json={**TRIAL, "multipliers": {"r": 1, "d": 1, "w": 1}, "recipe": RECIPE})
    assert (repeated.status_code, repeated.json()["id"]) == (200, trial["id"])


def test_detection_trial_has_detector_artifacts(
    client: TestClient, long_lease: Settings, tmp_path: Path, few_scenes: None
) -> None:
    study = client.post("/v1/studies", json={**TRIAL, "name": "a study", "trials": 2, "recipe": RECIPE}).json()["id"]
    request = {
        "architecture": "small",
        "target": {"ratio": 0.5},
        "rule": "compound",
        "train": {"dataset": "articles-on-photos", "recipe": RECIPE, "study": study},
    }

    response = client.post("/v1/scale", json=request)
    assert response.status_code == 202, response.text
    id = response.json()["trial"]["id"]
    run_trial.train_next_trial(long_lease, Heartbeat(long_lease, "a test"), id)

    files = {}
    for name in ("weights.safetensors", "model.onnx", "log.csv"):
        files[name] = tmp_path / f"downloaded-{name}"
        files[name].write_bytes(client.get(f"/v1/trials/{id}/artifacts/{name}").content)
    with safe_open(files["weights.safetensors"], "pt") as opened:
        assert opened.metadata()["task"] == "detection"
        assert json.loads(opened.metadata()["config"])["resolution"] == response.json()["config"]["resolution"]
    assert isinstance(export.load(files["weights.safetensors"]), SSDLite)
    session = export.onnxruntime.InferenceSession(files["model.onnx"])
    assert [output.name for output in session.get_outputs()] == ["boxes", "scores"]
    (row,) = csv.DictReader(files["log.csv"].read_text().splitlines())
    assert set(row) == {"epoch", "train_loss", "validation_accuracy", "validation_ap50", "validation_loss"}

    (observed,) = client.get(f"/v1/studies/{study}/observations").json()["items"]
    result = client.get(f"/v1/trials/{id}").json()["result"]
    assert observed["accuracy"] == result["accuracy"]
    assert observed["latency_ms"] == pytest.approx(result["latency"]["median_ms"])


def test_data_sets_are_listed_with_task_and_missing_packages(
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
    monkeypatch.setattr(builtin_datasets, "photo_folder", lambda: tmp_path / "absent")
    assert items()["articles-on-photos"]["missing"] == (
        "Its sources are not on this machine (photos): apt-get install -y dataset-fashion-mnist mate-backgrounds"
    )
    monkeypatch.setattr(builtin_datasets, "fashion_mnist_folder", lambda data_dir: None)
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
    ("recipe", "option", "message"),
    [
        ("quick", "", "'quick' is not a recipe for detection; use detection-quick"),
        ({"epochs": 2, "label_smoothing": 0.1}, "/label_smoothing", "label_smoothing does not apply to detection"),
        ({"randaugment": 9}, "/randaugment", "randaugment does not apply to detection"),
        ({"crop_pct": 0.875}, "/crop_pct", "crop_pct does not apply to detection"),
    ],
)
def test_classification_recipe_for_detection_is_rejected_at_its_pointer(
    client: TestClient, path: str, body: dict[str, Any], pointer: str, recipe: Any, option: str, message: str
) -> None:
    fields = {"recipe": recipe}
    if "train" in body:
        fields = {"train": {"dataset": TRIAL["dataset"], **fields}}

    response = client.post(path, json={**body, **fields})

    assert response.status_code == 422
    problem = response.json()
    assert problem["type"] == "/problems/validation"
    assert problem["errors"][0]["pointer"] == pointer + option
    assert message in problem["errors"][0]["message"]
    assert "detection-quick" in problem["detail"]


@pytest.mark.parametrize(("dataset", "preset"), [("articles-on-photos", "detection-quick"), ("digits", "quick")])
def test_default_recipe_is_quick_preset_of_task(client: TestClient, dataset: str, preset: str) -> None:
    response = client.post("/v1/trials", json={"architecture": "small", "dataset": dataset})

    assert response.status_code == 202
    assert response.json()["recipe"] == PRESETS[preset].model_dump()


def test_trainings_of_tinynets_are_evaluated_as_published(client: TestClient) -> None:
    body = {"architecture": "tinynet_e", "dataset": "digits", "recipe": "digits-smoke"}
    train = {"dataset": "digits", "recipe": "digits-smoke"}
    trial = client.post("/v1/trials", json=body).json()
    again = client.post("/v1/trials", json={**body, "recipe": trial["recipe"]}).json()
    whole = client.post("/v1/trials", json={**body, "recipe": {**trial["recipe"], "crop_pct": 1}}).json()
    scaled = client.post("/v1/scale", json={"architecture": "tinynet_e", "target": {"ratio": 0.5}, "train": train})
    scaled = client.get(f"/v1/trials/{scaled.json()['trial']['id']}").json()
    study = client.post("/v1/studies", json={**body, "name": "a study", "trials": 2}).json()

    assert [item["recipe"]["crop_pct"] for item in (trial, whole, scaled, study)] == [0.875, 1, 0.875, 0.875]
    assert again["id"] == trial["id"] != whole["id"]


def test_detection_recipe_for_classification_is_rejected(client: TestClient) -> None:
    response = client.post(
        "/v1/trials", json={"architecture": "small", "dataset": "digits", "recipe": "detection-quick"}
    )

    assert response.status_code == 422
    assert "use quick or" in response.json()["detail"]


def test_config_with_wrong_classes_is_rejected(client: TestClient) -> None:
    config = {**SMALL["baseline"], "num_classes": 12}

    response = client.post(
        "/v1/trials",
        json={"config": config, **{k: v for k, v in TRIAL.items() if k == "dataset"}, "recipe": "detection-quick"},
    )

    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, "/config/num_classes")


def test_detection_trial_is_estimated_without_training(client: TestClient) -> None:
    body = {**TRIAL, "recipe": "detection-quick", "validate_only": True}

    assert client.post("/v1/trials", json=body).json()["estimate"]["seconds"] > 0
    assert client.get("/v1/trials").json()["items"] == []
