"""Artifacts of trials can be downloaded; if one is missing, the response says why."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.core.settings import Settings
from app.core.trials import Latency, TrialResult
from app.db.unit_of_work import UnitOfWork
from app.services.trials import artifacts, lifecycle
from tests.support import SMALL

Open = Callable[[], UnitOfWork]
RESULT = TrialResult(0.9, 1.0, {})
LATENCY = Latency(1.25, 1.5, 700, 1, 1, "onnxruntime 1.32.0")
CONTENTS = {
    "weights.safetensors": b"weights",
    "model.onnx": b"\x08\x08model",
    "log.csv": b"epoch,train_loss\r\n1,2.5\r\n",
}


@pytest.fixture
def trial(client: TestClient) -> str:
    client.post("/v1/architectures", json=SMALL)
    answer = client.post("/v1/trials", json={"architecture": "small", "dataset": "digits", "recipe": "digits-smoke"})
    return answer.json()["id"]


@pytest.fixture
def folder(settings: Settings, trial: str) -> Path:
    """The trial's artifacts, as workers before 0.2.0 left them."""
    place = artifacts.artifact_folder(settings.data_dir, trial)
    place.mkdir(parents=True)
    for name, content in CONTENTS.items():
        (place / name).write_bytes(content)
    return place


@pytest.fixture
def end(work: Open, settings: Settings, trial: str) -> Callable[..., None]:
    """Claims the trial and ends it."""

    def ending(finish: Callable[..., bool], *given: Any) -> None:
        with work() as unit:
            claim = lifecycle.claim(unit, "a test", settings)
            assert claim is not None
            assert finish(unit, claim, *given)

    return ending


def reason(client: TestClient, trial: str, name: str = "model.onnx") -> str:
    answer = client.get(f"/v1/trials/{trial}/artifacts/{name}")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")
    return answer.json()["detail"]


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("weights.safetensors", "application/octet-stream"),
        ("model.onnx", "application/octet-stream"),
        ("log.csv", "text/csv; charset=utf-8"),
    ],
)
def test_each_file_is_downloaded_under_its_name(
    client: TestClient, trial: str, folder: Path, end: Callable[..., None], name: str, media_type: str
) -> None:
    end(lifecycle.complete, RESULT)

    answer = client.get(f"/v1/trials/{trial}/artifacts/{name}")

    assert (answer.status_code, answer.content) == (200, CONTENTS[name])
    assert answer.headers["content-type"] == media_type
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert answer.headers["etag"]


@pytest.fixture
def completed(settings: Settings, trial: str, work: Open) -> Path:
    """The folder of the attempt that has completed the trial."""
    with work() as unit:
        claim = lifecycle.claim(unit, "a test", settings)
        assert claim is not None
        place = artifacts.attempt_folder(settings.data_dir, trial, claim.token)
        place.mkdir(parents=True)
        for name, content in CONTENTS.items():
            (place / name).write_bytes(content)
        assert lifecycle.complete(unit, claim, RESULT, artifacts.describe(settings.data_dir, trial, claim.token))
    return place


def test_digest_is_the_tag_of_an_artifact(client: TestClient, trial: str, completed: Path) -> None:
    url = f"/v1/trials/{trial}/artifacts/model.onnx"
    tag = f'"{hashlib.sha256(CONTENTS["model.onnx"]).hexdigest()}"'

    answer = client.get(url)
    os.utime(completed / "model.onnx", (1, 1))  # as after a restore

    assert (answer.content, answer.headers["etag"]) == (CONTENTS["model.onnx"], tag)
    assert client.get(url, headers={"If-None-Match": tag}).status_code == 304
    part = client.get(url, headers={"Range": "bytes=2-", "If-Range": tag})
    assert (part.status_code, part.content) == (206, CONTENTS["model.onnx"][2:])


def test_truncated_artifact_is_not_served(client: TestClient, trial: str, completed: Path) -> None:
    os.truncate(completed / "model.onnx", 3)

    assert "model.onnx is damaged" in reason(client, trial)


def test_unfinished_trial_has_no_artifacts_yet(
    client: TestClient, trial: str, folder: Path, work: Open, settings: Settings
) -> None:
    assert reason(client, trial) == "The trial is queued: it will have model.onnx once it has completed."
    with work() as unit:
        lifecycle.claim(unit, "a test", settings)
    assert reason(client, trial) == "The trial is running: it will have model.onnx once it has completed."


def test_failed_trial_has_no_artifacts(client: TestClient, trial: str, folder: Path, end: Callable[..., None]) -> None:
    end(lifecycle.fail, "it diverged", [])

    assert "is failed: it leaves no log.csv" in reason(client, trial, "log.csv")


def test_missing_artifact_of_completed_trial_is_explained(
    client: TestClient, trial: str, end: Callable[..., None]
) -> None:
    end(lifecycle.complete, replace(RESULT, export_error="ONNX's logits differ"))

    assert reason(client, trial).endswith("its export failed: ONNX's logits differ")


def test_artifacts_on_another_machine_are_explained(client: TestClient, trial: str, end: Callable[..., None]) -> None:
    end(lifecycle.complete, RESULT)

    assert "is not in this service's data directory" in reason(client, trial)


def test_nothing_else_is_served(
    client: TestClient, trial: str, folder: Path, end: Callable[..., None], settings: Settings, tmp_path: Path
) -> None:
    end(lifecycle.complete, RESULT)
    (folder.parent / "weights.pt").write_bytes(b"a pickle")
    for name in ("weights.pt", "..%2Fweights.pt", "checkpoint.pt"):
        assert client.get(f"/v1/trials/{trial}/artifacts/{name}").status_code in (404, 422)
    assert client.get(f"/v1/trials/{'0' * 32}/artifacts/log.csv").status_code == 404

    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.write_text("a secret")
    (folder / "log.csv").unlink()
    (folder / "log.csv").symlink_to(outside)
    assert "is not in this service's data directory" in reason(client, trial, "log.csv")


def test_observations_include_measured_latency(client: TestClient, trial: str, end: Callable[..., None]) -> None:
    body = {"name": "a study", "architecture": "small", "dataset": "digits", "recipe": "digits-smoke", "trials": 2}
    study = client.post("/v1/studies", json=body).json()["id"]
    client.post(
        "/v1/trials", json={"architecture": "small", "dataset": "digits", "recipe": "digits-smoke", "study": study}
    )
    imported = {"observations": [{"r": 0.9, "d": 1, "w": 1, "accuracy": 0.5}]}
    client.post(f"/v1/studies/{study}/observations", json=imported)
    end(lifecycle.complete, replace(RESULT, latency=LATENCY))

    items = client.get(f"/v1/studies/{study}/observations").json()["items"]
    text = client.get(f"/v1/studies/{study}/observations", headers={"Accept": "text/csv"}).text

    assert [item["latency_ms"] for item in items] == [None, 1.25]
    assert items[1]["provenance"]["latency"] == asdict(LATENCY)
    assert [row["latency_ms"] for row in csv.DictReader(io.StringIO(text))] == ["", "1.25"]
    figure = client.get(f"/v1/studies/{study}/figures/accuracy-against-latency.svg").text
    assert "<!-- 1 network -->" in figure
