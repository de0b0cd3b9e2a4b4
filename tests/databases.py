"""Databases for tests: migrated once for each test process, and copied for each test."""

from __future__ import annotations

import shutil
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from app.db.migrate import upgrade
from app.db.session import engine_for
from app.db.unit_of_work import UnitOfWork
from app.services.predictors.store import store_built_in
from tests.support import POSTGRES, skip_without


def prepare(url: str) -> None:
    """Migrate an empty database and install the published predictor."""
    upgrade(url)
    with UnitOfWork(url) as work:
        store_built_in(work)
    engine_for(url).dispose()


class SqliteTemplate:
    """A file with a migrated database, created by the first copy."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "template.sqlite3"

    def copy(self, target: Path) -> None:
        if not self._file.exists():
            url = f"sqlite:///{self._file}"
            prepare(url)
            connection = sqlite3.connect(self._file)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.close()
        shutil.copyfile(self._file, target)


class PostgresServer:
    """Creates databases: empty ones, or copies of a migrated template, which the first copy creates."""

    def __init__(self) -> None:
        self._template: str | None = None

    @contextmanager
    def database(self, *, migrated: bool) -> Iterator[str]:
        """Yield the URL of a new database, which is dropped afterwards."""
        name = _create(f"TEMPLATE {self._migrated_template()}" if migrated else "")
        try:
            yield _url(name)
        finally:
            engine_for(_url(name)).dispose()
            _drop(name)

    def close(self) -> None:
        if self._template is not None:
            _drop(self._template)

    def _migrated_template(self) -> str:
        if self._template is None:
            name = _create()
            prepare(_url(name))
            self._template = name
        return self._template


def _create(options: str = "") -> str:
    name = f"rdw_test_{uuid.uuid4().hex[:12]}"
    _execute(f"CREATE DATABASE {name} {options}")
    return name


def _drop(name: str) -> None:
    _execute(f"DROP DATABASE {name} WITH (FORCE)")


def _execute(statement: str) -> None:
    try:
        connection = psycopg.connect(POSTGRES, autocommit=True, connect_timeout=30)
    except psycopg.OperationalError:
        skip_without("PostgreSQL (RDW_TEST_POSTGRES)")
    with connection:
        connection.execute(statement)


def _url(name: str) -> str:
    return f"{POSTGRES.rpartition('/')[0]}/{name}"
