"""Queries on workers and on counters."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select, update

from app.db.repositories.base import Repository
from app.db.session import database_clock
from app.db.tables import COUNTERS, CounterRow, WorkerRow


class Workers(Repository):
    def record_heartbeat(
        self,
        name: str,
        threads: int,
        trial_id: str | None,
        device: str = "cpu",
        started_at: datetime | None = None,
    ) -> None:
        """Record that the worker is alive and which trial it runs."""
        row = self.session.get(WorkerRow, name) or WorkerRow(name=name)
        row.threads, row.device, row.started_at = threads, device, started_at
        row.trial_id, row.heartbeat_at = trial_id, database_clock(self.session)
        self.add(row)

    def delete(self, name: str) -> None:
        row = self.session.get(WorkerRow, name)
        if row is not None:
            self.session.delete(row)

    def list_alive(self, seconds: float) -> list[WorkerRow]:
        """Return the workers with a heartbeat in the last `seconds`."""
        since = database_clock(self.session) - seconds
        query = select(WorkerRow).where(WorkerRow.heartbeat_at >= since).order_by(WorkerRow.name)
        return list(self.session.scalars(query))

    def delete_silent(self, seconds: float) -> None:
        """Delete the workers without a heartbeat in the last `seconds`."""
        before = database_clock(self.session) - seconds
        self.session.execute(delete(WorkerRow).where(WorkerRow.heartbeat_at < before))


class Counters(Repository):
    def increment(self, counts: dict[str, float]) -> None:
        """Increment counters, always in the same order, so that two transactions cannot deadlock."""
        for name, amount in sorted(counts.items()):
            increment = update(CounterRow).where(CounterRow.name == name).values(value=CounterRow.value + amount)
            if not self.execute_update(increment):  # it has never been incremented
                self.add_if_new(CounterRow(name=name, value=0.0))
                self.execute_update(increment)

    def totals(self) -> dict[str, float]:
        return dict.fromkeys(COUNTERS, 0.0) | {row.name: row.value for row in self.session.scalars(select(CounterRow))}
