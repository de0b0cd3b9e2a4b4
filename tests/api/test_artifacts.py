"""What a training left is downloaded; where there is nothing the answer says why."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.db.unit_of_work import UnitOfWork
from app.services import artifacts, leases
from app.settings import Settings
from tests.support import SMALL

Open = Callable[[], UnitOfWork]
RESULT: dict[str, Any] = {"accuracy": 0.9, "seconds": 1.0, "environment": {}}
LATENCY = {"median_ms": 1.25, "p95_ms": 1.5, "runs": 700, "threads": 1, "batch": 1, "runtime": "onnxruntime 1.32.0"}
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
    """The trial's artifacts, as a worker leaves them."""
    place = artifacts.folder(settings.data_dir, trial)
    place.mkdir(parents=True)
    for name, content in CONTENTS.items():
        (place / name).write_bytes(content)
    return place


@pytest.fixture
def end(work: Open, settings: Settings, trial: str) -> Callable[..., None]:
    """Claims the trial and ends it."""

    def ending(finish: Callable[..., bool], *given: Any) -> None:
        with work() as unit:
            claim = leases.claim(unit, "a test", settings)
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
    end(leases.complete, RESULT)

    answer = client.get(f"/v1/trials/{trial}/artifacts/{name}")

    assert (answer.status_code, answer.content) == (200, CONTENTS[name])
    assert answer.headers["content-type"] == media_type
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert answer.headers["etag"]


def test_a_trial_that_has_not_ended_says_when_there_will_be_some(
    client: TestClient, trial: str, folder: Path, work: Open, settings: Settings
) -> None:
    assert reason(client, trial) == "The trial is queued: it will have model.onnx once it has completed."
    with work() as unit:
        leases.claim(unit, "a test", settings)
    assert reason(client, trial) == "The trial is running: it will have model.onnx once it has completed."


def test_a_trial_that_failed_says_that_there_will_be_none(
    client: TestClient, trial: str, folder: Path, end: Callable[..., None]
) -> None:
    end(leases.fail, "it diverged", [])

    assert "is failed: it leaves no log.csv" in reason(client, trial, "log.csv")


def test_a_completed_trial_without_a_file_says_why(client: TestClient, trial: str, end: Callable[..., None]) -> None:
    end(leases.complete, {**RESULT, "export_error": "ONNX's logits differ"})

    assert reason(client, trial).endswith("its export failed: ONNX's logits differ")


def test_a_completed_trial_whose_files_are_elsewhere_says_so(
    client: TestClient, trial: str, end: Callable[..., None]
) -> None:
    end(leases.complete, RESULT)

    assert "is not in this service's data directory" in reason(client, trial)


def test_nothing_else_is_served(
    client: TestClient, trial: str, folder: Path, end: Callable[..., None], settings: Settings, tmp_path: Path
) -> None:
    end(leases.complete, RESULT)
    (folder.parent / "weights.pt").write_bytes(b"a pickle")
    for name in ("weights.pt", "..%2Fweights.pt", "checkpoint.pt"):
        assert client.get(f"/v1/trials/{trial}/artifacts/{name}").status_code in (404, 422)
    assert client.get(f"/v1/trials/{'0' * 32}/artifacts/log.csv").status_code == 404

    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.write_text("a secret")
    (folder / "log.csv").unlink()
    (folder / "log.csv").symlink_to(outside)
    assert "is not in this service's data directory" in reason(client, trial, "log.csv")


def test_observations_tell_the_latency_of_the_trials_that_have_one(
    client: TestClient, trial: str, end: Callable[..., None]
) -> None:
    body = {"name": "a study", "architecture": "small", "dataset": "digits", "recipe": "digits-smoke", "trials": 2}
    study = client.post("/v1/studies", json=body).json()["id"]
    client.post(
        "/v1/trials", json={"architecture": "small", "dataset": "digits", "recipe": "digits-smoke", "study": study}
    )
    imported = {"observations": [{"r": 0.9, "d": 1, "w": 1, "accuracy": 0.5}]}
    client.post(f"/v1/studies/{study}/observations", json=imported)
    end(leases.complete, {**RESULT, "latency": LATENCY})

    items = client.get(f"/v1/studies/{study}/observations").json()["items"]
    text = client.get(f"/v1/studies/{study}/observations", headers={"Accept": "text/csv"}).text

    assert [item["latency_ms"] for item in items] == [None, 1.25]
    assert items[1]["provenance"]["latency"] == LATENCY
    assert [row["latency_ms"] for row in csv.DictReader(io.StringIO(text))] == ["", "1.25"]
    figure = client.get(f"/v1/studies/{study}/figures/accuracy-against-latency.svg").text
    assert "<!-- 1 network -->" in figure
