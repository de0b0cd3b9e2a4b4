"""Queries on suggestions: networks that clients were asked to train."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, func, select

from app.core.deletion import Listed
from app.core.studies import SuggestionState
from app.db.pagination import Page, read_page
from app.db.repositories.base import Repository
from app.db.tables import SuggestionRow


class Suggestions(Repository):
    def lock(self, suggestion_id: str) -> SuggestionRow | None:
        """Return the current row, locked until the commit."""
        query = select(SuggestionRow).where(SuggestionRow.id == suggestion_id).with_for_update()
        return self.reload(query).first()

    def page(self, study_id: str, limit: int, cursor: str | None, state: SuggestionState | None) -> Page[SuggestionRow]:
        """Return a page of the study's suggestions, newest first; with `state`, of those in it."""
        query = select(SuggestionRow)
        return read_page(self.session, query, SuggestionRow, limit, cursor, study_id=study_id, state=state)

    def pending(self, study_id: str, client: str) -> list[SuggestionRow]:
        """Return the suggestions that the client has not reported yet, oldest first."""
        query = select(SuggestionRow).where(
            SuggestionRow.study_id == study_id,
            SuggestionRow.client == client,
            SuggestionRow.state == SuggestionState.PENDING,
        )
        return list(self.session.scalars(query.order_by(SuggestionRow.created_at, SuggestionRow.id)))

    def ids_pending(self, study_id: str) -> Listed:
        """List the suggestions that were not reported yet, oldest first."""
        is_pending = SuggestionRow.state == SuggestionState.PENDING
        return self.list_ids(SuggestionRow, SuggestionRow.study_id == study_id, is_pending)

    def of_study(self, study_id: str) -> Sequence[Row[*tuple[Any, ...]]]:
        """Return the network, state, multipliers, ratio, flops, params and interim results of each suggestion."""
        s = SuggestionRow
        query = select(s.network, s.state, s.r, s.d, s.w, s.ratio, s.flops, s.params, s.interim)
        return self.session.execute(query.where(s.study_id == study_id)).all()

    def existing(self, study_id: str, networks: Collection[str]) -> set[str]:
        """Return those of the networks, by their keys, that the study has suggested."""
        query = select(SuggestionRow.network).where(
            SuggestionRow.study_id == study_id, SuggestionRow.network.in_(networks)
        )
        return set(self.session.scalars(query))

    def count_by_state(self, study_ids: Collection[str]) -> dict[tuple[str, SuggestionState], int]:
        """Return the number of suggestions of each study by state."""
        s = SuggestionRow
        query = select(s.study_id, s.state, func.count()).where(s.study_id.in_(study_ids)).group_by(s.study_id, s.state)
        return {(study_id, state): count for study_id, state, count in self.session.execute(query)}

    def with_interim_results(self, study_id: str) -> Sequence[Row[*tuple[Any, ...]]]:
        """Return id, multipliers, ratio, flops, params and interim results of each suggestion that has any."""
        s = SuggestionRow
        query = select(s.id, s.r, s.d, s.w, s.ratio, s.flops, s.params, s.interim)
        return self.session.execute(query.where(s.study_id == study_id, s.interim.is_not(None))).all()

    def latest_curves(self, study_id: str, limit: int) -> Sequence[Row[*tuple[Any, ...]]]:
        """Return multipliers, ratio, flops, params and interim results of the latest suggestions with a result."""
        s = SuggestionRow
        return self._latest(study_id, limit, s.r, s.d, s.w, s.ratio, s.flops, s.params, s.interim)

    def latest_outcomes(self, study_id: str, limit: int) -> Sequence[Row[*tuple[Any, ...]]]:
        """Return mean and sd of the predicted accuracy, and the reported one, of the latest suggestions with both."""
        predicted, reported = SuggestionRow.predicted, SuggestionRow.reported
        columns = predicted["mean"].as_float(), predicted["sd"].as_float(), reported["accuracy"].as_float()
        return self._latest(study_id, limit, *columns, where=predicted.is_not(None))

    def _latest(
        self, study_id: str, limit: int, *columns: Any, where: ColumnElement[bool] | None = None
    ) -> Sequence[Row[*tuple[Any, ...]]]:
        """Return columns of the latest suggestions with a reported accuracy, oldest first."""
        s = SuggestionRow
        query = select(*columns).where(s.study_id == study_id, s.state == SuggestionState.REPORTED)
        if where is not None:
            query = query.where(where)
        return self.session.execute(query.order_by(s.created_at.desc(), s.id.desc()).limit(limit)).all()[::-1]
