"""One engine a process; on SQLite with WAL, a busy timeout, and write locks taken at BEGIN."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm import Session

_BUSY_SECONDS = 15
_UNDEFINED = ("42P01", "42703")  # PostgreSQL's codes for a table and for a column
_UNKNOWN_TO_SQLITE = re.compile(r"no such (table|column): |table \S+ has no column named ")


@lru_cache(maxsize=8)
def engine_for(url: str) -> Engine:
    """The process's engine for a database URL; makes the folder of a SQLite file."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "postgresql" and parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed, pool_pre_ping=True, pool_size=20, max_overflow=20)
    if parsed.database:
        with suppress(OSError):  # SQLite then says that it cannot open the file
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, connect_args={"timeout": _BUSY_SECONDS}, pool_size=20, max_overflow=20)
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # BEGIN is ours to send, see `_begin_sqlite`
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


class DatabaseAway(Exception):
    """The database does not answer; it may later. `in_full` is for who runs the service, and for no caller of it."""

    def __init__(self, said: str = "The database does not answer; try again in a moment.") -> None:
        super().__init__(said)

    @property
    def in_full(self) -> str:
        """With the first line of what the driver said, and the setting."""
        driver = str(getattr(self.__cause__, "orig", "")).splitlines()
        return f"The database does not answer: {driver[0]} (RDW_DATABASE_URL)" if driver else str(self)


class SchemaBehind(DatabaseAway):
    """The database answers, and has no tables, or those of an older version; once it is migrated it may do."""

    def __init__(self) -> None:
        super().__init__("The database lacks this version's tables: run `rdw migrate`.")

    @property
    def in_full(self) -> str:
        return str(self)


def why_away(error: BaseException | None) -> DatabaseAway | None:
    """What an error of the driver means; none where it says nothing of the kind."""
    if not isinstance(error, DBAPIError):
        return None
    if getattr(error.orig, "sqlstate", None) in _UNDEFINED or _UNKNOWN_TO_SQLITE.match(str(error.orig)):
        return SchemaBehind()
    return DatabaseAway() if isinstance(error, OperationalError | InterfaceError) else None


def database_clock(session: Session) -> float:
    """Seconds since 1970 by the database's clock: leases must not depend on the clocks of the machines around it."""
    if session.get_bind().dialect.name == "postgresql":
        return float(session.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
    return float(session.execute(text("SELECT (julianday('now') - 2440587.5) * 86400.0")).scalar_one())
