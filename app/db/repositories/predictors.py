"""Queries on stored predictors and their versions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased

from app.core.deletion import Listed
from app.db.pagination import Page, read_page
from app.db.repositories.base import Repository
from app.db.tables import FormerNameRow, PredictorRow

_KIND = "predictor"
_MAX_ATTEMPTS = 100  # to find a version number that no other transaction takes


class Predictors(Repository):
    def get(self, predictor_id: str) -> PredictorRow | None:
        return self.session.get(PredictorRow, predictor_id)

    def is_known(self, predictor_id: str) -> bool:
        """Whether a version has the id or had it before it was deleted."""
        is_deleted = self.session.get(FormerNameRow, (_KIND, predictor_id)) is not None
        return is_deleted or self.get(predictor_id) is not None

    def ids_of_study(self, study_id: str) -> Listed:
        """List the versions that were fitted on the study, oldest first."""
        return self.list_ids(PredictorRow, PredictorRow.study_id == study_id)

    def ids_of_architecture(self, architecture: str) -> Listed:
        """List the versions for a baseline, oldest first."""
        return self.list_ids(PredictorRow, PredictorRow.architecture == architecture)

    def deactivate_all(self, architecture: str) -> None:
        """Let no version for the baseline be active."""
        query = update(PredictorRow).where(PredictorRow.architecture == architecture, PredictorRow.active)
        self.execute_update(query.values(active=False))

    def active(self, architecture: str, dataset: str | None = None) -> PredictorRow | None:
        """Return the active version for an architecture; without a data set, for that with the oldest version."""
        query = select(PredictorRow).where(PredictorRow.architecture == architecture, PredictorRow.active)
        if dataset is not None:
            return self.session.scalars(query.where(PredictorRow.dataset == dataset)).first()
        version = aliased(PredictorRow)
        oldest = (
            select(func.min(version.created_at))
            .where(version.architecture == architecture, version.dataset == PredictorRow.dataset)
            .scalar_subquery()
        )
        return self.session.scalars(query.order_by(oldest, PredictorRow.dataset)).first()

    def page(self, limit: int, cursor: str | None, **filters: Any) -> Page[PredictorRow]:
        """Return a page of the versions; `filters` as in `read_page`."""
        return read_page(self.session, select(PredictorRow), PredictorRow, limit, cursor, **filters)

    def by_version(self, architecture: str, dataset: str, version: int) -> PredictorRow | None:
        query = select(PredictorRow).where(
            PredictorRow.architecture == architecture, PredictorRow.dataset == dataset, PredictorRow.version == version
        )
        return self.session.scalars(query).first()

    def newest_of_study(self, study_id: str) -> PredictorRow | None:
        """Return the newest version that was fitted on the study and is not archived."""
        query = select(PredictorRow).where(PredictorRow.study_id == study_id, PredictorRow.archived_at.is_(None))
        return self.session.scalars(query.order_by(PredictorRow.version.desc()).limit(1)).first()

    def add_next(self, make: Callable[[int], PredictorRow], active: bool) -> PredictorRow:
        """Add the row that `make` creates for the next version number; concurrent callers get different numbers."""
        for attempt in range(_MAX_ATTEMPTS):
            version = self._next_version(make)
            row = make(version)
            try:
                with self.session.begin_nested():
                    self.add(row)
                    if active:
                        self.activate(row)
            except IntegrityError:
                is_taken = self._next_version(make) != version
                if not is_taken or attempt == _MAX_ATTEMPTS - 1:
                    raise
            else:
                return row
        raise AssertionError("unreachable")

    def _next_version(self, make: Callable[[int], PredictorRow]) -> int:
        """Return the next version number; those of deleted versions are not used again."""
        query = select(func.max(PredictorRow.version)).where(self._is_version_of(make(0)))
        version = (self.session.execute(query).scalar() or 0) + 1
        while self.session.get(FormerNameRow, (_KIND, make(version).id)) is not None:
            version += 1
        return version

    def delete_version(self, row: PredictorRow) -> None:
        """Delete the version; no other one will have its id."""
        self.add(FormerNameRow(kind=_KIND, name=row.id, successor=None))
        self.delete(row)

    def lock_versions(self, row: PredictorRow) -> bool:
        """Reload and lock all versions for its architecture and data set until the commit; False if it is gone."""
        query = select(PredictorRow).where(self._is_version_of(row)).order_by(PredictorRow.version).with_for_update()
        return row in self.reload(query).all()

    def activate(self, row: PredictorRow) -> None:
        """Make this the active version of its architecture and data set; call `lock_versions` before that."""
        self.session.execute(update(PredictorRow).where(self._is_version_of(row)).values(active=False))
        row.active = True
        self.session.flush()

    def _is_version_of(self, row: PredictorRow) -> ColumnElement[bool]:
        """Return the condition for versions with the same architecture and data set."""
        return and_(PredictorRow.architecture == row.architecture, PredictorRow.dataset == row.dataset)
