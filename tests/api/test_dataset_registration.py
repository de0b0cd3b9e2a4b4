"""Folders of images are registered with what was understood of them, large ones in the background."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from app.core.settings import Settings
from app.data import image_checks
from app.services.catalog import dataset_registration
from app.services.catalog.dataset_checks import run_next_check


@pytest.fixture
def pets(settings: Settings) -> Path:
    """A folder of two parts with two classes of 6 and 5 distinct images."""
    folder = settings.data_dir / "datasets" / "pets"
    for part, images in (("Training", 6), ("Testing", 5)):
        for name in ("cats", "dogs"):
            (folder / part / name).mkdir(parents=True)
            for number in range(images):
                tone = (number, len(part), ord(name[0]))
                Image.new("RGB", (8, 8), tone).save(folder / part / name / f"{number}.png")
    return folder


@pytest.fixture(autouse=True)
def no_background(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service checks no folder by itself: tests call `check`."""
    monkeypatch.setattr("app.http.app.run_checks", lambda settings, stop: None)


@pytest.fixture
def no_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Requests leave every folder to the background."""
    monkeypatch.setattr(dataset_registration, "REQUEST_SECONDS", -1.0)
    yield


PETS = {"name": "pets", "folder": "pets", "native_px": 8}
TRIAL = {"architecture": "tinynet_e", "multipliers": {"r": 0.3, "d": 0.5, "w": 0.2}, "dataset": "pets"}


def check(settings: Settings) -> bool:
    return run_next_check(settings, threading.Event())


def counts(answer: dict[str, Any]) -> list[int]:
    return [split["images"] for split in answer["splits"]]


def test_registration_says_what_was_understood(client: TestClient, pets: Path) -> None:
    (pets / "Training" / "cats" / "notes.txt").write_text("?")

    answer = client.post("/v1/datasets", json=PETS)

    assert (answer.status_code, answer.json()["state"]) == (201, "ready")
    plain = answer.json()
    assert (plain["layout"], counts(plain)) == ("splits", [12, 0, 10])
    assert plain["classes"][1] == {"name": "dogs", "train": 6, "validation": 0, "test": 5}
    assert plain["splits"][2]["source"] == "Testing"
    assert plain["splits"][2]["sample"][0] == {"path": "Testing/cats/0.png", "label": "cats"}
    assert plain["skipped"][0]["examples"] == ["Training/cats/notes.txt"]
    assert client.get("/v1/datasets/pets").json() == plain


@pytest.mark.usefixtures("pets")
def test_validate_only_registers_nothing(client: TestClient) -> None:
    answer = client.post("/v1/datasets", json={**PETS, "validate_only": True})

    assert (answer.status_code, answer.json()["state"], counts(answer.json())) == (200, "validated", [12, 0, 10])
    assert answer.json()["digest"]
    assert client.get("/v1/datasets/pets").status_code == 422


def test_ambiguous_folder_is_refused_with_its_readings(client: TestClient, settings: Settings, pets: Path) -> None:
    pets.rename(settings.data_dir / "datasets" / "Training")
    (settings.data_dir / "datasets" / "pets").mkdir()
    (settings.data_dir / "datasets" / "Training").rename(settings.data_dir / "datasets" / "pets" / "train")
    extra = settings.data_dir / "datasets" / "pets" / "bus" / "x"
    for folder in (extra, extra.parent / "y"):
        folder.mkdir(parents=True)
        for number in range(5):
            Image.new("L", (8, 8), number).save(folder / f"{number}.png")

    refused = client.post("/v1/datasets", json=PETS)
    accepted = client.post("/v1/datasets", json={**PETS, "layout": "classes"})

    assert refused.status_code == 422
    assert "as 'splits'" in refused.json()["detail"]
    assert "as 'classes'" in refused.json()["detail"]
    assert [item["name"] for item in accepted.json()["classes"]] == ["bus", "train"]


def test_unreadable_files_are_listed_at_once(client: TestClient, pets: Path) -> None:
    for file in pets.rglob("*.png"):
        file.write_text("no image")

    answer = client.post("/v1/datasets", json=PETS)

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/unknown-dataset")
    assert answer.json()["unreadable"]["count"] == len(answer.json()["unreadable"]["files"]) == 22


@pytest.mark.usefixtures("pets", "no_time")
def test_large_folder_is_checked_in_the_background(client: TestClient, settings: Settings) -> None:
    started = client.post("/v1/datasets", json=PETS)
    again = client.post("/v1/datasets", json=PETS)
    training = client.post("/v1/trials", json=TRIAL)
    listed = client.get("/v1/datasets").json()["items"][-1]

    assert (started.status_code, again.status_code) == (202, 202)
    assert started.json()["progress"] == {"images": 0, "total": 0}
    assert (listed["name"], listed["state"]) == ("pets", "checking")
    assert training.status_code == 409
    assert "are still being checked" in training.json()["detail"]

    assert check(settings)

    found = client.get("/v1/datasets/pets").json()
    assert (found["state"], found["num_classes"], counts(found)) == ("ready", 2, [12, 0, 10])
    assert client.post("/v1/trials", json=TRIAL).status_code == 202
    assert not check(settings)


@pytest.mark.usefixtures("no_time")
def test_failed_check_says_why_and_can_be_repeated(client: TestClient, settings: Settings, pets: Path) -> None:
    broken = pets / "Testing" / "cats" / "0.png"
    content = broken.read_bytes()
    broken.write_text("no image")
    client.post("/v1/datasets", json=PETS)
    check(settings)

    failed = client.get("/v1/datasets/pets").json()
    assert (failed["state"], failed["progress"]) == ("failed", None)
    assert "'Testing/cats/0.png' of 'pets' cannot be read as an image" in failed["error"]
    assert client.post("/v1/trials", json=TRIAL).status_code == 422

    broken.write_bytes(content)
    assert client.post("/v1/datasets", json=PETS).status_code == 202
    check(settings)
    assert client.get("/v1/datasets/pets").json()["state"] == "ready"


@pytest.mark.usefixtures("pets", "no_time")
def test_check_can_be_cancelled(client: TestClient, settings: Settings) -> None:
    client.post("/v1/datasets", json=PETS)

    assert client.delete("/v1/datasets/pets").status_code == 204
    assert not check(settings)
    assert client.get("/v1/datasets/pets").status_code == 422


@pytest.mark.usefixtures("pets", "no_time")
def test_another_folder_under_the_same_name_is_refused_during_a_check(client: TestClient) -> None:
    client.post("/v1/datasets", json=PETS)

    assert client.post("/v1/datasets", json={**PETS, "native_px": 16}).status_code == 409


@pytest.mark.usefixtures("pets", "no_time")
def test_validation_without_time_is_refused_or_says_that_nothing_was_decoded(client: TestClient) -> None:
    answer = client.post("/v1/datasets", json={**PETS, "validate_only": True})

    assert answer.status_code == 422
    assert "register it" in answer.json()["detail"]


@pytest.mark.usefixtures("pets")
def test_changed_background_is_another_data_set(client: TestClient) -> None:
    client.post("/v1/datasets", json=PETS)

    assert client.post("/v1/datasets", json={**PETS, "background": "#000000"}).status_code == 409


def test_built_in_data_set_has_named_classes(client: TestClient) -> None:
    answer = client.get("/v1/datasets/fashion-mnist").json()

    assert answer["classes"][9] == {"name": "Ankle boot", "train": None, "validation": None, "test": None}


def repaint(folder: Path, mode: str) -> None:
    for file in folder.rglob("*.png"):
        Image.open(file).convert(mode).save(file)


def test_network_takes_the_channels_of_a_folder(client: TestClient, pets: Path) -> None:
    repaint(pets, "L")

    registered = client.post("/v1/datasets", json=PETS)
    trial = client.post("/v1/trials", json=TRIAL)
    scaled = client.post("/v1/scale", json={"architecture": "tinynet_e", "target": {"ratio": 0.5}, "dataset": "pets"})

    assert (registered.status_code, registered.json()["channels"]) == (201, 1)
    assert (trial.status_code, trial.json()["config"]["in_chans"]) == (202, 1)
    assert (scaled.status_code, scaled.json()["in_chans"]) == (200, 1)


def test_opacity_is_kept_on_request_and_refuses_recipes_for_colours(client: TestClient, pets: Path) -> None:
    repaint(pets, "RGBA")

    registered = client.post("/v1/datasets", json={**PETS, "channels": 4})
    again = client.post("/v1/datasets", json=PETS)
    trial = client.post("/v1/trials", json=TRIAL)
    jittered = client.post("/v1/trials", json={**TRIAL, "recipe": "tinynet"})

    assert (registered.json()["channels"], again.status_code) == (4, 200)
    assert trial.json()["config"]["in_chans"] == 4
    assert (jittered.status_code, "images have 4" in jittered.text) == (422, True)


@pytest.mark.parametrize(("taken", "status"), [(3, 202), (4, 422)])
@pytest.mark.usefixtures("pets")
def test_network_with_channels_that_the_images_lack_is_refused(client: TestClient, taken: int, status: int) -> None:
    client.post("/v1/datasets", json=PETS)
    config = client.post("/v1/scale", json={"architecture": "tinynet_e", "target": {"ratio": 0.5}}).json()["config"]

    trial = {"config": {**config, "num_classes": 2, "in_chans": taken}, "dataset": "pets"}

    assert client.post("/v1/trials", json=trial).status_code == status


def add_cat(pets: Path, tone: int = 200) -> None:
    Image.new("RGB", (8, 8), (tone, 0, 0)).save(pets / "Training" / "cats" / f"{tone}.png")


def test_large_folder_is_refreshed_in_the_background(
    client: TestClient, settings: Settings, pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = client.post("/v1/datasets", json=PETS).json()
    add_cat(pets)
    monkeypatch.setattr(dataset_registration, "REQUEST_SECONDS", -1.0)

    started = client.post("/v1/datasets/pets/refresh")
    again = client.post("/v1/datasets/pets/refresh")
    during = client.get("/v1/datasets/pets").json()
    listed = [item for item in client.get("/v1/datasets").json()["items"] if item["name"] == "pets"]
    training = client.post("/v1/trials", json=TRIAL)
    renamed = client.patch("/v1/datasets/pets", json={"name": "animals"})

    assert (started.status_code, again.status_code) == (202, 202)
    assert started.json()["state"] == "checking"
    assert (during["state"], during["progress"]) == ("checking", {"images": 0, "total": 0})
    assert (during["digest"], during["classes"]) == (before["digest"], before["classes"])
    assert [item["state"] for item in listed] == ["checking"]
    assert (training.status_code, "still being checked" in training.json()["detail"]) == (409, True)
    assert renamed.status_code == 409

    assert check(settings)
    after = client.get("/v1/datasets/pets").json()
    assert (after["state"], after["progress"], counts(after)) == ("ready", None, [13, 0, 10])
    assert after["digest"] != before["digest"]
    assert client.post("/v1/trials", json=TRIAL).json()["dataset_digest"] == after["digest"]


def test_failed_refresh_says_why_and_is_repeated(
    client: TestClient, settings: Settings, pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = client.post("/v1/datasets", json=PETS).json()
    (pets / "Training" / "cats" / "broken.png").write_text("no image")
    monkeypatch.setattr(dataset_registration, "REQUEST_SECONDS", -1.0)
    client.post("/v1/datasets/pets/refresh")

    check(settings)
    failed = client.get("/v1/datasets/pets").json()
    training = client.post("/v1/trials", json=TRIAL)
    renamed = client.patch("/v1/datasets/pets", json={"name": "animals"})
    (pets / "Training" / "cats" / "broken.png").unlink()
    repeated = client.post("/v1/datasets/animals/refresh")
    check(settings)

    assert (failed["state"], failed["digest"]) == ("failed", before["digest"])
    assert "broken.png" in failed["error"]
    assert (training.status_code, "broken.png" in training.json()["detail"]) == (422, True)
    assert (renamed.status_code, repeated.status_code) == (200, 202)
    ready = client.get("/v1/datasets/pets").json()
    assert (ready["name"], ready["state"], ready["digest"]) == ("animals", "ready", before["digest"])


def test_refresh_in_the_background_waits_for_trials(
    client: TestClient, pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post("/v1/datasets", json=PETS)
    trial = client.post("/v1/trials", json=TRIAL).json()["id"]
    monkeypatch.setattr(dataset_registration, "REQUEST_SECONDS", -1.0)

    refused = client.post("/v1/datasets/pets/refresh")

    assert (refused.status_code, refused.json()["dependents"]) == (409, {"trials": [trial]})
    assert client.get("/v1/datasets/pets").json()["state"] == "ready"


def test_data_set_is_deleted_while_it_is_refreshed(
    client: TestClient, settings: Settings, pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post("/v1/datasets", json=PETS)
    monkeypatch.setattr(dataset_registration, "REQUEST_SECONDS", -1.0)
    client.post("/v1/datasets/pets/refresh")

    assert client.delete("/v1/datasets/pets").status_code == 204
    assert not check(settings)
    assert client.get("/v1/datasets/pets").status_code == 422


@pytest.mark.usefixtures("no_time")
def test_name_of_a_check_is_not_given_to_another_data_set(
    client: TestClient, pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post("/v1/datasets", json=PETS)
    monkeypatch.setattr(dataset_registration, "REQUEST_SECONDS", 60.0)
    client.post("/v1/datasets", json={**PETS, "name": "others"})

    assert client.patch("/v1/datasets/others", json={"name": "pets"}).status_code == 409


@pytest.mark.usefixtures("no_time")
@pytest.mark.parametrize("change", ["added", "removed", "replaced"])
def test_images_that_change_during_the_check_are_noticed(
    change: str, client: TestClient, settings: Settings, pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post("/v1/datasets", json=PETS)
    decode_cropped = image_checks.decode_cropped

    def change_once(*arguments: Any) -> Any:
        monkeypatch.setattr(image_checks, "decode_cropped", decode_cropped)
        first, last = (pets / "Training" / "cats" / f"{number}.png" for number in (0, 5))
        if change == "added":
            add_cat(pets)
        elif change == "removed":
            first.unlink()
        else:
            last.write_bytes(first.read_bytes())
        return decode_cropped(*arguments)

    monkeypatch.setattr(image_checks, "decode_cropped", change_once)
    check(settings)

    failed = client.get("/v1/datasets/pets").json()
    assert (failed["state"], "changed while they were read" in failed["error"]) == ("failed", True)
