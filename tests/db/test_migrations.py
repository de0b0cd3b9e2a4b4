from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from app.db.migrate import downgrade, upgrade
from app.db.session import engine_for
from app.db.tables import Base


def test_migrations_make_exactly_the_tables_that_the_code_has(empty_database: str) -> None:
    upgrade(empty_database)

    with engine_for(empty_database).connect() as connection:
        drift = compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), Base.metadata)

    assert drift == []


def test_going_down_leaves_nothing_and_up_again_works(empty_database: str) -> None:
    upgrade(empty_database)
    downgrade(empty_database)

    assert set(inspect(engine_for(empty_database)).get_table_names()) <= {"alembic_version"}

    upgrade(empty_database)
    assert set(Base.metadata.tables) <= set(inspect(engine_for(empty_database)).get_table_names())


def test_migrating_twice_is_the_same_as_once(empty_database: str) -> None:
    upgrade(empty_database)
    upgrade(empty_database)

    assert "trials" in inspect(engine_for(empty_database)).get_table_names()


def test_sqlite_writes_ahead_and_checks_foreign_keys(tmp_path) -> None:
    engine = engine_for(f"sqlite:///{tmp_path / 'x.sqlite3'}")

    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
