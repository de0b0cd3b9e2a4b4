"""Queries on studies, their trials and their changes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import ColumnElement, String, and_, cast, delete, exists, func, or_, select, type_coerce, update

from app.core.deletion import Listed
from app.core.studies import StudyState
from app.core.trials import TrialState
from app.db.column_types import ResolutionOfConfig
from app.db.pagination import Page, read_page
from app.db.repositories.base import Repository
from app.db.tables import ObservationRow, PredictorRow, StudyChangeRow, StudyRow, StudyTrialRow, SuggestionRow, TrialRow
from app.scaling.network import Multipliers
from app.scaling.search.observations import NetworkKey, Role


class Studies(Repository):
    def get(self, study_id: str) -> StudyRow | None:
        return self.session.get(StudyRow, study_id)

    def newest_of_name(self, name: str, owner: str | None = None) -> StudyRow | None:
        """Return the newest study of that name that is not archived; with `owner`, of that owner's."""
        query = select(StudyRow).where(StudyRow.name == name, StudyRow.archived_at.is_(None))
        if owner is not None:
            query = query.where(StudyRow.owner == owner)
        return self.session.scalars(query.order_by(StudyRow.created_at.desc(), StudyRow.id.desc())).first()

    def delete_with_contents(self, study: StudyRow) -> None:
        """Delete the study with its suggestions and the observations from outside; its trials and predictors remain."""
        for kind in (SuggestionRow, StudyChangeRow, StudyTrialRow, ObservationRow):
            self.session.execute(delete(kind).where(kind.study_id == study.id))
        self.session.execute(update(PredictorRow).where(PredictorRow.study_id == study.id).values(study_id=None))
        self.session.execute(delete(StudyRow).where(StudyRow.id == study.id))

    def page(self, limit: int, cursor: str | None, **filters: Any) -> Page[StudyRow]:
        """Return a page of the studies; `filters` as in `read_page`."""
        return read_page(self.session, select(StudyRow), StudyRow, limit, cursor, **filters)

    def change_state(self, study: StudyRow, sources: Collection[StudyState], target: StudyState) -> bool:
        """Change the state from one of the sources to the target; False if it is in none. The row is refreshed.

        Call `lock` before: a deleted row cannot be refreshed.
        """
        changed = self.execute_update(
            update(StudyRow).where(StudyRow.id == study.id, StudyRow.state.in_(sources)).values(state=target)
        )
        self.session.refresh(study)
        return changed

    def add_trial(
        self, study_id: str, trial_id: str, role: Role, multipliers: Multipliers | None, ratio: float | None
    ) -> bool:
        """Add the trial to the study, with its multipliers there; return False if it belongs to it already."""
        row = self.session.get(StudyTrialRow, (study_id, trial_id))
        if row is not None and (row.r is not None or multipliers is None):
            return False
        if row is None:
            row = StudyTrialRow(study_id=study_id, trial_id=trial_id, role=role)
        if multipliers is not None:
            row.r, row.d, row.w, row.ratio = multipliers.r, multipliers.d, multipliers.w, ratio
        self.add(row)
        return True

    def multipliers_of_trials(
        self, study_id: str, trial_ids: Iterable[str]
    ) -> dict[str, tuple[dict[str, Any], float | None]]:
        """Return the r, d and w and the ratio of these trials' networks in the study, where they have any."""
        t = StudyTrialRow
        query = select(t.trial_id, t.r, t.d, t.w, t.ratio).where(
            t.study_id == study_id, t.trial_id.in_(list(trial_ids)), t.r.is_not(None)
        )
        return {trial: ({"r": r, "d": d, "w": w}, ratio) for trial, r, d, w, ratio in self.session.execute(query)}

    def network_keys(self, study_id: str, flops: Collection[int]) -> set[NetworkKey]:
        """Return the key of each network of these multiply-adds that the study trains."""
        query = (
            select(type_coerce(TrialRow.config["resolution"], ResolutionOfConfig), TrialRow.flops, TrialRow.params)
            .join(StudyTrialRow, StudyTrialRow.trial_id == TrialRow.id)
            .where(StudyTrialRow.study_id == study_id, TrialRow.flops.in_(flops))
        )
        return {(resolution, flops, params) for resolution, flops, params in self.session.execute(query)}

    def record_change(self, study_id: str) -> None:
        """Record that an observation of the study was added or retracted."""
        self.add(StudyChangeRow(study_id=study_id))

    def record_changes_of_trial(self, trial_id: str) -> None:
        """Record a change of each study that the trial belongs to, except those that are being deleted."""
        query = (
            select(StudyRow.id)
            .join(StudyTrialRow, StudyTrialRow.study_id == StudyRow.id)
            .where(StudyTrialRow.trial_id == trial_id)
            .order_by(StudyRow.id)
        )
        locking = query.with_for_update(read=True, key_share=True, of=StudyRow)
        for study_id in list(self.session.scalars(locking)):
            self.record_change(study_id)

    def ids_on_dataset(self, dataset: str) -> Listed:
        """List the studies on a data set, oldest first."""
        return self.list_ids(StudyRow, StudyRow.dataset == dataset)

    def ids_incomplete_on_dataset(
        self, dataset: str, states: Collection[StudyState], unfinished: Collection[TrialState]
    ) -> Listed:
        """List the studies on a data set in these states that have networks to sample or trials that are unfinished."""
        has_unfinished = exists().where(
            StudyTrialRow.study_id == StudyRow.id, TrialRow.id == StudyTrialRow.trial_id, TrialRow.state.in_(unfinished)
        )
        is_incomplete = or_(StudyRow.proposed < StudyRow.size, has_unfinished)
        return self.list_ids(StudyRow, StudyRow.dataset == dataset, StudyRow.state.in_(states), is_incomplete)

    def ids_of_architecture(self, architecture: str) -> Listed:
        """List the studies around a baseline, oldest first."""
        return self.list_ids(StudyRow, StudyRow.architecture == architecture)

    def any_of_others(self, owner: str | None, condition: ColumnElement[bool]) -> bool:
        """Whether the condition holds for a study that does not belong to this owner."""
        return bool(self.session.scalar(select(exists().where(condition, StudyRow.owner.is_distinct_from(owner)))))

    def ids_training(self, trial_id: str, limit: int = 100) -> list[str]:
        """Return the ids of the studies that the trial belongs to, oldest first, at most `limit`."""
        t = StudyTrialRow
        query = select(t.study_id).join(StudyRow, StudyRow.id == t.study_id).where(t.trial_id == trial_id)
        return list(self.session.scalars(query.order_by(StudyRow.created_at, StudyRow.id).limit(limit)))

    def ids_of_trial(self, trial_id: str) -> Listed:
        """List the studies that the trial belongs to, or whose recipe takes its weights, oldest first."""
        its_studies = select(StudyTrialRow.study_id).where(StudyTrialRow.trial_id == trial_id)
        is_source = and_(StudyRow.state != StudyState.CANCELLED, cast(StudyRow.recipe, String).contains(trial_id))
        return self.list_ids(StudyRow, or_(StudyRow.id.in_(its_studies), is_source))

    def of_observation(self, row: ObservationRow) -> list[StudyRow]:
        """Return the studies that the observation belongs to, locked until the commit."""
        by_trial = select(StudyTrialRow.study_id).where(StudyTrialRow.trial_id == row.trial_id)
        query = select(StudyRow).where(or_(StudyRow.id == row.study_id, StudyRow.id.in_(by_trial)))
        return list(self.reload(query.order_by(StudyRow.id).with_for_update(key_share=True)))

    def lock(self, study_id: str) -> StudyRow | None:
        """Return the current row, locked until the commit; its trials are not locked."""
        query = select(StudyRow).where(StudyRow.id == study_id).with_for_update(key_share=True)
        return self.reload(query).first()

    def lock_against_deletion(self, study_id: str) -> StudyRow | None:
        """Return the current row, which can be changed but not deleted until the commit."""
        query = select(StudyRow).where(StudyRow.id == study_id).with_for_update(read=True, key_share=True)
        return self.reload(query).first()

    def lock_for_deletion(self, study_id: str) -> StudyRow | None:
        """Return the current row, locked until the commit; nothing can be added to the study meanwhile."""
        return self.reload(select(StudyRow).where(StudyRow.id == study_id).with_for_update()).first()

    def version(self, study_id: str) -> int:
        """Return the version of the study's observations, which each change increases."""
        query = select(func.max(StudyChangeRow.id)).where(StudyChangeRow.study_id == study_id)
        return self.session.execute(query).scalar() or 0

    def pending_changes(self, limit: int) -> list[tuple[str, int]]:
        """Return the ids of studies with unprocessed changes, with their versions."""
        version = func.max(StudyChangeRow.id)
        query = (
            select(StudyChangeRow.study_id, version)
            .join(StudyRow, StudyRow.id == StudyChangeRow.study_id)
            .group_by(StudyChangeRow.study_id, StudyRow.processed_version)
            .having(version > StudyRow.processed_version)
            .order_by(version)
            .limit(limit)
        )
        return [(study_id, last) for study_id, last in self.session.execute(query)]

    def mark_processed(self, study: StudyRow, version: int) -> bool:
        """Mark changes up to this version as processed; False if another process has done so meanwhile."""
        is_pending = StudyRow.id == study.id, StudyRow.processed_version < version
        processed = self.execute_update(update(StudyRow).where(*is_pending).values(processed_version=version))
        older = StudyChangeRow.study_id == study.id, StudyChangeRow.id < version
        self.session.execute(delete(StudyChangeRow).where(*older))
        return processed

    def trials_by_state(self, study_ids: Iterable[str]) -> dict[str, dict[TrialState, int]]:
        """Return the number of trials of each study by state."""
        query = (
            select(StudyTrialRow.study_id, TrialRow.state, func.count())
            .join(TrialRow, TrialRow.id == StudyTrialRow.trial_id)
            .where(StudyTrialRow.study_id.in_(list(study_ids)))
            .group_by(StudyTrialRow.study_id, TrialRow.state)
        )
        counts: dict[str, dict[TrialState, int]] = {}
        for study_id, state, count in self.session.execute(query):
            counts.setdefault(study_id, {})[state] = count
        return counts
