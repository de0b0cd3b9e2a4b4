"""Runs migrations on the database of the settings, or on a connection that the caller hands over."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from app.db.session import engine_for
from app.db.tables import Base
from app.settings import get_settings


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with engine_for(get_settings().database).begin() as opened:
        run(opened)
