"""Unavailable databases and outdated schemas are distinguished, without driver messages for clients."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.core.settings import Settings
from app.db.migrate import downgrade, schema_problem, schema_revisions, upgrade
from app.db.session import DatabaseUnavailable, SchemaMismatch, engine_for
from app.db.unit_of_work import UnitOfWork
from app.http.app import create_app
from tests.support import LocalClient, find_free_port

pytestmark = pytest.mark.databases("sqlite", "postgresql")


def test_missing_tables_raise_schema_mismatch(empty_database: str) -> None:
    with pytest.raises(SchemaMismatch, match="Run `rdw migrate`"), UnitOfWork(empty_database, writes=False) as work:
        work.keys.list_all()


def test_driver_message_is_only_in_operator_message() -> None:
    port = find_free_port()
    with pytest.raises(DatabaseUnavailable) as raised, UnitOfWork(f"postgresql://nobody@127.0.0.1:{port}/none") as work:
        work.workers.list_alive(1)

    assert str(raised.value) == "The database does not answer; try again in a moment."
    assert str(port) in raised.value.operator_message and "\n" not in raised.value.operator_message


def test_clients_get_no_driver_message_without_tables(empty_database: str, tmp_path: Path) -> None:
    client = LocalClient(create_app(Settings(data_dir=tmp_path, database_url=empty_database, broker_url="")))

    refused = client.get("/v1/queue")

    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/database-unavailable")
    assert refused.json()["detail"].startswith("The database schema does not match this version. Run `rdw migrate`")


def test_older_schema_is_outdated_and_newer_is_not(empty_database: str) -> None:
    assert schema_problem(empty_database) == "has no tables yet"
    upgrade(empty_database)
    assert schema_problem(empty_database) is None
    downgrade(empty_database, "0003")
    assert "has schema 0003" in (schema_problem(empty_database) or "")
    with engine_for(empty_database).begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    assert schema_problem(empty_database) is None


def test_migrating_leaves_newer_schema_unchanged(empty_database: str) -> None:
    upgrade(empty_database)
    with engine_for(empty_database).begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

    upgrade(empty_database)

    assert schema_revisions(empty_database)[0] == "9999"
