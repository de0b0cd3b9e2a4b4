from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert, inspect, text

from app.db.migrate import downgrade, upgrade
from app.db.session import engine_for
from app.db.tables import Base, ObservationRow


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


def test_observations_outlive_the_column_of_latency_both_ways(empty_database: str) -> None:
    def columns() -> set[str]:
        return {column["name"] for column in inspect(engine_for(empty_database)).get_columns("observations")}

    row = {
        "architecture": "a",
        "dataset": "b",
        "resolution": 8,
        "flops": 2**40,
        "params": 1,
        "accuracy": 0.5,
        "provenance": {"source": "a test"},
    }
    upgrade(empty_database, "0001")
    with engine_for(empty_database).begin() as connection:
        connection.execute(insert(ObservationRow).values(**row))

    upgrade(empty_database)
    assert "latency_ms" in columns()
    with engine_for(empty_database).begin() as connection:
        assert connection.execute(text("SELECT flops, latency_ms FROM observations")).all() == [(2**40, None)]
        connection.execute(text("UPDATE observations SET latency_ms = 1.5"))

    downgrade(empty_database, "0001")
    assert "latency_ms" not in columns()
    with engine_for(empty_database).begin() as connection:
        assert connection.execute(text("SELECT flops, accuracy FROM observations")).all() == [(2**40, 0.5)]


def test_sqlite_writes_ahead_and_checks_foreign_keys(tmp_path) -> None:
    engine = engine_for(f"sqlite:///{tmp_path / 'x.sqlite3'}")

    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
