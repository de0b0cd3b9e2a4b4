"""Queries that tell what has changed lately: versions of the newest resources, and the newest events of trials."""

from __future__ import annotations

from typing import Any, Literal, get_args

from sqlalchemy import select

from app.db.repositories.base import Repository
from app.db.tables import EventRow, PredictorRow, StudyRow, TrialRow, WorkerRow

Kind = Literal["trials", "studies", "predictors", "workers"]
"""A kind of resource whose changes are reported."""

KINDS: tuple[Kind, ...] = get_args(Kind)

_KEYS: dict[Kind, Any] = {
    "trials": TrialRow.id,
    "studies": StudyRow.id,
    "predictors": PredictorRow.id,
    "workers": WorkerRow.name,
}
# What identifies the version of a resource; the progress and the results of trials are events.
_VERSIONS: dict[Kind, tuple[Any, ...]] = {
    "trials": (TrialRow.state, TrialRow.name, TrialRow.description, TrialRow.archived_at, TrialRow.cancel_requested),
    "studies": (
        StudyRow.state, StudyRow.name, StudyRow.description, StudyRow.archived_at, StudyRow.proposed,
        StudyRow.processed_version,
    ),
    "predictors": (PredictorRow.active, PredictorRow.name, PredictorRow.description, PredictorRow.archived_at),
    "workers": (WorkerRow.trial_id, WorkerRow.started_at),
}  # fmt: skip
_ORDERS: dict[Kind, tuple[Any, ...]] = {
    "trials": (TrialRow.created_at.desc(), TrialRow.id.desc()),
    "studies": (StudyRow.created_at.desc(), StudyRow.id.desc()),
    "predictors": (PredictorRow.created_at.desc(), PredictorRow.id.desc()),
    "workers": (WorkerRow.name,),
}


class Recent(Repository):
    def versions(self, kind: Kind, limit: int) -> dict[str, tuple[Any, ...]]:
        """Return what identifies the versions of the newest resources of a kind, by their ids."""
        query = select(_KEYS[kind], *_VERSIONS[kind]).order_by(*_ORDERS[kind]).limit(limit)
        return {key: tuple(version) for key, *version in self.session.execute(query)}

    def events(self, limit: int) -> dict[int, str]:
        """Return the trials of the newest events by the events' ids."""
        query = select(EventRow.id, EventRow.trial_id).order_by(EventRow.id.desc()).limit(limit)
        return {event_id: trial_id for event_id, trial_id in self.session.execute(query)}
