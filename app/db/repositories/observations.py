"""Queries on observations, including bulk inserts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from sqlalchemy import Row, Select, case, func, select, update

from app.core.deletion import Listed
from app.db import bulk_insert
from app.db.repositories.base import Repository
from app.db.tables import ObservationRow, StudyTrialRow
from app.scaling.network import Multipliers
from app.scaling.search.observations import Role


@dataclass(frozen=True)
class StudyObservation:
    """An observation, and its role and multipliers in one of its studies."""

    row: ObservationRow
    role: Role | None
    r: float | None
    d: float | None
    w: float | None
    ratio: float | None


class Observations(Repository):
    def prepare(self, each: dict[str, list[Any]], shared: dict[str, Any]) -> bulk_insert.PreparedRows:
        """Encode rows for `add_many`, which may run in another transaction; this starts none."""
        table = ObservationRow.metadata.tables[ObservationRow.__tablename__]
        return bulk_insert.prepare_rows(self.session.get_bind().dialect, table, each, shared)

    def add_many(self, prepared: bulk_insert.PreparedRows) -> None:
        bulk_insert.insert(self.session.connection(), prepared)

    def of_study(self, study_id: str, *, after: int = 0, limit: int | None = None) -> list[StudyObservation]:
        """Return the observations of the study's trials and those from outside, ordered by id.

        Only those after the id `after`, and at most `limit`.
        """
        observations = [
            StudyObservation(*columns)
            for query in _of_study(study_id, ObservationRow)
            for columns in self.session.execute(
                query.where(ObservationRow.id > after).order_by(ObservationRow.id).limit(limit)
            )
        ]
        return sorted(observations, key=lambda observation: observation.row.id)[:limit]

    def table_of_study(self, study_id: str, columns: Collection[str], *, after: int, limit: int) -> list[Row[Any]]:
        """Return these columns of `of_study`, the id first, and those in the study: much faster than whole rows."""
        selected = [getattr(ObservationRow, column) for column in columns]
        of_trials, others = (
            self.session.execute(query.where(ObservationRow.id > after).order_by(ObservationRow.id).limit(limit)).all()
            for query in _of_study(study_id, *selected)
        )
        return sorted((*of_trials, *others), key=itemgetter(0))[:limit]

    def tally(self, study_id: str) -> tuple[int, int]:
        """Return the number of valid observations of a study and the sum of their ids.

        Together they show whether an observation was added or retracted.
        """
        counts = [
            self.session.execute(query).one()
            for query in _valid_of_study(study_id, func.count(), func.sum(ObservationRow.id), in_study=False)
        ]
        return sum(n for n, _ in counts), sum(int(total or 0) for _, total in counts)

    def valid_of_study(self, study_id: str, after: int = 0) -> list[Row[Any]]:
        """Return the columns of a study's valid observations after the id: with multipliers and not retracted."""
        o = ObservationRow
        columns = o.id, o.trial_id, o.flops, o.params, o.accuracy, o.latency_ms
        queries = [query.where(o.id > after) for query in _valid_of_study(study_id, *columns)]
        return sorted((row for query in queries for row in self.session.execute(query)), key=lambda row: row.id)

    def contents_of_study(self, study_id: str) -> Iterator[tuple[float | None, ...]]:
        """Yield r, d, w, accuracy, seconds and latency of each observation of the study, retracted ones as well."""
        for query in _of_study(study_id, *(getattr(ObservationRow, n) for n in ("accuracy", "seconds", "latency_ms"))):
            for accuracy, seconds, latency_ms, _, r, d, w, _ in self.session.execute(query):
                yield r, d, w, accuracy, seconds, latency_ms

    def count_by_study(self, study_ids: Collection[str]) -> Counter[str]:
        """Return the number of observations of each study that are not retracted."""
        of_trials = (
            select(StudyTrialRow.study_id, func.count())
            .join(ObservationRow, ObservationRow.trial_id == StudyTrialRow.trial_id)
            .where(StudyTrialRow.study_id.in_(study_ids))
            .group_by(StudyTrialRow.study_id)
        )
        others = (
            select(ObservationRow.study_id, func.count())
            .where(ObservationRow.study_id.in_(study_ids))
            .group_by(ObservationRow.study_id)
        )
        counts: Counter[str] = Counter()
        for query in (of_trials, others):
            for study_id, count in self.session.execute(query.where(ObservationRow.retracted_at.is_(None))):
                counts[str(study_id)] += count
        return counts

    def best_of_study(self, study_id: str, roles: Collection[Role]) -> StudyObservation | None:
        """Return the study's most accurate valid observation of these roles, the cheapest of equal ones."""
        best: list[StudyObservation] = []
        order = ObservationRow.accuracy.desc(), ObservationRow.flops, ObservationRow.id
        role_columns = (StudyTrialRow.role, ObservationRow.role)
        for query, role in zip(_valid_of_study(study_id, ObservationRow), role_columns, strict=True):
            rows = self.session.execute(query.where(role.in_(roles)).order_by(*order).limit(1))
            best += [StudyObservation(*columns) for columns in rows]
        return max(best, key=lambda observation: (observation.row.accuracy, -observation.row.flops), default=None)

    def ids_from_outside(self, study_id: str) -> Listed:
        """List the observations that were imported or reported, oldest first."""
        return self.list_ids(ObservationRow, ObservationRow.study_id == study_id)

    def is_retracted(self, observation_id: int) -> bool:
        query = select(ObservationRow.retracted_at).where(ObservationRow.id == observation_id)
        return self.session.execute(query).scalar() is not None

    def name_network(self, trial_id: str, architecture: str, multipliers: Multipliers, ratio: float) -> None:
        """Record the multipliers of a trial's observation, if it has one."""
        self.execute_update(
            update(ObservationRow)
            .where(ObservationRow.trial_id == trial_id)
            .values(architecture=architecture, r=multipliers.r, d=multipliers.d, w=multipliers.w, ratio=ratio)
        )


_OF_TRIAL: list[Any] = [
    case((StudyTrialRow.ratio.is_(None), of_trial), else_=in_study)
    for of_trial, in_study in zip(
        (ObservationRow.r, ObservationRow.d, ObservationRow.w, ObservationRow.ratio),
        (StudyTrialRow.r, StudyTrialRow.d, StudyTrialRow.w, StudyTrialRow.ratio),
        strict=True,
    )
]
_OTHERS: list[Any] = [ObservationRow.r, ObservationRow.d, ObservationRow.w, ObservationRow.ratio]
"""The r, d, w and ratio of a network in a study: of a trial's observation, and of one from outside."""


def _of_study(study_id: str, *columns: Any, in_study: bool = True) -> tuple[Select[Any], Select[Any]]:
    """Select the observations of the study's trials, and those from outside: two queries, as each has its own index.

    With `in_study` the columns are followed by the role and the multipliers and ratio in the study.
    """
    of_trials, others = (
        select(*columns, *((role.label("role"), *_labelled(multipliers)) if in_study else ()))
        for role, multipliers in ((StudyTrialRow.role, _OF_TRIAL), (ObservationRow.role, _OTHERS))
    )
    return (
        of_trials.select_from(ObservationRow)
        .join(StudyTrialRow, StudyTrialRow.trial_id == ObservationRow.trial_id)
        .where(StudyTrialRow.study_id == study_id),
        others.select_from(ObservationRow).where(ObservationRow.study_id == study_id),
    )


def _labelled(multipliers: list[Any]) -> list[Any]:
    return [column.label(name) for column, name in zip(multipliers, ("r", "d", "w", "ratio"), strict=True)]


def _valid_of_study(study_id: str, *columns: Any, in_study: bool = True) -> list[Select[Any]]:
    """Select as `_of_study` does, but only observations that have multipliers in the study and are not retracted."""
    return [
        query.where(ObservationRow.retracted_at.is_(None), *(column.is_not(None) for column in multipliers))
        for query, multipliers in zip(
            _of_study(study_id, *columns, in_study=in_study), (_OF_TRIAL, _OTHERS), strict=True
        )
    ]
