"""Engines, one per database and process, and database errors. SQLite uses WAL and takes write locks at BEGIN."""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from cachetools import LRUCache
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm import Session

from app.db.postgresql import create_postgresql_engine

_BUSY_SECONDS = 15
_UNDEFINED = ("42P01", "42703")  # PostgreSQL's codes for a table and for a column
_UNKNOWN_TO_SQLITE = re.compile(r"no such (table|column): |table \S+ has no column named ")


class _Engines(LRUCache[str, Engine]):
    """The engines by URL; one that is evicted closes its connections."""

    def popitem(self) -> tuple[str, Engine]:
        url, engine = super().popitem()
        engine.dispose()
        return url, engine


_engines = _Engines(maxsize=8)
_engines_lock = threading.Lock()


def engine_for(url: str) -> Engine:
    """Return the process's engine for a database URL; create the folder of a SQLite file."""
    with _engines_lock:
        if url not in _engines:
            _engines[url] = _create_engine(make_url(url))
        return _engines[url]


def _create_engine(url: URL) -> Engine:
    if url.get_backend_name() == "postgresql":
        return create_postgresql_engine(url.set(drivername="postgresql+psycopg"))
    if url.database:
        with suppress(OSError):  # SQLite then reports that it cannot open the file
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS}, pool_size=20, max_overflow=20)
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # `_begin_sqlite` sends BEGIN
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


class DatabaseUnavailable(Exception):
    """The database does not answer at present. `operator_message` is for operators only, never for API clients."""

    def __init__(self, message: str = "The database does not answer; try again in a moment.") -> None:
        super().__init__(message)

    @property
    def operator_message(self) -> str:
        """The message with the first line of the driver's error and the name of the setting."""
        driver = str(getattr(self.__cause__, "orig", "")).splitlines()
        return f"The database does not answer: {driver[0]} (RDW_DATABASE_URL)" if driver else str(self)


class SchemaMismatch(DatabaseUnavailable):
    """The database answers, but it has no tables or those of another version."""

    def __init__(self) -> None:
        super().__init__(
            "The database schema does not match this version. Run `rdw migrate`, or upgrade if the schema is newer."
        )

    @property
    def operator_message(self) -> str:
        return str(self)


def classify_error(error: BaseException | None) -> DatabaseUnavailable | None:
    """Translate a driver error into `DatabaseUnavailable`; None for other errors."""
    if not isinstance(error, DBAPIError):
        return None
    if getattr(error.orig, "sqlstate", None) in _UNDEFINED or _UNKNOWN_TO_SQLITE.match(str(error.orig)):
        return SchemaMismatch()
    is_away = isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated
    return DatabaseUnavailable() if is_away else None


def database_clock(session: Session) -> float:
    """Return the database's time in seconds since 1970: leases must not depend on the clocks of other machines."""
    if session.get_bind().dialect.name == "postgresql":
        return float(session.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
    return float(session.execute(text("SELECT (julianday('now') - 2440587.5) * 86400.0")).scalar_one())
