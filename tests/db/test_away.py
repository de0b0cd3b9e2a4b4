"""A database that is away and one without this version's tables, told apart; the driver's words kept from callers."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.db.migrate import behind, downgrade, upgrade
from app.db.session import DatabaseAway, SchemaBehind, engine_for
from app.db.unit_of_work import UnitOfWork
from app.main import create_app
from app.settings import Settings
from tests.support import free_port


def test_tables_that_are_not_there_are_named_with_their_cure(empty_database: str) -> None:
    with pytest.raises(SchemaBehind, match="run `rdw migrate`"), UnitOfWork(empty_database, writes=False) as work:
        work.keys.all()


def test_the_drivers_words_are_for_who_runs_the_service_alone() -> None:
    port = free_port()
    with pytest.raises(DatabaseAway) as away, UnitOfWork(f"postgresql://nobody@127.0.0.1:{port}/none") as work:
        work.ping()

    assert str(away.value) == "The database does not answer; try again in a moment."
    assert str(port) in away.value.in_full and "\n" not in away.value.in_full


def test_callers_are_told_that_there_are_no_tables_and_nothing_of_the_driver(
    empty_database: str, tmp_path: Path
) -> None:
    client = TestClient(create_app(Settings(data_dir=tmp_path, database_url=empty_database, broker_url="")))

    refused = client.get("/v1/queue")

    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/database-unavailable")
    assert refused.json()["detail"] == "The database lacks this version's tables: run `rdw migrate`."


def test_an_older_schema_is_behind_and_a_newer_one_is_not(empty_database: str) -> None:
    assert behind(empty_database) == "has no tables yet"
    upgrade(empty_database)
    assert behind(empty_database) is None
    downgrade(empty_database, "0003")
    assert "has a schema at 0003" in (behind(empty_database) or "")
    with engine_for(empty_database).begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    assert behind(empty_database) is None
