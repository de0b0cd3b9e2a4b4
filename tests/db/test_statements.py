"""Requests to large studies and tables: their statements use indexes, and do not grow in number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import current_thread
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event

from app.core.settings import Settings
from app.db.pagination import Order, cursor_of
from app.db.session import engine_for
from app.db.tables import TrialRow, utc_now
from app.db.unit_of_work import UnitOfWork
from app.services.trials.lifecycle import LIVE
from tests.support import SMALL

Open = Callable[[], UnitOfWork]
Statement = tuple[str, Any]


@contextmanager
def recorded(settings: Settings) -> Iterator[list[Statement]]:
    """Record the statements of requests."""
    statements: list[Statement] = []

    def record(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        if current_thread().name not in ("maintenance", "dataset-checks", "keys"):
            statements.append((statement, parameters))

    engine = engine_for(settings.database)
    event.listen(engine, "before_cursor_execute", record)
    yield statements
    event.remove(engine, "before_cursor_execute", record)


@pytest.mark.databases("sqlite")
def test_trial_is_found_by_its_fingerprint_in_the_index(work: Open, settings: Settings) -> None:
    with work() as unit, recorded(settings) as statements:
        unit.trials.by_fingerprint("a", LIVE)
        statement, parameters = statements[-1]
        plan = unit.session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()

    assert [row[3] for row in plan] == ["SEARCH trials USING INDEX uq_trials_fingerprint_live (fingerprint=?)"]


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("column", ["accuracy", "flops", "created_at"])
def test_trials_are_sorted_by_an_index(work: Open, settings: Settings, column: str) -> None:
    values = {"accuracy": 0.5, "flops": 1}.get(column)
    row = TrialRow(id="a", created_at=utc_now(), **({column: values} if values else {}))
    for descending in (False, True):
        with work() as unit, recorded(settings) as statements:
            order = Order(column, descending)
            for cursor in (None, cursor_of(row, order)):
                unit.trials.page(50, cursor, order=order, archived=False)
            plans = [
                step[3]
                for statement, parameters in list(statements)
                if "FROM trials" in statement
                for step in unit.session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            ]
        assert plans
        assert all(f"ix_trials_{column}" in plan for plan in plans), plans


@pytest.mark.databases("sqlite", "postgresql")
@pytest.mark.parametrize("what", ["pause+resume", "cancel", "delete"])
def test_statements_do_not_grow_with_the_trials_of_a_study(client: TestClient, settings: Settings, what: str) -> None:
    def count(seeds: int) -> int:
        study = {"name": "a", "architecture": SMALL, "dataset": "digits", "recipe": "digits-smoke", "trials": 2,
                 "seeds": seeds, "space": {"ratio": [0.3, 1.0]}, "seed": 100 * seeds}  # fmt: skip
        path = f"/v1/studies/{client.post('/v1/studies', json=study).raise_for_status().json()['id']}"
        client.post(f"{path}/start").raise_for_status()
        assert client.get(path).json()["trials"] == {"queued": 2 * seeds}
        with recorded(settings) as statements:
            if what == "delete":
                client.delete(f"{path}?force=true").raise_for_status()
            else:
                for step in what.split("+"):
                    client.post(f"{path}/{step}").raise_for_status()
        if what == "cancel":
            assert client.get(path).json()["trials"] == {"cancelled": 2 * seeds}
        return len({statement for statement, _ in statements}) if what == "pause+resume" else len(statements)

    assert count(10) == count(2)
