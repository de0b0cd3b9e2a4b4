"""Runs migrations on the connection that the caller passes, or on the database of the settings."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from app.core.settings import get_settings
from app.db.session import engine_for
from app.db.tables import Base


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


passed_connection = context.config.attributes.get("connection")
if passed_connection is not None:
    run(passed_connection)
else:
    with engine_for(get_settings().database).execution_options(unlimited=True).begin() as new_connection:
        run(new_connection)
