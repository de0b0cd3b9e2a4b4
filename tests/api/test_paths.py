"""Paths from clients stay below the data root, and special files there are not opened."""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from app.core.settings import Settings
from app.data.folder_scan import FolderError
from app.data.image_folders import describe
from app.db.unit_of_work import UnitOfWork
from app.services.catalog import datasets

Open = Callable[[], UnitOfWork]


@pytest.fixture
def root(settings: Settings) -> Path:
    """The data root, with a set of images beside it that nobody is to reach."""
    root = settings.data_dir / "datasets"
    root.mkdir()
    fill(settings.data_dir / "secret")
    return root


def fill(folder: Path) -> None:
    for name in ("cats", "dogs"):
        (folder / name).mkdir(parents=True)
        for n in range(5):
            Image.new("L", (8, 8), n).save(folder / name / f"{n}.png")


OUTSIDE = [
    "../secret",
    "a/../../secret",
    "./../secret",
    "/etc",
    "//etc",
    "..",
    ".",
    "a\x00b",
    "a" * 400,
    "a/" * 240 + "a",
    "a" * 501,
    "..\\secret",
    "\u2025/secret",
    "\uff0e\uff0e/secret",
    "..\u2215secret",
    "%2e%2e/secret",
    "~/secret",
    "\udcff",
]


def test_folder_outside_data_root_is_refused(client: TestClient, root: Path) -> None:
    for folder in OUTSIDE:
        body = json.dumps({"name": "pets", "folder": folder})
        answer = client.post("/v1/datasets", content=body, headers={"Content-Type": "application/json"})

        assert answer.status_code == 422, (folder, answer.text)
        assert str(root.parent) not in answer.text


def test_folder_link_out_of_data_root_is_refused(client: TestClient, root: Path) -> None:
    (root / "link").symlink_to(root.parent / "secret")
    fill(root / "own")
    for n in range(5):
        (root / "own" / "cats" / f"{n}.png").unlink()
    (root / "own" / "cats").rmdir()
    (root / "own" / "cats").symlink_to(root.parent / "secret" / "cats")

    answers = [client.post("/v1/datasets", json={"name": "pets", "folder": name}) for name in ("link", "own")]

    assert [answer.status_code for answer in answers] == [422, 422]
    assert all(str(root.parent) not in answer.text for answer in answers)


def test_file_link_out_of_data_root_is_refused(client: TestClient, root: Path) -> None:
    fill(root / "own")
    (root / "own" / "cats" / "0.png").unlink()
    (root / "own" / "cats" / "0.png").symlink_to(root.parent / "secret" / "cats" / "0.png")

    answer = client.post("/v1/datasets", json={"name": "pets", "folder": "own"})

    assert answer.status_code == 422
    assert "cats/0.png" in answer.json()["detail"]


def circle(first: Path, second: Path) -> None:
    """Two links, each to the other."""
    first.symlink_to(second)
    second.symlink_to(first)


@pytest.mark.parametrize("folder", ["a", "a/cats", "./b", "a/../own"])
def test_folder_link_loop_is_refused(client: TestClient, root: Path, folder: str) -> None:
    circle(root / "a", root / "b")
    fill(root / "own")

    answer = client.post("/v1/datasets", json={"name": "pets", "folder": folder})

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/unknown-dataset")
    assert answer.json()["detail"] == f"{folder!r} is a loop of symbolic links."


def test_link_loop_hides_no_outside_link(client: TestClient, root: Path) -> None:
    circle(root / "a", root / "b")
    (root / "link").symlink_to(root.parent / "secret")

    answer = client.post("/v1/datasets", json={"name": "pets", "folder": "a/../link"})

    assert answer.status_code == 422


def test_image_link_loop_is_refused(client: TestClient, root: Path) -> None:
    fill(root / "own")
    (root / "own" / "cats" / "x.png").symlink_to("x.png")

    answer = client.post("/v1/datasets", json={"name": "pets", "folder": "own"})

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/unknown-dataset")
    assert "'cats/x.png' of 'own'" in answer.json()["detail"]


def test_folder_turned_link_loop_is_listed_missing(client: TestClient, root: Path) -> None:
    fill(root / "own")
    assert client.post("/v1/datasets", json={"name": "pets", "folder": "own"}).status_code == 201
    shutil.rmtree(root / "own")
    circle(root / "own", root / "b")

    assert listed(client, "pets")["missing"] == "'own' is a loop of symbolic links."


def listed(client: TestClient, name: str) -> dict[str, str]:
    [found] = [item for item in client.get("/v1/datasets").json()["items"] if item["name"] == name]
    return dict(found)


def pipe(place: Path) -> None:
    os.mkfifo(place)


def bound_socket(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(place))  # whole, it may be longer than a socket's name


@pytest.mark.timeout(60)
@pytest.mark.parametrize("made", [pipe, bound_socket])
def test_special_file_is_not_opened_as_image(client: TestClient, root: Path, made: Callable[[Path], None]) -> None:
    """Nobody writes to the pipe: who opens it to read waits for ever."""
    fill(root / "own")
    made(root / "own" / "cats" / "x.png")

    answer = client.post("/v1/datasets", json={"name": "pets", "folder": "own"})

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/unknown-dataset")
    assert "'cats/x.png' of 'own'" in answer.json()["detail"]


def written_otherwise(root: Path) -> list[str]:
    return ["pets", "./pets", "pets//", "pets/.", "pets/../pets", "pets/cats/..", str(root / "pets"), "to-pets"]


def test_path_spelling_does_not_change_data_set(client: TestClient, work: Open, root: Path) -> None:
    fill(root / "pets")
    (root / "to-pets").symlink_to("pets")
    folders = written_otherwise(root)

    kept = []
    for n, folder in enumerate(folders):
        assert client.post("/v1/datasets", json={"name": f"pets-{n}", "folder": folder}).status_code == 201, folder
        with work() as unit:
            kept.append(datasets.find(unit, f"pets-{n}"))
    again = [client.post("/v1/datasets", json={"name": "pets-0", "folder": folder}) for folder in folders]

    assert {dataset.folder for dataset in kept} == {"pets"}
    assert {dataset.description for dataset in kept} == {"Images in 'pets'."}
    assert [answer.status_code for answer in again] == [200] * len(folders)
    assert len({answer.text for answer in again}) == 1


def test_earlier_path_spelling_is_the_same_data_set(client: TestClient, work: Open, root: Path) -> None:
    fill(root / "pets")
    client.post("/v1/datasets", json={"name": "pets", "folder": "pets"})
    with work() as unit:
        row = unit.datasets.get("pets")
        assert row is not None
        row.spec = {**row.spec, "folder": "./pets/", "description": "Images in './pets/'."}
        unit.commit()

    for folder in ("./pets/", "pets"):
        assert client.post("/v1/datasets", json={"name": "pets", "folder": folder}).status_code == 200


def test_copied_folder_is_another_data_set(client: TestClient, root: Path) -> None:
    fill(root / "pets")
    fill(root / "more")
    assert client.post("/v1/datasets", json={"name": "pets", "folder": "pets"}).status_code == 201

    assert client.post("/v1/datasets", json={"name": "pets", "folder": "more"}).status_code == 409


ELSEWHERE = ["..%2f..%2frdw.sqlite3", "../../rdw.sqlite3", "weights.safetensors%00", "checkpoint.pt", "weights.pt"]


def test_only_an_artifacts_own_name_is_served(client: TestClient) -> None:
    for file in ELSEWHERE:
        answer = client.get(f"/v1/trials/{'0' * 32}/artifacts/{file}")

        assert answer.status_code in (404, 422), file
        assert answer.headers["content-type"] == "application/problem+json"


def test_decompression_bomb_is_refused(settings: Settings, root: Path) -> None:
    fill(root / "own")
    (root / "own" / "cats" / "0.png").write_bytes(bomb(30_000))

    with pytest.raises(FolderError, match=r"cats/0\.png"):
        describe("own", "own", 64, settings.data_dir)


DRAWINGS = {
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(/etc/passwd) run\n%%EOF\n",
}


@pytest.mark.parametrize("kind", DRAWINGS)
def test_vector_drawing_is_not_an_image(settings: Settings, root: Path, kind: str) -> None:
    """What is a program to draw by is never run: neither by its own name, nor under another."""
    fill(root / "own")
    (root / "own" / "cats" / f"6.{kind}").write_bytes(DRAWINGS[kind])
    assert describe("own", "own", 64, settings.data_dir).num_classes == 2

    (root / "own" / "cats" / "6.png").write_bytes(DRAWINGS[kind])
    with pytest.raises(FolderError, match=r"cats/6\.png"):
        describe("own", "own", 64, settings.data_dir)


def bomb(side: int) -> bytes:
    """A PNG that says it is very large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
