"""Every migration can be reverted, whatever the tables hold; the command deletes data only if that is asked for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory

import migrations
from app.db.migrate import downgrade, schema_revisions, upgrade

REVISIONS = [
    script.revision for script in ScriptDirectory(str(Path(migrations.__file__).parent)).walk_revisions()
][::-1]  # fmt: skip
SAMPLES: dict[type[sa.types.TypeEngine[Any]], Any] = {
    sa.Boolean: True,
    sa.Integer: 7,
    sa.Numeric: 1.5,
    sa.Float: 1.5,
    sa.DateTime: datetime(2026, 1, 2, tzinfo=UTC),
    sa.JSON: {"a": 1},
    sa.LargeBinary: b"a",
    sa.String: "a",
}


@contextmanager
def connect(database: str) -> Iterator[sa.Connection]:
    engine = sa.create_engine(database.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def reflect(database: str) -> dict[str, sa.Table]:
    """Return the tables by name, each after those that it refers to."""
    metadata = sa.MetaData()
    with connect(database) as connection:
        metadata.reflect(connection)
    return {table.name: table for table in metadata.sorted_tables if table.name != "alembic_version"}


def fill(database: str, tables: dict[str, sa.Table]) -> None:
    """Insert a row into each table; all ids are the same, so that references are valid."""
    with connect(database) as connection:
        for table in tables.values():
            connection.execute(sa.insert(table).values({c.name: sample(c) for c in table.columns}))


def clear(database: str, tables: dict[str, sa.Table]) -> None:
    with connect(database) as connection:
        for table in reversed(tables.values()):
            connection.execute(sa.delete(table))


def columns(tables: dict[str, sa.Table]) -> set[tuple[str, str]]:
    return {(name, column.name) for name, table in tables.items() for column in table.columns}


def sample(column: sa.Column[Any]) -> Any:
    return next(value for kind, value in SAMPLES.items() if isinstance(column.type, kind))


@pytest.mark.databases("sqlite", pytest.param("postgresql", marks=pytest.mark.exhaustive))
def test_every_migration_can_be_reverted(empty_database: str) -> None:
    """Each is reverted with a row in each table."""
    previous, before = "base", reflect(empty_database)
    for revision in REVISIONS:
        upgrade(empty_database, revision)
        after = reflect(empty_database)
        fill(empty_database, after)
        downgrade(empty_database, previous)
        assert columns(reflect(empty_database)) == columns(before), revision
        clear(empty_database, before)
        upgrade(empty_database, revision)
        previous, before = revision, after


@pytest.mark.exhaustive
def test_command_deletes_data_only_if_asked(sqlite: str, tmp_path: Path) -> None:
    def migrate(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "app.cli", "migrate", *arguments]
        environment = {"RDW_DATA_DIR": str(tmp_path), "RDW_DATABASE_URL": sqlite, "PATH": "/usr/bin:/bin"}
        return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)

    upgrade(sqlite)
    revision = schema_revisions(sqlite)[0]

    refused = migrate("--down-to", "0007")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "--discard-data" in refused.stderr and "Traceback" not in refused.stderr
    assert schema_revisions(sqlite)[0] == revision
    unknown = migrate("--down-to", "nowhere", "--discard-data")
    assert unknown.returncode == 1 and "nowhere" in unknown.stderr and "Traceback" not in unknown.stderr
    forced = migrate("--down-to", "0007", "--discard-data")
    assert (forced.returncode, forced.stdout) == (0, "the schema is that of 0007\n")
    assert migrate().stdout == "the schema is up to date\n"
