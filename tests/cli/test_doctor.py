"""Each check of `rdw doctor` with the problem that it detects, and without problems."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from redis import Redis

from app.cli import main
from app.data import fonts
from app.db.migrate import downgrade, upgrade
from app.db.session import engine_for
from app.doctor import database, storage
from tests.serving import RunningService, serve_api
from tests.support import find_free_port, is_listening, skip_without


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with serve_api(tmp_path_factory.mktemp("service")) as service:
        yield service


class Doctor:
    """Runs `rdw doctor` with these settings; its findings by check."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys
        for name in [name for name in os.environ if name.startswith("RDW_") and not name.startswith("RDW_TEST_")]:
            monkeypatch.delenv(name)

    def __call__(self, **settings: object) -> dict[str, dict[str, str]]:
        for name, value in settings.items():
            self._monkeypatch.setenv(f"RDW_{name.upper()}", str(value))
        code = main(["doctor", "--json"])
        found = json.loads(self._capsys.readouterr().out)
        assert code == int(any(one["state"] == "fail" for one in found))
        assert all(one["cure"] for one in found if one["state"] in ("warn", "fail"))
        assert all(one["detail"].startswith("skipped: ") for one in found if one["state"] == "skip")
        return {one["check"]: one for one in found}


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Doctor]:
    level = logging.getLogger("rdw").level
    yield Doctor(monkeypatch, capsys)
    logging.getLogger("rdw").setLevel(level)  # the doctor silences it, for the command's life


@pytest.fixture
def migrated(tmp_path: Path) -> Iterator[Path]:
    """A data directory with a database, and a port that nobody uses."""
    url = f"sqlite:///{tmp_path / 'rdw.sqlite3'}"
    upgrade(url)
    yield tmp_path
    engine_for(url).dispose()


def test_healthy_service_has_no_failed_check(
    doctor: Doctor, service: RunningService, capsys: pytest.CaptureFixture[str]
) -> None:
    with service.work() as work:
        work.workers.record_heartbeat("a-host:7", 1, None)
        work.commit()

    found = doctor(data_dir=service.settings.data_dir, port=service.url.rpartition(":")[2], workers=1, threads=1)

    well = {name for name, one in found.items() if one["state"] == "ok"}
    assert set(found) - well <= {"fonts", "data sets", "free space"}  # what this machine may lack
    assert "version" in found["service"]["detail"]
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "ok    settings: valid" in lines


def test_misspelt_variable_is_a_warning_with_a_suggestion(doctor: Doctor, migrated: Path) -> None:
    found = doctor(data_dir=migrated, prot=8001)["variables"]

    assert found["state"] == "warn"
    assert "RDW_PROT: did you mean RDW_PORT?" in found["cure"]


def test_unknown_variable_gets_no_far_fetched_suggestion(doctor: Doctor, migrated: Path) -> None:
    found = doctor(data_dir=migrated, foo=1)["variables"]

    assert (found["state"], found["cure"]) == ("warn", "unset RDW_FOO")


def test_invalid_setting_fails_and_stops_the_checks(doctor: Doctor, tmp_path: Path) -> None:
    found = doctor(data_dir=tmp_path, port=0)

    assert found["settings"]["state"] == "fail"
    assert "RDW_PORT" in found["settings"]["detail"]
    assert set(found) == {"variables", "settings"}


def test_invalid_setting_is_explained_by_its_variable(doctor: Doctor, tmp_path: Path) -> None:
    detail = doctor(data_dir=tmp_path, database_url="nonsense")["settings"]["detail"]

    assert detail.startswith("RDW_DATABASE_URL: postgresql://")


def test_public_host_without_a_key_fails(doctor: Doctor, migrated: Path) -> None:
    assert doctor(data_dir=migrated, host="0.0.0.0", port=find_free_port())["keys"]["state"] == "fail"


def test_unwritable_data_directory_fails(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    database = f"sqlite:///{tmp_path}/rdw.sqlite3"
    found = doctor(data_dir=tmp_path / "file" / "below", database_url=database)
    engine_for(database).dispose()

    assert found["data directory"]["state"] == "fail"


@pytest.mark.parametrize(("free", "state"), [(10**8, "fail"), (2 * 10**9, "warn"), (10**11, "ok")])
def test_free_disk_space_decides_the_state(free: int, state: str) -> None:
    assert storage.check_free(free, Path("/data")).state == state


def test_sqlite_on_a_network_file_system_fails() -> None:
    there = (r"/dev/sda1 / ext4", r"server:/export /mnt/shared\040data nfs4", r"/dev/sdb1 /mnt/shared\040data/own xfs")
    mounts = "".join(f"{line} rw 0 0\n" for line in there)
    shared, own = Path("/mnt/shared data/rdw.sqlite3"), Path("/mnt/shared data/own/rdw.sqlite3")

    assert storage.check_file_system(shared, storage.file_system(shared, mounts)).state == "fail"
    assert storage.check_file_system(own, storage.file_system(own, mounts)).state == "ok"
    assert storage.file_system(Path("/home/rdw"), mounts) == "ext4"


def test_unavailable_database_fails(doctor: Doctor, tmp_path: Path) -> None:
    found = doctor(data_dir=tmp_path, database_url=f"postgresql://nobody@127.0.0.1:{find_free_port()}/none")

    assert found["database"]["state"] == "fail"
    assert "RDW_DATABASE_URL" in found["database"]["cure"]


NEED_TABLES = {"keys", "workers", "data sets"}


def failed(found: dict[str, dict[str, str]]) -> list[str]:
    return [name for name, one in found.items() if one["state"] == "fail"]


def skipped(found: dict[str, dict[str, str]]) -> dict[str, str]:
    return {name: one["detail"] for name, one in found.items() if one["state"] == "skip"}


def test_unavailable_database_skips_dependent_checks(doctor: Doctor, tmp_path: Path) -> None:
    away = f"postgresql://nobody@127.0.0.1:{find_free_port()}/none"
    found = doctor(data_dir=tmp_path, database_url=away, port=find_free_port(), host="0.0.0.0")

    assert failed(found) == ["database"]
    assert skipped(found) == dict.fromkeys(NEED_TABLES | {"schema", "clock"}, "skipped: the database does not answer")
    assert list(found).index("database") < list(found).index("keys")


def test_missing_tables_skip_dependent_checks(doctor: Doctor, tmp_path: Path) -> None:
    found = doctor(data_dir=tmp_path, port=find_free_port())

    assert failed(found) == ["schema"]
    assert skipped(found) == dict.fromkeys(NEED_TABLES, "skipped: the database schema is outdated")
    engine_for(f"sqlite:///{tmp_path / 'rdw.sqlite3'}").dispose()


def test_invalid_data_directory_skips_dependent_checks(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    found = doctor(data_dir=tmp_path / "file", port=find_free_port())

    assert failed(found) == ["data directory"]
    assert skipped(found)["database"] == "skipped: the data directory cannot be written"


def test_keys_in_settings_need_no_database(doctor: Doctor, tmp_path: Path) -> None:
    away = f"postgresql://nobody@127.0.0.1:{find_free_port()}/none"

    assert doctor(data_dir=tmp_path, database_url=away, api_keys="0" * 64)["keys"]["state"] == "ok"


def test_newer_schema_is_a_warning_without_migration(doctor: Doctor, migrated: Path) -> None:
    with engine_for(f"sqlite:///{migrated / 'rdw.sqlite3'}").begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

    found = doctor(data_dir=migrated, port=find_free_port())["schema"]

    assert (found["state"], "newer" in found["detail"], "rdw migrate" in found["cure"]) == ("warn", True, False)


def test_missing_or_old_schema_fails(doctor: Doctor, tmp_path: Path) -> None:
    found = doctor(data_dir=tmp_path)["schema"]
    assert (found["state"], "no tables" in found["detail"]) == ("fail", True)

    url = f"sqlite:///{tmp_path / 'rdw.sqlite3'}"
    upgrade(url)
    downgrade(url, "0003")
    found = doctor(data_dir=tmp_path)["schema"]
    assert (found["state"], "has schema 0003" in found["detail"]) == ("fail", True)
    assert "rdw migrate" in found["cure"]
    engine_for(url).dispose()


def test_clock_skew_is_a_warning(doctor: Doctor, migrated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - 60)

    found = doctor(data_dir=migrated)["clock"]

    assert (found["state"], "60 s ahead" in found["detail"]) == ("warn", True)
    assert database.check_skew(-1.0).state == "ok"


def test_unavailable_broker_fails(doctor: Doctor, migrated: Path) -> None:
    found = doctor(data_dir=migrated, broker_url=f"redis://127.0.0.1:{find_free_port()}/0")

    assert found["broker"]["state"] == "fail"
    assert "RDW_BROKER_URL" in found["broker"]["cure"]


@pytest.fixture
def evicting(tmp_path: Path) -> Iterator[str]:
    """The URL of a Redis of the test's own that throws messages away when it is full."""
    if shutil.which("redis-server") is None:
        skip_without("redis-server")
    port = find_free_port()
    policy = ["--maxmemory-policy", "allkeys-lru", "--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen(["redis-server", "--port", str(port), *policy], stdout=subprocess.DEVNULL)
    try:
        while not is_listening("127.0.0.1", port):
            assert process.poll() is None
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(10)


def test_evicting_broker_is_a_warning(doctor: Doctor, migrated: Path, evicting: str) -> None:
    found = doctor(data_dir=migrated, broker_url=evicting)

    assert found["broker"]["state"] == "ok"
    assert found["broker's memory"]["state"] == "warn"
    assert "allkeys-lru" in found["broker's memory"]["detail"]


def test_reachable_broker_passes(doctor: Doctor, migrated: Path, redis: str) -> None:
    with Redis.from_url(redis) as server:
        policy = server.config_get("maxmemory-policy")["maxmemory-policy"]  # type: ignore[index]

    found = doctor(data_dir=migrated, broker_url=redis)

    assert found["broker"]["state"] == "ok"
    assert found["broker's memory"]["state"] == ("ok" if policy == "noeviction" else "warn")


class Answering(BaseHTTPRequestHandler):
    """What the server's `said` has for a path."""

    def do_GET(self) -> None:
        status, body = self.server.said.get(self.path, (404, {}))  # type: ignore[attr-defined]
        answer = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.mark.parametrize(
    ("said", "state", "words"),
    [
        ({}, "fail", "used by another process"),
        ({"/openapi.json": (200, {"info": {"title": "rdw", "version": "0.0.1"}})}, "warn", "version 0.0.1 runs"),
        (
            {"/openapi.json": (200, None), "/readyz": (503, {"database": "ok", "broker": "away"})},
            "fail",
            "broker: away",
        ),
    ],
    ids=["another service", "an old version", "not ready"],
)
def test_process_on_the_port_is_identified(
    doctor: Doctor, migrated: Path, service: RunningService, said: dict[str, Any], state: str, words: str
) -> None:
    if said.get("/openapi.json") == (200, None):
        import httpx

        said = {**said, "/openapi.json": (200, httpx.get(f"{service.url}/openapi.json").json())}
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        server.said = said  # type: ignore[attr-defined]
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        found = doctor(data_dir=migrated, port=server.server_address[1])["service"]
        server.shutdown()
        thread.join()

    assert found["state"] == state
    assert words in found["detail"]


def test_service_with_keys_is_recognized(doctor: Doctor, tmp_path: Path) -> None:
    digest = hashlib.sha256(b"the key").hexdigest()
    with serve_api(tmp_path, api_keys=digest) as closed:
        found = doctor(data_dir=tmp_path, port=closed.url.rpartition(":")[2], api_keys=digest)

    assert (found["service"]["state"], found["keys"]["state"]) == ("ok", "ok")


def test_unused_port_passes(doctor: Doctor, migrated: Path) -> None:
    assert doctor(data_dir=migrated, port=find_free_port())["service"]["state"] == "ok"


def test_missing_worker_is_a_warning(doctor: Doctor, migrated: Path) -> None:
    assert doctor(data_dir=migrated)["workers"]["state"] == "warn"


def test_missing_torch_is_a_warning(doctor: Doctor, migrated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)

    found = doctor(data_dir=migrated)["torch"]

    assert (found["state"], "rdw[worker]" in found["cure"]) == ("warn", True)


def test_missing_gpu_fails(doctor: Doctor, migrated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    found = doctor(data_dir=migrated, device="cuda", port=find_free_port())["device"]

    assert found["state"] == "fail"
    assert "RDW_DEVICE is cuda" in found["detail"]
    assert doctor(data_dir=migrated, device="auto")["device"]["state"] == "ok"


def test_more_threads_than_cores_is_a_warning(doctor: Doctor, migrated: Path) -> None:
    assert doctor(data_dir=migrated, workers=4, threads=64)["threads"]["state"] == "warn"


def test_missing_fonts_are_a_warning(doctor: Doctor, migrated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "font_folders", lambda: [migrated])

    found = doctor(data_dir=migrated)["fonts"]

    assert found["state"] == "warn"
    assert "python -m worker.data.fetch typefaces" in found["cure"] and len(found["cure"]) < 240


def test_missing_dataset_folder_is_a_warning(doctor: Doctor, migrated: Path) -> None:
    from PIL import Image

    from app.db.unit_of_work import UnitOfWork
    from app.services.catalog import dataset_registration
    from app.services.catalog.dataset_registration import FolderRequest

    for name in ("cat", "dog"):
        folder = migrated / "datasets" / "pets" / name
        folder.mkdir(parents=True)
        for n in range(10):
            Image.new("RGB", (8, 8), (n, 20 * n, len(name))).save(folder / f"{n}.png")
    with UnitOfWork(f"sqlite:///{migrated / 'rdw.sqlite3'}") as work:
        dataset_registration.register(work, "pets", FolderRequest("pets", 8, None, "#000000"), migrated)
    (migrated / "datasets" / "pets").rename(migrated / "elsewhere")

    found = doctor(data_dir=migrated)["data sets"]

    assert found["state"] == "warn"
    assert "pets" in found["detail"]
