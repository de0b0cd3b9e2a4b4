from __future__ import annotations

from datetime import UTC, datetime

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, insert, inspect, text

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


def test_trials_that_wait_keep_their_order_and_studies_give_way_to_clients(empty_database: str) -> None:
    def trial(name: str, hour: int) -> dict[str, object]:
        return {
            "id": name, "fingerprint": name, "architecture": "a", "config": {}, "flops": 1, "params": 1,
            "dataset": "b", "dataset_digest": "c", "recipe": {}, "seed": 0, "state": "queued", "attempt": 0,
            "cancel_requested": False, "created_at": datetime(2026, 1, 2, hour, tzinfo=UTC),
        }  # fmt: skip

    upgrade(empty_database, "0002")
    old = MetaData()
    old.reflect(engine_for(empty_database), only=["trials", "studies", "study_trials"])
    trials, studies, study_trials = (old.tables[name] for name in ("trials", "studies", "study_trials"))
    study = {
        "id": "s", "name": "s", "architecture": "a", "spec": {}, "dataset": "b", "recipe": {}, "space": {}, "size": 1,
        "seed": 0, "state": "started", "created_at": datetime(2026, 1, 2, tzinfo=UTC),
    }  # fmt: skip
    with engine_for(empty_database).begin() as connection:
        connection.execute(insert(studies).values(**study))
        for name, hour in (("of the study", 1), ("second", 3), ("first", 2)):
            connection.execute(insert(trials).values(**trial(name, hour)))
        connection.execute(insert(study_trials).values(study_id="s", trial_id="of the study"))

    upgrade(empty_database)

    in_line = "SELECT id FROM trials ORDER BY priority DESC, queued_at"
    with engine_for(empty_database).begin() as connection:
        assert list(connection.scalars(text(in_line))) == ["first", "second", "of the study"]
        queued_at = connection.scalars(text("SELECT queued_at FROM trials WHERE id = 'first'")).one()
        assert abs(queued_at - datetime(2026, 1, 2, 2, tzinfo=UTC).timestamp()) < 1e-3
        connection.execute(text("UPDATE studies SET state = 'paused'"))
        # What the code before this schema adds while it is still running.
        connection.execute(insert(trials).values(**trial("of the code before", 4)))

    downgrade(empty_database, "0002")
    with engine_for(empty_database).begin() as connection:
        assert connection.scalars(text("SELECT state FROM studies")).one() == "started"
        assert connection.scalars(text("SELECT count(*) FROM study_trials")).one() == 1
