"""Queries on the events of trials."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import and_, column, delete, func, insert, select, values

from app.core.trials import EventKind, TrialState
from app.db.repositories.base import Repository
from app.db.tables import EventRow, TrialRow


class Events(Repository):
    def record(self, trial_id: str, kind: EventKind, data: dict[str, Any]) -> None:
        """Add an event of the trial.

        The trial's row stays locked until the commit, so its events become visible in the order of their ids: a
        reader of the events after an id misses none that was committed late.
        """
        trial = select(TrialRow.id).where(TrialRow.id == trial_id)
        self.session.execute(trial.with_for_update(key_share=True))
        self.add(EventRow(trial_id=trial_id, kind=kind, data=data))

    def record_for_each(self, trial_ids: Iterable[str], kind: EventKind, data: dict[str, Any]) -> None:
        """Add an event of each trial, whose row this transaction has changed and thereby locked."""
        events = [{"trial_id": trial_id, "kind": kind, "data": data} for trial_id in trial_ids]
        if events:
            self.session.execute(insert(EventRow), events)

    def estimated_seconds(self, trial_id: str) -> float | None:
        """Return the training time estimated when the trial was queued, in seconds."""
        query = select(EventRow.data).where(EventRow.trial_id == trial_id).order_by(EventRow.id).limit(1)
        first = self.session.scalars(query).first()
        return None if first is None else first.get("estimated_seconds")

    def state_changes(self, trial_id: str) -> list[EventRow]:
        """Return the events that record changes of the trial's state, in order."""
        query = select(EventRow).where(EventRow.trial_id == trial_id, EventRow.kind == EventKind.STATE)
        return list(self.session.scalars(query.order_by(EventRow.id)))

    def delete_progress(self, before: datetime, limit: int, *, states: Collection[TrialState]) -> tuple[set[str], int]:
        """Delete progress events created before that time, of trials in `states` that finished before it as well.

        Return the ids of those trials and the number of deleted events.
        """
        query = (
            select(EventRow.id, EventRow.trial_id)
            .join(TrialRow, TrialRow.id == EventRow.trial_id)
            .where(EventRow.kind == EventKind.PROGRESS, EventRow.created_at < before)
            .where(TrialRow.state.in_(states), TrialRow.finished_at < before)
            .order_by(EventRow.created_at)
            .limit(limit)
        )
        old = self.session.execute(query).all()
        self.session.execute(delete(EventRow).where(EventRow.id.in_([event for event, _ in old])))
        return {trial for _, trial in old}, len(old)

    def last_id(self, trial_id: str) -> int:
        """Return the id of the trial's last event; 0 if it has none."""
        return self.session.scalar(select(func.max(EventRow.id)).where(EventRow.trial_id == trial_id)) or 0

    def list_after_each(self, last: dict[str, int], limit: int) -> list[EventRow]:
        """Return the events of each trial after the given event id, ordered by id."""
        columns = column("trial_id", EventRow.trial_id.type), column("last", EventRow.id.type)
        last_seen = values(*columns, name="last_seen").data(list(last.items())).cte()
        query = (
            select(EventRow)
            .join(last_seen, and_(EventRow.trial_id == last_seen.c.trial_id, EventRow.id > last_seen.c.last))
            .order_by(EventRow.id)
            .limit(limit)
        )
        return list(self.session.scalars(query))
