"""Each of the doctor's checks, with what it looks for really wrong; and with all well."""

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

from app import typefaces
from app.cli import main
from app.db.migrate import downgrade, upgrade
from app.db.session import engine_for
from app.doctor import database, storage
from tests.serving import Served, served
from tests.support import absent, free_port, listening


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("service")) as service:
        with service.work() as work:
            work.workers.beat("a-host:7", 1, None)
            work.commit()
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


def test_where_all_is_well_nothing_fails(doctor: Doctor, service: Served, capsys: pytest.CaptureFixture[str]) -> None:
    found = doctor(data_dir=service.settings.data_dir, port=service.url.rpartition(":")[2], workers=1, threads=1)

    well = {name for name, one in found.items() if one["state"] == "ok"}
    assert set(found) - well <= {"fonts", "data sets", "free space"}  # what this machine may lack
    assert "version" in found["service"]["detail"]
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "ok    settings: valid" in lines


def test_a_slip_of_the_fingers(doctor: Doctor, migrated: Path) -> None:
    found = doctor(data_dir=migrated, prot=8001)["variables"]

    assert found["state"] == "warn"
    assert "RDW_PROT: did you mean RDW_PORT?" in found["cure"]


def test_a_name_is_compared_without_what_all_names_begin_with(doctor: Doctor, migrated: Path) -> None:
    found = doctor(data_dir=migrated, foo=1)["variables"]

    assert (found["state"], found["cure"]) == ("warn", "unset RDW_FOO")


def test_settings_that_are_none(doctor: Doctor, tmp_path: Path) -> None:
    found = doctor(data_dir=tmp_path, port=0)

    assert found["settings"]["state"] == "fail"
    assert "RDW_PORT" in found["settings"]["detail"]
    assert set(found) == {"variables", "settings"}


def test_what_is_wrong_with_a_setting_is_said_in_our_words(doctor: Doctor, tmp_path: Path) -> None:
    detail = doctor(data_dir=tmp_path, database_url="nonsense")["settings"]["detail"]

    assert detail.startswith("RDW_DATABASE_URL: postgresql://")


def test_open_to_others_without_a_key(doctor: Doctor, migrated: Path) -> None:
    assert doctor(data_dir=migrated, host="0.0.0.0", port=free_port())["keys"]["state"] == "fail"


def test_a_data_directory_that_cannot_be_written(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    found = doctor(data_dir=tmp_path / "file" / "below", database_url=f"sqlite:///{tmp_path}/rdw.sqlite3")

    assert found["data directory"]["state"] == "fail"


@pytest.mark.parametrize(("free", "state"), [(10**8, "fail"), (2 * 10**9, "warn"), (10**11, "ok")])
def test_a_disk_that_is_full(free: int, state: str) -> None:
    assert storage.room(free, Path("/data")).state == state


def test_a_database_on_a_file_system_of_the_network() -> None:
    there = (r"/dev/sda1 / ext4", r"server:/export /mnt/shared\040data nfs4", r"/dev/sdb1 /mnt/shared\040data/own xfs")
    mounts = "".join(f"{line} rw 0 0\n" for line in there)
    shared, own = Path("/mnt/shared data/rdw.sqlite3"), Path("/mnt/shared data/own/rdw.sqlite3")

    assert storage.on_file_system(shared, storage.file_system(shared, mounts)).state == "fail"
    assert storage.on_file_system(own, storage.file_system(own, mounts)).state == "ok"
    assert storage.file_system(Path("/home/rdw"), mounts) == "ext4"


def test_a_database_that_is_away(doctor: Doctor, tmp_path: Path) -> None:
    found = doctor(data_dir=tmp_path, database_url=f"postgresql://nobody@127.0.0.1:{free_port()}/none")

    assert found["database"]["state"] == "fail"
    assert "RDW_DATABASE_URL" in found["database"]["cure"]


NEED_TABLES = {"keys", "workers", "data sets"}


def failed(found: dict[str, dict[str, str]]) -> list[str]:
    return [name for name, one in found.items() if one["state"] == "fail"]


def skipped(found: dict[str, dict[str, str]]) -> dict[str, str]:
    return {name: one["detail"] for name, one in found.items() if one["state"] == "skip"}


def test_one_fault_of_the_database_is_one_finding(doctor: Doctor, tmp_path: Path) -> None:
    away = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    found = doctor(data_dir=tmp_path, database_url=away, port=free_port(), host="0.0.0.0")

    assert failed(found) == ["database"]
    assert skipped(found) == dict.fromkeys(NEED_TABLES | {"schema", "clock"}, "skipped: the database does not answer")
    assert list(found).index("database") < list(found).index("keys")


def test_tables_that_lack_are_one_finding(doctor: Doctor, tmp_path: Path) -> None:
    found = doctor(data_dir=tmp_path, port=free_port())

    assert failed(found) == ["schema"]
    assert skipped(found) == dict.fromkeys(NEED_TABLES, "skipped: the database lacks this version's tables")
    engine_for(f"sqlite:///{tmp_path / 'rdw.sqlite3'}").dispose()


def test_a_data_directory_that_is_none_is_one_finding(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    found = doctor(data_dir=tmp_path / "file", port=free_port())

    assert failed(found) == ["data directory"]
    assert skipped(found)["database"] == "skipped: the data directory cannot be written"


def test_keys_of_the_settings_are_there_without_a_database(doctor: Doctor, tmp_path: Path) -> None:
    away = f"postgresql://nobody@127.0.0.1:{free_port()}/none"

    assert doctor(data_dir=tmp_path, database_url=away, api_keys="0" * 64)["keys"]["state"] == "ok"


def test_a_schema_newer_than_this_version_is_not_to_be_migrated(doctor: Doctor, migrated: Path) -> None:
    with engine_for(f"sqlite:///{migrated / 'rdw.sqlite3'}").begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

    found = doctor(data_dir=migrated, port=free_port())["schema"]

    assert (found["state"], "newer" in found["detail"], "rdw migrate" in found["cure"]) == ("warn", True, False)


def test_a_schema_that_is_not_there_or_old(doctor: Doctor, tmp_path: Path) -> None:
    found = doctor(data_dir=tmp_path)["schema"]
    assert (found["state"], "no tables" in found["detail"]) == ("fail", True)

    url = f"sqlite:///{tmp_path / 'rdw.sqlite3'}"
    upgrade(url)
    downgrade(url, "0003")
    found = doctor(data_dir=tmp_path)["schema"]
    assert (found["state"], "at 0003" in found["detail"]) == ("fail", True)
    assert "rdw migrate" in found["cure"]
    engine_for(url).dispose()


def test_a_clock_that_is_wrong(doctor: Doctor, migrated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - 60)

    found = doctor(data_dir=migrated)["clock"]

    assert (found["state"], "60 s ahead" in found["detail"]) == ("warn", True)
    assert database.skewed(-1.0).state == "ok"


def test_a_broker_that_is_away(doctor: Doctor, migrated: Path) -> None:
    found = doctor(data_dir=migrated, broker_url=f"redis://127.0.0.1:{free_port()}/0")

    assert found["broker"]["state"] == "fail"
    assert "RDW_BROKER_URL" in found["broker"]["cure"]


@pytest.fixture
def evicting(tmp_path: Path) -> Iterator[str]:
    """The URL of a Redis of the test's own that throws messages away when it is full."""
    if shutil.which("redis-server") is None:
        absent("redis-server")
    port = free_port()
    policy = ["--maxmemory-policy", "allkeys-lru", "--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen(["redis-server", "--port", str(port), *policy], stdout=subprocess.DEVNULL)
    try:
        while not listening("127.0.0.1", port):
            assert process.poll() is None
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(10)


def test_a_broker_that_evicts(doctor: Doctor, migrated: Path, evicting: str) -> None:
    found = doctor(data_dir=migrated, broker_url=evicting)

    assert found["broker"]["state"] == "ok"
    assert found["broker's memory"]["state"] == "warn"
    assert "allkeys-lru" in found["broker's memory"]["detail"]


def test_a_broker_that_keeps_what_it_has(doctor: Doctor, migrated: Path, redis: str) -> None:
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
        ({}, "fail", "taken by something else"),
        ({"/openapi.json": (200, {"info": {"title": "rdw", "version": "0.0.1"}})}, "warn", "version 0.0.1 runs"),
        (
            {"/openapi.json": (200, None), "/readyz": (503, {"database": "ok", "broker": "away"})},
            "fail",
            "broker: away",
        ),
    ],
    ids=["another service", "an old version", "not ready"],
)
def test_what_answers_on_the_port(
    doctor: Doctor, migrated: Path, service: Served, said: dict[str, Any], state: str, words: str
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


def test_a_service_that_asks_for_a_key_is_known_as_one(doctor: Doctor, tmp_path: Path) -> None:
    digest = hashlib.sha256(b"the key").hexdigest()
    with served(tmp_path, api_keys=digest) as closed:
        found = doctor(data_dir=tmp_path, port=closed.url.rpartition(":")[2], api_keys=digest)

    assert (found["service"]["state"], found["keys"]["state"]) == ("ok", "ok")


def test_a_port_that_says_nothing_of_the_kind(doctor: Doctor, migrated: Path) -> None:
    assert doctor(data_dir=migrated, port=free_port())["service"]["state"] == "ok"


def test_no_worker(doctor: Doctor, migrated: Path) -> None:
    assert doctor(data_dir=migrated)["workers"]["state"] == "warn"


def test_no_torch(doctor: Doctor, migrated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)

    found = doctor(data_dir=migrated)["torch"]

    assert (found["state"], "rdw[worker]" in found["cure"]) == ("warn", True)


def test_a_gpu_that_is_not_there(doctor: Doctor, migrated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    found = doctor(data_dir=migrated, device="cuda", port=free_port())["device"]

    assert found["state"] == "fail"
    assert "RDW_DEVICE is cuda" in found["detail"]
    assert doctor(data_dir=migrated, device="auto")["device"]["state"] == "ok"


def test_more_threads_than_cores(doctor: Doctor, migrated: Path) -> None:
    assert doctor(data_dir=migrated, workers=4, threads=64)["threads"]["state"] == "warn"


def test_no_fonts(doctor: Doctor, migrated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typefaces, "font_folders", lambda: [migrated])

    found = doctor(data_dir=migrated)["fonts"]

    assert found["state"] == "warn"
    assert "python -m worker.fetch typefaces" in found["cure"] and len(found["cure"]) < 240


def test_a_data_set_that_is_gone(doctor: Doctor, migrated: Path) -> None:
    from PIL import Image

    from app.db.unit_of_work import UnitOfWork
    from app.services import datasets

    for name in ("cat", "dog"):
        folder = migrated / "datasets" / "pets" / name
        folder.mkdir(parents=True)
        for n in range(10):
            Image.new("RGB", (8, 8), (n, 20 * n, len(name))).save(folder / f"{n}.png")
    with UnitOfWork(f"sqlite:///{migrated / 'rdw.sqlite3'}") as work:
        datasets.register(work, "pets", "pets", 8, migrated)
    (migrated / "datasets" / "pets").rename(migrated / "elsewhere")

    found = doctor(data_dir=migrated)["data sets"]

    assert found["state"] == "warn"
    assert "pets" in found["detail"]
