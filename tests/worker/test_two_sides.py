"""Inputs of two sides, from a folder of images to the exported model."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image
from safetensors import safe_open

from app.core.settings import Settings
from app.data.recipes import Recipe
from app.db.unit_of_work import UnitOfWork
from app.services.trials import artifacts
from tests.worker.support import images
from worker import export, run_trial
from worker.data.augmentation import Augmentation
from worker.data.image_store import Images
from worker.data.preprocessing import NetworkInputs, Normalisation, augment
from worker.heartbeat import Heartbeat

IDENTITY = Normalisation((0.0,), (1.0,))
BASELINE = {
    "family": "efficientnet",
    "resolution": [32, 64],
    "stem": {"channels": 8},
    "stages": [
        {"block": "ds", "repeats": 1, "channels": 8},
        {"block": "ir", "repeats": 2, "channels": 16, "stride": 2, "expansion": 3},
    ],
    "head": {"channels": 32},
}
SCALE = {"architecture": {"name": "strips", "baseline": BASELINE}, "target": {"ratio": 0.5}, "rule": "dwr"}


@pytest.fixture
def strips(settings: Settings) -> None:
    """A folder of two classes of images of 48 x 96 px, with a bright bar on the left or on the right."""
    random = np.random.default_rng(0)
    for part, count in (("train", 16), ("test", 6)):
        for name, columns in (("left", slice(0, 20)), ("right", slice(76, 96))):
            folder = settings.data_dir / "datasets" / "strips" / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 90, (48, 96, 3), dtype=np.uint8)
                pixels[:, columns] = random.integers(180, 256)
                Image.fromarray(pixels).save(folder / f"{number}.png")


@pytest.mark.usefixtures("strips")
def test_folder_is_trained_and_exported_at_the_aspect_of_the_baseline(
    client: TestClient, settings: Settings, work: Callable[[], UnitOfWork], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "MEASURED_SECONDS", 0.05)
    registered = client.post("/v1/datasets", json={"name": "strips", "folder": "strips", "native_px": [32, 64]})
    assert (registered.status_code, registered.json()["native_px"]) == (201, [32, 64])
    recipe = {"epochs": 2, "batch_size": 8, "crop_pct": 0.9, "shift": 0.1}
    scaled = client.post("/v1/scale", json={**SCALE, "train": {"dataset": "strips", "recipe": recipe}})
    assert scaled.status_code == 202, scaled.text
    height, width = scaled.json()["config"]["resolution"]
    assert abs(height / 32 - width / 64) <= 1 / 32 and height < 32

    trial = scaled.json()["trial"]["id"]
    run_trial.train_next_trial(settings, Heartbeat(settings, "a worker"), trial)

    done = client.get(f"/v1/trials/{trial}").json()
    assert (done["state"], done["config"]["resolution"]) == ("completed", [height, width])
    assert "export_error" not in done["result"]
    folder = next((artifacts.trial_folder(settings.data_dir, trial) / "artifacts").iterdir())
    (entry,) = onnx.load(folder / "model.onnx").graph.input
    assert [dim.dim_value for dim in entry.type.tensor_type.shape.dim][1:] == [3, height, width]
    with safe_open(folder / "weights.safetensors", "pt") as weights:
        evaluation = json.loads(weights.metadata()["evaluation"])
    assert evaluation == {
        "crop_pct": 0.9,
        "resize_px": [int(height / 0.9), int(width / 0.9)],
        "px": [height, width],
    }


def test_stored_images_are_cropped_to_the_aspect_of_the_input() -> None:
    part = images(4, px=16)

    inputs = NetworkInputs(part, 1, (8, 16), IDENTITY)

    assert torch.equal(inputs[:], part.pixels[:, :, 4:12].float())  # type: ignore[index]
    assert torch.equal(inputs.prepare()[:], part.pixels[:, :, 4:12].float())  # type: ignore[index]


def test_images_of_the_same_aspect_are_only_resized() -> None:
    stored = Images(torch.arange(256).to(torch.uint8).reshape(1, 1, 8, 32), torch.zeros(1, dtype=torch.long))

    batch = NetworkInputs(stored, 1, (4, 16), IDENTITY)[:]

    assert batch.shape == (1, 1, 4, 16)
    assert float(batch.mean()) == pytest.approx(127.5, rel=0.01)


def test_shifts_are_a_fraction_of_each_side() -> None:
    image = torch.arange(20.0 * 40).reshape(1, 1, 20, 40).expand(400, -1, -1, -1)

    shifted = augment(image, Recipe(shift=0.1), torch.Generator().manual_seed(0))

    rows, columns = shifted[:, 0, 10, 20] // 40 - 10, shifted[:, 0, 10, 20] % 40 - 20
    assert (rows.abs().max(), columns.abs().max()) == (2, 4)


@pytest.mark.parametrize("recipe", [Recipe(crop=0.3), Recipe(colour_jitter=0.4), Recipe(randaugment=9, flip=True)])
@pytest.mark.parametrize("px", [20, 16])
def test_augmented_images_have_both_sides(recipe: Recipe, px: int) -> None:
    stored = images(6, channels=3, px=px)
    inputs = NetworkInputs(stored, 3, (8, 16), Normalisation.from_images(stored, 3))

    batch = Augmentation(inputs, recipe)(torch.arange(6), torch.Generator().manual_seed(0))

    assert batch.shape == (6, 3, 8, 16) and batch.isfinite().all()


def test_whole_image_is_augmented_in_the_aspect_of_the_input() -> None:
    stored = images(6, channels=3, px=16)
    inputs = NetworkInputs(stored, 3, (8, 16), Normalisation((0.0,) * 3, (1.0,) * 3))

    batch = Augmentation(inputs, Recipe(colour_jitter=1e-9))(torch.arange(6), torch.Generator().manual_seed(0))

    assert (batch - inputs[:]).abs().max() <= 1


@pytest.mark.parametrize("body", [{"config": {**BASELINE, "num_classes": 10}}, {"architecture": SCALE["architecture"]}])
def test_detection_refuses_inputs_that_are_not_square(client: TestClient, body: dict[str, Any]) -> None:
    answer = client.post("/v1/trials", json={**body, "dataset": "articles-on-photos"})

    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {
            "pointer": "/dataset",
            "message": "articles-on-photos is for detection, which takes square inputs only: not 32 × 64 px",
        }
    ]
    study = {"name": "boxes", "architecture": SCALE["architecture"], "dataset": "articles-on-photos", "trials": 2}
    assert client.post("/v1/studies", json=study).status_code == 422
