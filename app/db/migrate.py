"""The schema, brought up to date. Two processes that do so at once do it one after the other."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

import migrations
from app.db.session import DatabaseAway, engine_for

_LOCK = 7_239_461  # any number, the same for all: PostgreSQL's advisory lock


def upgrade(url: str, revision: str = "head") -> None:
    """Apply all migrations up to `revision`.

    Raises: DatabaseAway.
    """
    try:
        with engine_for(url).begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            command.upgrade(alembic_config(connection), revision)
    except OperationalError as error:
        raise DatabaseAway(f"The database does not answer: {error.orig}") from error


def downgrade(url: str, revision: str = "base") -> None:
    """Take migrations back down to `revision`."""
    with engine_for(url).begin() as connection:
        command.downgrade(alembic_config(connection), revision)


def versions(url: str) -> tuple[str | None, str | None]:
    """The schema's revision, none before the first, and the one that this code wants.

    Raises: DatabaseAway.
    """
    try:
        with engine_for(url).connect() as connection:
            wanted = ScriptDirectory.from_config(alembic_config(connection)).get_current_head()
            return MigrationContext.configure(connection).get_current_revision(), wanted
    except OperationalError as error:
        raise DatabaseAway(f"The database does not answer: {error.orig}") from error


def alembic_config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
