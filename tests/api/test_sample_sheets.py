"""Sheets show training images of a data set as they enter a network, with a bound on the work of a request."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from httpx import Response
from PIL import Image

from app.core.settings import Settings
from app.db.unit_of_work import UnitOfWork
from app.services.catalog import dataset_registration

CLASSES = ("cats", "dogs", "eels")
GREY = (0xD0, 0xD5, 0xDB)  # of what is not drawn
TILE, TOP_LEFT = 96, (8, 8)


def tone(label: int, number: int) -> tuple[int, int, int]:
    return 40 + 80 * label, 10 * number, 30


@pytest.fixture
def pets(settings: Settings) -> Path:
    """A folder of three classes with 8 images of one colour each."""
    folder = settings.data_dir / "datasets" / "pets"
    for label, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for number in range(8):
            Image.new("RGB", (32, 32), tone(label, number)).save(folder / name / f"{number}.png")
    return folder


def register(client: TestClient, name: str = "pets") -> None:
    answer = client.post("/v1/datasets", json={"name": name, "folder": name, "native_px": 32})
    assert answer.status_code == 201, answer.text


def read(client: TestClient, name: str = "pets", tag: str | None = None, px: int | None = None) -> Response:
    headers = {} if tag is None else {"If-None-Match": tag}
    return client.get(f"/v1/datasets/{name}/samples.png", params={} if px is None else {"px": px}, headers=headers)


def colours(answer: Response, px: int = TILE) -> list[tuple[int, ...]]:
    """Return the colour in the middle of each of the 16 images."""
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png"), answer.text
    sheet = Image.open(BytesIO(answer.content)).convert("RGB")
    width, height = (sheet.width - 8) // 4, (sheet.height - 8) // 4
    left, top = TOP_LEFT[0] + px // 2, TOP_LEFT[1] + px // 2
    return [sheet.getpixel((left + i % 4 * width, top + i // 4 * height)) for i in range(16)]


def test_sheet_shows_the_listed_images_of_all_classes(client: TestClient, pets: Path) -> None:
    register(client)

    answer = read(client)
    listed = client.get("/v1/datasets/pets").json()["samples"]

    numbers = [(CLASSES.index(one["label"]), int(Path(one["path"]).stem)) for one in listed]
    assert [label for label, _ in numbers] == [0] * 6 + [1] * 5 + [2] * 5
    assert len(set(numbers)) == 16
    assert colours(answer) == [tone(*number) for number in numbers]
    assert read(client).content == answer.content


def test_images_are_resized_to_the_px_of_the_request(client: TestClient, pets: Path) -> None:
    register(client)

    at_stored, at_200 = read(client), read(client, px=200)

    assert colours(at_200, px=200) == colours(at_stored)
    assert at_200.headers["etag"] != at_stored.headers["etag"]
    assert [read(client, px=px).status_code for px in (7, 513)] == [422, 422]


def test_unchanged_sheet_is_not_drawn_again(client: TestClient, pets: Path) -> None:
    register(client)
    tag = read(client).headers["etag"]
    (pets / "cats" / "0.png").unlink()

    assert read(client, tag=tag).status_code == 304
    missing = read(client)
    Image.new("RGB", (32, 32), "white").save(pets / "cats" / "0.png")
    replaced = read(client)

    for answer in (missing, replaced):
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/conflict")
        assert "'cats/0.png' of 'pets' has changed" in answer.json()["detail"]
    client.post("/v1/datasets/pets/refresh")
    refreshed = read(client, tag=tag)
    assert (colours(refreshed)[0], refreshed.headers["etag"] == tag) == ((255, 255, 255), False)


def test_huge_image_is_not_decoded(client: TestClient, pets: Path) -> None:
    Image.new("1", (4097, 4096), 1).save(pets / "cats" / "0.png")
    register(client)

    assert colours(read(client))[:2] == [GREY, tone(0, 1)]


def test_images_in_shards_and_with_invalid_names_are_drawn(client: TestClient, settings: Settings, pets: Path) -> None:
    shards = settings.data_dir / "datasets" / "shards"
    shards.mkdir()
    with tarfile.open(shards / "pets.tar", "w") as tar:
        for label, name in enumerate(CLASSES):
            for number in range(8):
                for suffix, content in (
                    ("png", (pets / name / f"{number}.png").read_bytes()),
                    ("cls", str(label).encode()),
                ):
                    member = tarfile.TarInfo(f"{label}{number}.{suffix}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    os.rename(os.fsencode(pets / "eels" / "0.png"), os.fsencode(pets / "eels") + b"/\xff\n.png")
    register(client)
    register(client, "shards")

    assert (colours(read(client, "shards"))[-1], colours(read(client))[-1]) == (tone(2, 7), tone(2, 0))
    assert client.get("/v1/datasets/pets").json()["samples"][-1]["path"] == "eels/\\udcff\\n.png"


@pytest.mark.usefixtures("pets")
def test_data_set_without_chosen_samples_is_refreshed_first(client: TestClient, work: Callable[[], UnitOfWork]) -> None:
    register(client)
    with work() as unit:
        row = unit.datasets.lock("pets")
        assert row is not None
        row.report = {name: value for name, value in (row.report or {}).items() if name != "samples"}
        unit.commit()

    refused = read(client)

    assert (refused.status_code, "refresh" in refused.json()["detail"]) == (409, True)
    assert client.post("/v1/datasets/pets/refresh").status_code == 200
    assert read(client).status_code == 200


@pytest.mark.usefixtures("pets")
def test_folder_without_samples_yet_says_why(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.http.app.run_checks", lambda settings, stop: None)
    monkeypatch.setattr(dataset_registration, "REQUEST_SECONDS", -1.0)
    client.post("/v1/datasets", json={"name": "pets", "folder": "pets", "native_px": 32})

    checking, unknown = read(client), read(client, "none")

    assert (checking.status_code, "still being checked" in checking.json()["detail"]) == (409, True)
    assert (unknown.status_code, unknown.json()["type"]) == (422, "/problems/unknown-dataset")


def test_built_in_images_are_drawn_where_they_are(client: TestClient) -> None:
    assert read(client, "digits").status_code == 200
    scenes = read(client, "articles-on-photos")
    assert (scenes.status_code, "a training on it composes them" in scenes.json()["detail"]) == (409, True)
