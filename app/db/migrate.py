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
        raise DatabaseAway from error


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
            return MigrationContext.configure(connection).get_current_revision(), _script().get_current_head()
    except OperationalError as error:
        raise DatabaseAway from error


def behind(url: str) -> str | None:
    """What this version misses in the schema; none where it is this version's, or a newer one's: those only add.

    Raises: DatabaseAway.
    """
    there, wanted = versions(url)
    if there is None:
        return "has no tables yet"
    known = {one.revision for one in _script().walk_revisions()}
    return f"has a schema at {there}, and this version wants {wanted}" if there in known - {wanted} else None


def _script() -> ScriptDirectory:
    return ScriptDirectory(str(Path(migrations.__file__).parent))


def alembic_config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
