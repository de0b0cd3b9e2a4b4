"""A process of the service that cannot start reports the reason on one line."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from app.db.migrate import downgrade, upgrade
from app.db.session import engine_for
from tests.failures.service import Service, running, wait_for
from tests.support import find_free_port


def rdw(*arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RDW_")}
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        env={
            **environment,
            "RDW_PORT": str(find_free_port()),
            **{name: str(value) for name, value in settings.items()},
        },
        capture_output=True,
        text=True,
        timeout=60,
    )


def only_line(ended: subprocess.CompletedProcess[str], code: int = 1) -> str:
    assert ended.returncode == code, ended.stderr
    [line] = ended.stderr.splitlines()
    return line


def test_api_refuses_a_database_without_tables(empty_database: str, tmp_path: Path) -> None:
    line = only_line(rdw("api", RDW_DATA_DIR=tmp_path, RDW_DATABASE_URL=empty_database))

    assert line == "The database has no tables yet: run `rdw migrate`."


def test_api_refuses_an_older_schema(sqlite: str, tmp_path: Path) -> None:
    upgrade(sqlite)
    downgrade(sqlite, "0003")
    engine_for(sqlite).dispose()

    line = only_line(rdw("api", RDW_DATA_DIR=tmp_path, RDW_DATABASE_URL=sqlite))

    assert "has schema 0003, but this version requires" in line and "run `rdw migrate`" in line


@pytest.mark.parametrize("command", [["keys", "list"], ["keys", "revoke", "ci"]], ids=" ".join)
def test_missing_tables_are_reported_with_the_fix(command: list[str], empty_database: str, tmp_path: Path) -> None:
    assert "Run `rdw migrate`" in only_line(rdw(*command, RDW_DATA_DIR=tmp_path, RDW_DATABASE_URL=empty_database))


def test_key_is_not_created_without_tables(tmp_path: Path) -> None:
    made = rdw("keys", "create", "--name", "ci", "--scope", "read", RDW_DATA_DIR=tmp_path)

    assert "Run `rdw migrate`" in only_line(made) and made.stdout == ""


def test_unavailable_database_is_reported_with_its_address(tmp_path: Path) -> None:
    port = find_free_port()
    line = only_line(rdw("keys", "list", RDW_DATA_DIR=tmp_path, RDW_DATABASE_URL=f"postgresql://me@127.0.0.1:{port}/x"))

    assert "The database does not answer: " in line and str(port) in line and line.endswith("(RDW_DATABASE_URL)")


@pytest.mark.parametrize(
    "command", ["serve", *(pytest.param(c, marks=pytest.mark.exhaustive) for c in ("api", "worker", "migrate"))]
)
@pytest.mark.parametrize("below", ["", "below"], ids=["a file", "below a file"])
def test_invalid_data_directory_is_reported_before_start(command: str, below: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / below

    line = only_line(rdw(command, RDW_DATA_DIR=folder))

    assert line == f"RDW_DATA_DIR: {folder} cannot be written: Not a directory"


@pytest.mark.parametrize("command", ["serve", "migrate"])
def test_uncreatable_database_file_is_reported(command: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    url = f"sqlite:///{tmp_path}/file/rdw.sqlite3"

    line = only_line(rdw(command, RDW_DATA_DIR=tmp_path / "data", RDW_DATABASE_URL=url))

    assert line == f"RDW_DATABASE_URL: {tmp_path}/file cannot be written: Not a directory"


def test_keys_report_an_invalid_data_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert "unable to open database file" in only_line(rdw("keys", "list", RDW_DATA_DIR=tmp_path / "file"))


@pytest.mark.parametrize("command", ["serve", "api"])
def test_taken_port_is_reported_on_one_line(command: str, sqlite: str, tmp_path: Path) -> None:
    upgrade(sqlite)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = only_line(rdw(command, RDW_PORT=port, RDW_DATA_DIR=tmp_path))

    assert line == f"port {port} is taken: set RDW_PORT (make: PORT=…) to another one"


@pytest.mark.parametrize("command", ["serve", "api"])
def test_foreign_address_is_not_called_a_taken_port(command: str, tmp_path: Path) -> None:
    line = only_line(rdw(command, RDW_HOST="203.0.113.7", RDW_API_KEYS="0" * 64, RDW_DATA_DIR=tmp_path))

    assert line.startswith("RDW_HOST, RDW_PORT: 203.0.113.7:") and "cannot be listened on: " in line


def test_serve_stopped_before_the_database_announces_nothing(tmp_path: Path) -> None:
    away = f"postgresql://nobody@127.0.0.1:{find_free_port()}/none"
    service = Service(tmp_path, RDW_DATABASE_URL=away)
    wait_for(lambda: "does not answer" in service.log(), service.log)
    service.process.send_signal(signal.SIGTERM)

    assert service.process.wait(30) == 0
    service.stop()
    assert "API on" not in service.log()


@pytest.mark.exhaustive
def test_library_warnings_are_not_logged_at_start(tmp_path: Path) -> None:
    with running(tmp_path, RDW_WORKERS="1", RDW_DATABASE_URL="", RDW_BROKER_URL="") as service:
        log = service.log()

    assert ", 1 worker\n" in log
    assert "ready" in log
    assert "SecurityWarning" not in log and "No hostname was supplied" not in log
