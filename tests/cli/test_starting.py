"""What keeps a process of the service from starting is said in a line, before it starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.db.migrate import downgrade, upgrade
from app.db.session import engine_for
from tests.support import free_port


def rdw(*arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RDW_")}
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        env={**environment, "RDW_PORT": str(free_port()), **{name: str(value) for name, value in settings.items()}},
        capture_output=True,
        text=True,
        timeout=60,
    )


def only_line(ended: subprocess.CompletedProcess[str], code: int = 1) -> str:
    assert ended.returncode == code, ended.stderr
    [line] = ended.stderr.splitlines()
    return line


def test_the_api_does_not_start_on_a_database_without_tables(empty_database: str, tmp_path: Path) -> None:
    line = only_line(rdw("api", RDW_DATA_DIR=tmp_path, RDW_DATABASE_URL=empty_database))

    assert line == "The database has no tables yet: run `rdw migrate`."


def test_the_api_does_not_start_on_an_older_schema(sqlite: str, tmp_path: Path) -> None:
    upgrade(sqlite)
    downgrade(sqlite, "0003")
    engine_for(sqlite).dispose()

    line = only_line(rdw("api", RDW_DATA_DIR=tmp_path, RDW_DATABASE_URL=sqlite))

    assert "has a schema at 0003, and this version wants" in line and "run `rdw migrate`" in line


@pytest.mark.parametrize("command", [["keys", "list"], ["keys", "revoke", "ci"], ["alive"]], ids=" ".join)
def test_tables_that_are_not_there_are_said_with_their_cure(
    command: list[str], empty_database: str, tmp_path: Path
) -> None:
    assert "run `rdw migrate`" in only_line(rdw(*command, RDW_DATA_DIR=tmp_path, RDW_DATABASE_URL=empty_database))


def test_a_key_is_not_made_where_there_are_no_tables(tmp_path: Path) -> None:
    made = rdw("keys", "create", "--name", "ci", "--scope", "read", RDW_DATA_DIR=tmp_path)

    assert "run `rdw migrate`" in only_line(made) and made.stdout == ""


def test_what_the_driver_says_is_for_who_runs_the_service(tmp_path: Path) -> None:
    port = free_port()
    line = only_line(rdw("keys", "list", RDW_DATA_DIR=tmp_path, RDW_DATABASE_URL=f"postgresql://me@127.0.0.1:{port}/x"))

    assert "The database does not answer: " in line and str(port) in line and line.endswith("(RDW_DATABASE_URL)")
