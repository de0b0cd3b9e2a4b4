"""A study on grey images, from their folder or shards to a recommendation of its predictor and an exported network."""

from __future__ import annotations

import io
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from cachetools import LRUCache
from fastapi.testclient import TestClient
from PIL import Image

from app.core.settings import Settings
from tests.support import SMALL, process_changes
from worker import export, run_trial
from worker.heartbeat import Heartbeat

pytestmark = pytest.mark.databases("sqlite")  # nothing here depends on the database

BASELINE = {"name": "colours", "baseline": {**SMALL["baseline"], "in_chans": 3}, "rules": SMALL["rules"]}
RECIPE = {"epochs": 1, "batch_size": 16}
SPACE = {"ratio": [0.2, 2], "r": [0.5, 1.5], "d": [0.5, 2], "w": [0.3, 2]}


@pytest.fixture
def long_lease(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings with a lease that outlasts the trainings: no heartbeat thread runs here."""
    monkeypatch.setattr(export, "WARM_UP_SECONDS", 0.01)
    monkeypatch.setattr(export, "MEASURED_SECONDS", 0.05)
    monkeypatch.setattr(run_trial, "_DATA_CACHE", LRUCache(maxsize=2))
    return settings.model_copy(update={"lease_seconds": 3600.0})


def grey_images() -> list[tuple[str, int, bytes]]:
    """Return the class, number and PNG content of 2 × 30 images that are bright above or at the left."""
    random = np.random.default_rng(0)
    images = []
    for number in range(30):
        for name in ("left", "top"):
            pixels = random.integers(0, 60, (16, 16), np.uint8)
            pixels[(slice(None), slice(8)) if name == "left" else slice(8)] += 150
            file = BytesIO()
            Image.fromarray(pixels).save(file, "PNG")
            images.append((name, number, file.getvalue()))
    return images


def fill_folder(place: Path) -> None:
    for name, number, content in grey_images():
        (place / name).mkdir(parents=True, exist_ok=True)
        (place / name / f"{number}.png").write_bytes(content)


def fill_shards(place: Path) -> None:
    place.mkdir(parents=True)
    with tarfile.open(place / "train-0.tar", "w") as tar:
        for name, number, content in grey_images():
            for suffix, member_content in (("png", content), ("cls", name.encode())):
                member = tarfile.TarInfo(f"{name}{number}.{suffix}")
                member.size = len(member_content)
                tar.addfile(member, io.BytesIO(member_content))


@pytest.mark.parametrize("fill", [fill_folder, pytest.param(fill_shards, marks=pytest.mark.exhaustive)])
def test_networks_of_a_study_have_one_channel(fill: Any, client: TestClient, long_lease: Settings) -> None:
    fill(long_lease.data_dir / "datasets" / "grey")
    registered = client.post("/v1/datasets", json={"name": "grey", "folder": "grey", "native_px": 16}).json()
    assert (registered["channels"], registered["num_classes"]) == (1, 2)
    client.post("/v1/architectures", json=BASELINE).raise_for_status()
    body = {"name": "a study", "architecture": "colours", "dataset": "grey", "recipe": RECIPE, "space": SPACE}
    study = client.post("/v1/studies", json={**body, "trials": 5}).raise_for_status().json()["id"]
    client.post(f"/v1/studies/{study}/start").raise_for_status()

    heartbeat = Heartbeat(long_lease, "a test")
    for _ in range(20):
        process_changes(long_lease)
        run_trial.train_next_trial(long_lease, heartbeat, "any")
        if client.get(f"/v1/studies/{study}").json()["state"] == "completed":
            break

    trials = client.get("/v1/trials", params={"study": study}).json()["items"]
    details = [client.get(f"/v1/trials/{trial['id']}").json() for trial in trials]
    assert [(trial["state"], trial["config"]["in_chans"]) for trial in details] == [("completed", 1)] * 5
    assert all(len(trial["result"]["environment"]["normalisation"]["mean"]) == 1 for trial in details)
    assert all("export_error" not in trial["result"] for trial in details)
    onnx_file = client.get(f"/v1/trials/{trials[0]['id']}/artifacts/model.onnx").content
    assert onnx.load_from_string(onnx_file).graph.input[0].type.tensor_type.shape.dim[1].dim_value == 1

    predictor = client.post(f"/v1/studies/{study}/predictors", json={}).raise_for_status().json()
    request = {"architecture": "colours", "target": {"ratio": 0.5}, "study": study, "rule": "tiny_formula"}
    scaled = client.post("/v1/scale", json={**request, "dataset": "grey"}).raise_for_status().json()
    assert (scaled["predictor"]["id"], scaled["num_classes"], scaled["in_chans"]) == (predictor["id"], 2, 1)
    trained = client.post("/v1/scale", json={**request, "train": {"dataset": "grey", "recipe": RECIPE}})
    assert (trained.status_code, trained.json()["config"]["in_chans"]) == (202, 1)
    sheet = Image.open(BytesIO(client.get("/v1/datasets/grey/samples.png").content))
    assert sheet.size == (4 * 104 + 8, 4 * 125 + 8)
