"""Schema migrations. Processes that migrate at the same time run one after the other."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

import migrations
from app.db.session import DatabaseUnavailable, engine_for

_LOCK = 7_239_461  # the key of PostgreSQL's advisory lock: arbitrary, but the same in all processes


class UnknownRevision(Exception):
    """No migration has this revision, or it is not below the schema's own."""


def upgrade(url: str, revision: str = "head") -> None:
    """Apply all migrations up to `revision`. A schema newer than this version stays as it is.

    Raises: DatabaseUnavailable.
    """
    try:
        with _engine(url).begin() as connection:
            _lock(connection)
            if not _is_newer(MigrationContext.configure(connection).get_current_revision()):
                command.upgrade(alembic_config(connection), revision)
    except OperationalError as error:
        raise DatabaseUnavailable from error


def downgrade(url: str, revision: str = "base") -> None:
    """Revert all migrations down to `revision`, all or none, with the data in what they drop.

    Raises: UnknownRevision.
    """
    with _engine(url).begin() as connection:
        _lock(connection)
        try:
            command.downgrade(alembic_config(connection), revision)
        except CommandError as error:
            raise UnknownRevision(str(error)) from error


def _lock(connection: Connection) -> None:
    """Wait until no other process migrates; SQLite takes its lock when the transaction begins."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def schema_revisions(url: str) -> tuple[str | None, str | None]:
    """Return the revision of the schema (None before the first migration) and the one that this version requires.

    Raises: DatabaseUnavailable.
    """
    try:
        with engine_for(url).connect() as connection:
            return MigrationContext.configure(connection).get_current_revision(), _script().get_current_head()
    except OperationalError as error:
        raise DatabaseUnavailable from error


def schema_problem(url: str) -> str | None:
    """Say why the schema is outdated; None if it is current or newer, since most newer revisions only add to it.

    Raises: DatabaseUnavailable.
    """
    current, required = schema_revisions(url)
    if current is None:
        return "has no tables yet"
    if current == required or _is_newer(current):
        return None
    return f"has schema {current}, but this version requires {required}"


def _engine(url: str) -> Engine:
    """Return an engine without a limit of time: a migration may rewrite a large table, or wait for another one."""
    return engine_for(url).execution_options(unlimited=True)


def _is_newer(revision: str | None) -> bool:
    return revision is not None and revision not in {one.revision for one in _script().walk_revisions()}


def _script() -> ScriptDirectory:
    return ScriptDirectory(str(Path(migrations.__file__).parent))


def alembic_config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
