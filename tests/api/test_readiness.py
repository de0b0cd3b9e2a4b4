"""A full disk is no longer ready: of the data directory, or of the embedded broker."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.core.settings import Settings
from app.http.app import create_app
from tests.support import skip_without

Mount = Callable[..., None]


@pytest.fixture
def mount() -> Iterator[Mount]:
    """Mounts a small file system at a folder."""
    mounted: list[Path] = []

    def mount(folder: Path, options: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if subprocess.run(command, capture_output=True).returncode:
            skip_without("the right to mount a small file system (root)")
        mounted.append(folder)

    yield mount
    for folder in reversed(mounted):
        subprocess.run(["umount", folder], check=True)


@pytest.fixture
def disk(settings: Settings, tmp_path: Path) -> Iterator[tuple[TestClient, Path]]:
    """A client of a service whose data directory is a folder of its own."""
    folder = tmp_path / "data"
    with TestClient(create_app(settings.model_copy(update={"data_dir": folder}))) as client:
        yield client, folder


def test_full_data_directory_is_not_ready(disk: tuple[TestClient, Path], mount: Mount) -> None:
    client, folder = disk
    mount(folder, "size=120m")
    assert client.get("/readyz?needs=disk").status_code == 200

    (folder / "filler").write_bytes(bytes(30_000_000))

    answer = client.get("/readyz?needs=disk")
    assert (answer.status_code, answer.json()["disk"].split(":")[0]) == (503, "is full")
    assert client.get("/readyz").json()["ready"] is False
    assert client.get("/readyz?needs=database").status_code == 200
    (folder / "filler").unlink()
    assert client.get("/readyz?needs=disk").json()["disk"] == "ok"


def test_full_disk_of_the_file_broker_is_not_ready(disk: tuple[TestClient, Path], mount: Mount) -> None:
    client, folder = disk
    mount(folder / "broker", "size=1m")

    assert client.get("/readyz?needs=disk").status_code == 503


def test_disk_without_free_files_is_not_ready(disk: tuple[TestClient, Path], mount: Mount) -> None:
    client, folder = disk
    mount(folder, "size=200m,nr_inodes=3")
    for name in "ab":
        (folder / name).touch()

    assert client.get("/readyz?needs=disk").status_code == 503


def test_missing_data_directory_has_the_space_of_its_parent(disk: tuple[TestClient, Path]) -> None:
    client, _ = disk

    assert client.get("/readyz?needs=disk").status_code == 200
