from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, Table, insert, inspect, select, text

from app.db.migrate import downgrade, upgrade
from app.db.session import engine_for
from app.db.tables import Base, ObservationRow

pytestmark = pytest.mark.databases("sqlite", "postgresql")


def test_migrations_create_the_tables_of_the_code(empty_database: str) -> None:
    upgrade(empty_database)

    with engine_for(empty_database).connect() as connection:
        drift = compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), Base.metadata)

    assert drift == []


def test_downgrade_to_base_can_be_upgraded_again(empty_database: str) -> None:
    upgrade(empty_database)
    downgrade(empty_database)

    assert set(inspect(engine_for(empty_database)).get_table_names()) <= {"alembic_version"}

    upgrade(empty_database)
    assert set(Base.metadata.tables) <= set(inspect(engine_for(empty_database)).get_table_names())


def test_upgrade_is_idempotent(empty_database: str) -> None:
    upgrade(empty_database)
    upgrade(empty_database)

    assert "trials" in inspect(engine_for(empty_database)).get_table_names()


def test_latency_migration_keeps_observations_both_ways(empty_database: str) -> None:
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


def test_sqlite_uses_wal_and_foreign_keys(sqlite: str) -> None:
    with engine_for(sqlite).connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_queue_migration_keeps_order_and_prefers_clients(empty_database: str) -> None:
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


def test_order_migration_reads_accuracies_from_results(empty_database: str) -> None:
    def trial(name: str, result: dict[str, object] | None) -> dict[str, object]:
        return {
            "id": name, "fingerprint": name, "architecture": "a", "config": {}, "flops": 1, "params": 1,
            "dataset": "b", "dataset_digest": "c", "recipe": {}, "seed": 0, "attempt": 0, "cancel_requested": False,
            "state": "completed" if result else "failed", "result": result, "created_at": _NOW,
        }  # fmt: skip

    upgrade(empty_database, "0020")
    old = MetaData()
    old.reflect(engine_for(empty_database), only=["trials"])
    with engine_for(empty_database).begin() as connection:
        for row in (trial("good", {"accuracy": 0.875, "seconds": 1}), trial("none", None)):
            connection.execute(insert(old.tables["trials"]).values(**row))

    upgrade(empty_database)

    with engine_for(empty_database).begin() as connection:
        found = connection.execute(text("SELECT id, accuracy FROM trials ORDER BY id")).all()
    assert [tuple(row) for row in found] == [("good", 0.875), ("none", None)]


_NOW = datetime(2026, 1, 2, tzinfo=UTC)
_GATE = {"least_points": 5, "least_coverage": 0.5, "most_error": 2.0}
_OLD: dict[str, dict[str, Any]] = {
    "studies": {
        "id": "s", "name": "s", "architecture": "a", "spec": {}, "dataset": "b", "recipe": {}, "space": {}, "size": 1,
        "seed": 0, "state": "started", "created_at": _NOW, "seen": 7, "refitted": 20, "refit_why": "a retraction",
        "options": {"halving": {"eta": 3, "least_epochs": 2}, "refit": {"every": 5, "k": 20, "gate": _GATE}},
    },
    "trials": {
        "id": "t", "fingerprint": "t", "architecture": "a", "config": {}, "flops": 1, "params": 1, "dataset": "b",
        "dataset_digest": "c", "recipe": {}, "seed": 0, "state": "queued", "attempt": 0, "cancel_requested": False,
        "created_at": _NOW, "held": True, "progress": {"phase": "reading", "images": 1, "of": 9},
    },
    "trial_events": {
        "id": 1, "trial_id": "t", "kind": "state", "created_at": _NOW,
        "data": {"state": "queued", "why": "held after epoch 1", "held": True},
    },
    "suggestions": {
        "id": "g", "study_id": "s", "client": "c", "network": "n", "r": 1.0, "d": 1.0, "w": 1.0, "ratio": 1.0,
        "config": {}, "flops": 1, "params": 1, "state": "told", "told": {"accuracy": 0.5}, "late": False,
        "lease_expires_at": 1.0, "created_at": _NOW, "told_at": _NOW,
    },
    "observations": {
        "id": 1, "architecture": "a", "dataset": "b", "resolution": 8, "flops": 1, "params": 1, "accuracy": 0.5,
        "provenance": {}, "created_at": _NOW, "role": "told", "retraction": "wrong labels",
    },
    "predictors": {
        "id": "p", "architecture": "a", "dataset": "b", "version": 1, "active": False, "data": {}, "quality": {},
        "provenance": "x", "created_at": _NOW, "gate": {"promoted": True, "why": "Promoted.", "checks": []},
    },
    "replays": {"caller": "c", "key": "k", "asked": "digest", "answered_by": 3.0, "created_at": _NOW},
}  # fmt: skip


def test_renaming_migration_keeps_data_both_ways(empty_database: str) -> None:
    def tables() -> dict[str, Table]:
        metadata = MetaData()
        metadata.reflect(engine_for(empty_database))
        return dict(metadata.tables)

    def read(table: Table) -> Any:
        with engine_for(empty_database).connect() as connection:
            return connection.execute(select(table)).one()

    upgrade(empty_database, "0009")
    old = tables()
    with engine_for(empty_database).begin() as connection:
        for name, row in _OLD.items():
            connection.execute(insert(old[name]).values(**row))
        connection.execute(text("UPDATE counters SET value = 4 WHERE name = 'lease_losses'"))

    upgrade(empty_database)
    new = tables()

    study, trial, suggestion = read(new["studies"]), read(new["trials"]), read(new["suggestions"])
    assert (study.processed_version, study.observations_at_refit, study.refit_reason) == (7, 20, "a retraction")
    assert study.options["halving"] == {"eta": 3, "min_epochs": 2}
    assert study.options["refit"]["gate"] == {"min_points": 5, "min_coverage": 0.5, "max_error": 2.0}
    assert (trial.awaiting_promotion, trial.progress["total"]) == (True, 9)
    assert read(new["trial_events"]).data["reached_rung"] is True
    assert (suggestion.state, suggestion.reported) == ("reported", {"accuracy": 0.5})
    assert suggestion.reported_at is not None
    observation, key = read(new["observations"]), read(new["idempotency_keys"])
    assert (observation.role, observation.retraction_reason) == ("reported", "wrong labels")
    assert read(new["predictors"]).gate["reason"] == "Promoted."
    assert (key.request_digest, key.reserved_until) == ("digest", 3.0)
    with engine_for(empty_database).connect() as connection:
        assert connection.scalar(text("SELECT value FROM counters WHERE name = 'expired_leases'")) == 4

    downgrade(empty_database, "0009")
    restored = tables()

    for name, row in _OLD.items():
        kept = read(restored[name])._mapping
        assert {column: kept[column] for column in row if not column.endswith("_at")} == {
            column: value for column, value in row.items() if not column.endswith("_at")
        }
