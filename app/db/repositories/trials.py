"""Queries on trials: the queue, compare-and-swap changes, and lists.

The rules of a trial's life cycle are in `services/trials/lifecycle.py`; states and limits are arguments here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    JSON,
    ColumnElement,
    Row,
    Select,
    String,
    and_,
    bindparam,
    case,
    cast,
    delete,
    exists,
    func,
    not_,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import aliased
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from app.core.deletion import Listed
from app.core.studies import StudyState
from app.core.trials import TrialState
from app.db.column_types import ResolutionOfConfig
from app.db.pagination import Page, read_page
from app.db.repositories.base import Repository
from app.db.tables import EventRow, ObservationRow, PredictorRow, StudyRow, StudyTrialRow, TrialRow

_MAX_PARAMETERS = 5000  # of a statement
_QUEUE_ORDER = (TrialRow.priority.desc(), TrialRow.queued_at, TrialRow.id)  # the index ix_trials_queue has the same


@dataclass(frozen=True)
class QueueRule:
    """The trial state of the queue, and the study states that decide whether a queued trial may run."""

    queued: TrialState
    study_paused: StudyState
    study_running: StudyState

    @property
    def may_run(self) -> ColumnElement[bool]:
        """Whether a worker may claim the trial.

        It may not while its study holds it at a rung. Unless a client requested it, it may not either if one of its
        studies is paused and none is running.
        """
        paused, running = _belongs_to_a_study(self.study_paused), _belongs_to_a_study(self.study_running)
        return and_(not_(TrialRow.awaiting_promotion), or_(TrialRow.on_demand, not_(paused), running))

    def queue(self, limit: int) -> Select[TrialRow]:
        is_queued = TrialRow.state == bindparam("queued", self.queued, TrialRow.state.type, literal_execute=True)
        return select(TrialRow).where(_Likely(is_queued), self.may_run).order_by(*_QUEUE_ORDER).limit(limit)


class _Likely(FunctionElement[bool]):
    """A condition that holds for most rows, so that SQLite reads them in the order of the queue and sorts none."""

    inherit_cache = True


@compiles(_Likely)
def _compile_likely(element: _Likely, compiler: SQLCompiler, **options: Any) -> str:
    condition = compiler.process(element.clauses, **options)
    return f"likely({condition})" if compiler.dialect.name == "sqlite" else condition


def _belongs_to_a_study(state: StudyState) -> ColumnElement[bool]:
    return exists().where(
        StudyTrialRow.trial_id == TrialRow.id, StudyRow.id == StudyTrialRow.study_id, StudyRow.state == state
    )


class Trials(Repository):
    def existing(self, trial_ids: Collection[str]) -> set[str]:
        """Return those of the ids that a trial has."""
        return set(self.session.scalars(select(TrialRow.id).where(TrialRow.id.in_(trial_ids))))

    def get(self, trial_id: str) -> TrialRow | None:
        return self.session.get(TrialRow, trial_id)

    def lock(self, trial_id: str) -> TrialRow | None:
        """Return the current row, locked until the commit."""
        query = select(TrialRow).where(TrialRow.id == trial_id).with_for_update(key_share=True)
        return self.reload(query).first()

    def by_fingerprint(self, fingerprint: str, states: Collection[TrialState]) -> TrialRow | None:
        query = select(TrialRow).where(TrialRow.fingerprint == fingerprint, _is_in(states))
        return self.session.scalars(query).first()

    def add_unless_exists(self, trial: TrialRow, states: Collection[TrialState]) -> tuple[TrialRow, bool]:
        """Add the trial, unless one with its fingerprint is in `states`. Return the trial and whether it is new."""
        existing = self.by_fingerprint(trial.fingerprint, states)
        if existing is not None:
            return existing, False
        try:
            with self.session.begin_nested():
                self.add(trial)
        except IntegrityError:  # another transaction has added it meanwhile
            existing = self.by_fingerprint(trial.fingerprint, states)
            if existing is None:
                raise
            return existing, False
        return trial, True

    def page(self, limit: int, cursor: str | None, *, study_id: str | None = None, **filters: Any) -> Page[TrialRow]:
        """Return a page of the trials, or of those of a study; `filters` as in `read_page`."""
        query = select(TrialRow) if study_id is None else self._of_study(study_id)
        return read_page(self.session, query, TrialRow, limit, cursor, **filters)

    def waiting_of_study(self, study_id: str, states: Collection[TrialState], limit: int) -> list[TrialRow]:
        """Return some of the study's trials in these states, without those that await a promotion."""
        query = self._of_study(study_id).where(TrialRow.state.in_(states), not_(TrialRow.awaiting_promotion))
        return list(self.session.scalars(query.order_by(TrialRow.id).limit(limit)))

    def ids_of_study_alone(self, study_id: str, states: Collection[TrialState], *, lock: bool = False) -> list[str]:
        """Return the study's trials in these states that neither another study nor a client needs, by id.

        With `lock` they are locked until the commit, always in the same order, so that transactions cannot deadlock.
        """
        other = aliased(StudyTrialRow)
        query = (
            select(TrialRow.id)
            .join(StudyTrialRow, StudyTrialRow.trial_id == TrialRow.id)
            .where(StudyTrialRow.study_id == study_id, TrialRow.state.in_(states), not_(TrialRow.on_demand))
            .where(not_(exists().where(other.trial_id == TrialRow.id, other.study_id != study_id)))
            .order_by(TrialRow.id)
        )
        return list(self.session.scalars(query.with_for_update(key_share=True, of=TrialRow) if lock else query))

    def by_ids(self, ids: Iterable[str]) -> dict[str, TrialRow]:
        return {trial.id: trial for trial in self.session.scalars(select(TrialRow).where(TrialRow.id.in_(list(ids))))}

    def networks_of_study(self, study_id: str) -> Sequence[Row[Any]]:
        """Return the columns of each trial of a study that identify its network, state and role."""
        t, s = TrialRow, StudyTrialRow
        resolution: ColumnElement[Any] = type_coerce(t.config["resolution"], ResolutionOfConfig).label("resolution")
        in_study = [
            case((s.ratio.is_(None), of_trial), else_=column).label(column.name)
            for column, of_trial in (
                *((getattr(s, name), t.multipliers[name].as_float()) for name in ("r", "d", "w")),
                (s.ratio, t.ratio),
            )
        ]
        query = (
            select(
                t.id, t.state, t.awaiting_promotion, resolution, t.flops, t.params, t.rungs, t.until_epoch,
                t.progress, s.role, *in_study,
            )
            .join(s, s.trial_id == t.id)
            .where(s.study_id == study_id)
            .order_by(t.id)
        )  # fmt: skip
        return self.session.execute(query).all()

    def learning_curves(self, study_id: str, limit: int) -> list[tuple[str, tuple[tuple[int, float], ...]]]:
        """Return id and validation accuracies, (epoch, accuracy) each, of the trials of a study that completed last."""
        history = type_coerce(TrialRow.result, JSON)["history"]
        query = (
            select(TrialRow.id, history)
            .join(StudyTrialRow, StudyTrialRow.trial_id == TrialRow.id)
            .where(StudyTrialRow.study_id == study_id, TrialRow.state == TrialState.COMPLETED)
            .order_by(TrialRow.finished_at.desc(), TrialRow.id)
            .limit(limit)
        )
        return [
            (
                trial_id,
                tuple((e["epoch"], e["validation_accuracy"]) for e in epochs or () if "validation_accuracy" in e),
            )
            for trial_id, epochs in self.session.execute(query)
        ]

    def outcomes_of_predictor(self, predictor: PredictorRow, limit: int) -> Sequence[Row[Any]]:
        """Return `_OUTCOME` of completed trials whose accuracy this version predicted, newest first."""
        query = _select_outcomes().where(*_is_predicted_by(predictor))
        return self.session.execute(query.order_by(TrialRow.created_at.desc(), TrialRow.id.desc()).limit(limit)).all()

    def outcomes_of_study(self, study_id: str, limit: int) -> Sequence[Row[Any]]:
        """Return `_OUTCOME` of the completed trials of a study whose accuracy was predicted, the latest first."""
        query = _select_outcomes().join(StudyTrialRow, StudyTrialRow.trial_id == TrialRow.id)
        query = query.where(StudyTrialRow.study_id == study_id)
        return self.session.execute(query.order_by(TrialRow.finished_at.desc(), TrialRow.id).limit(limit)).all()

    def count_by_state(self) -> dict[TrialState, int]:
        """Return the number of trials by state."""
        counted = self.session.execute(select(TrialRow.state, func.count()).group_by(TrialRow.state))
        return {state: count for state, count in counted}

    def progress_in_states(self, states: Collection[TrialState], rule: QueueRule) -> Sequence[Row[Any]]:
        """Return state, `may_run`, flops, data set, recipe and progress of each trial in `states`."""
        columns = TrialRow.state, TrialRow.flops, TrialRow.dataset, TrialRow.recipe, TrialRow.progress
        query = select(*columns, rule.may_run.label("may_run")).where(TrialRow.state.in_(states))
        return self.session.execute(query).all()

    def throughputs(
        self, limit: int, *, datasets: Collection[str] | None = None, other_than: Collection[str] = ()
    ) -> list[tuple[int, float | None]]:
        """Return flops and images per second of the latest completed trials on these data sets."""
        query = select(TrialRow.flops, TrialRow.result["images_per_second"].as_float()).where(
            TrialRow.state == TrialState.COMPLETED, TrialRow.dataset.not_in(other_than)
        )
        if datasets is not None:
            query = query.where(TrialRow.dataset.in_(datasets))
        query = query.order_by(TrialRow.created_at.desc(), TrialRow.id.desc()).limit(limit)
        return [(flops, rate) for flops, rate in self.session.execute(query)]

    def first_in_queue(self, rule: QueueRule, limit: int) -> list[TrialRow]:
        return list(self.session.scalars(rule.queue(limit)))

    def lock_first_in_queue(self, rule: QueueRule) -> TrialRow | None:
        """Return the first trial that may run and that no other transaction has locked."""
        query = rule.queue(1).with_for_update(skip_locked=True, of=TrialRow)
        return self.reload(query).first()

    def lock_expired(
        self, state: TrialState, *, lease_before: float, heartbeat_after: float, limit: int
    ) -> list[TrialRow]:
        """Lock trials in `state` whose lease ends before or whose heartbeat is after a time, oldest lease first.

        Trials locked by another transaction are skipped: they are being changed, for instance by a heartbeat.
        """
        is_expired = or_(TrialRow.lease_expires_at < lease_before, TrialRow.heartbeat_at > heartbeat_after)
        query = (
            select(TrialRow).where(TrialRow.state == state, is_expired).order_by(TrialRow.lease_expires_at).limit(limit)
        )
        locking = query.with_for_update(skip_locked=True, key_share=True)
        return list(self.reload(locking))

    def update_if(
        self,
        trial_id: str,
        states: Collection[TrialState],
        values: Mapping[str, Any],
        *,
        token: str | None = None,
        awaiting_promotion: bool | None = None,
    ) -> bool:
        """Compare and swap: change the trial if its state is in `states` and `token` and `awaiting_promotion` match.

        An argument that is None is not compared.
        """
        query = update(TrialRow).where(TrialRow.id == trial_id, TrialRow.state.in_(states))
        if token is not None:
            query = query.where(TrialRow.token == token)
        if awaiting_promotion is not None:
            query = query.where(TrialRow.awaiting_promotion == awaiting_promotion)
        return self.execute_update(query.values(**values))

    def update_all_if(
        self, trial_ids: Sequence[str], states: Collection[TrialState], values: Mapping[str, Any]
    ) -> list[str]:
        """Change those of the trials that are in `states`; return their ids. Rows in the session are not refreshed."""
        changed: list[str] = []
        for part in _batched(trial_ids):
            query = update(TrialRow).where(TrialRow.id.in_(part), TrialRow.state.in_(states)).values(**values)
            options = {"synchronize_session": False}
            changed += self.session.scalars(query.returning(TrialRow.id), execution_options=options)
        return changed

    def update_if_unique(self, trial_id: str, states: Collection[TrialState], values: Mapping[str, Any]) -> bool:
        """Call `update_if`, and return False as well if the new state would duplicate another trial's fingerprint."""
        try:
            with self.session.begin_nested():
                return self.update_if(trial_id, states, values)
        except IntegrityError:
            return False

    def is_cancel_requested(self, trial_id: str) -> bool:
        return self.session.execute(select(TrialRow.cancel_requested).where(TrialRow.id == trial_id)).scalar_one()

    def ids_on_dataset(self, dataset: str, states: Collection[TrialState]) -> Listed:
        """List the trials on a data set that are in these states, oldest first."""
        return self.list_ids(TrialRow, TrialRow.dataset == dataset, TrialRow.state.in_(states))

    def ids_with_source(self, source: str, states: Collection[TrialState]) -> Listed:
        """List the trials in these states whose recipe takes weights of the trial `source`, oldest first."""
        return self.list_ids(TrialRow, TrialRow.state.in_(states), cast(TrialRow.recipe, String).contains(source))

    def ids_predicted_by(self, predictor: PredictorRow) -> Listed:
        """List the trials whose accuracy this version predicted, oldest first."""
        return self.list_ids(TrialRow, *_is_predicted_by(predictor))

    def delete_with_contents(self, trial: TrialRow) -> None:
        """Delete the trial with its events, its observation and its places in studies."""
        for kind in (EventRow, ObservationRow, StudyTrialRow):
            self.session.execute(delete(kind).where(kind.trial_id == trial.id))
        self.session.execute(delete(TrialRow).where(TrialRow.id == trial.id))

    def mark_sent(self, trials: Iterable[TrialRow]) -> None:
        now = self.clock()
        for trial in trials:
            trial.sent_at = now

    @staticmethod
    def _of_study(study_id: str) -> Select[TrialRow]:
        return (
            select(TrialRow)
            .join(StudyTrialRow, StudyTrialRow.trial_id == TrialRow.id)
            .where(StudyTrialRow.study_id == study_id)
        )


_OUTCOME = (
    TrialRow.id,
    TrialRow.predicted["mean"].as_float(),
    TrialRow.predicted["sd"].as_float(),
    TrialRow.result["accuracy"].as_float(),
)
"""A trial, the mean and standard deviation of its predicted accuracy, and the measured one."""


def _select_outcomes() -> Select[Any]:
    return select(*_OUTCOME).where(TrialRow.state == TrialState.COMPLETED, TrialRow.predicted.is_not(None))


def _is_predicted_by(predictor: PredictorRow) -> tuple[ColumnElement[bool], ...]:
    by = TrialRow.predicted["predictor"].as_string()
    return TrialRow.architecture == predictor.architecture, by == predictor.id


def _is_in(states: Collection[TrialState]) -> ColumnElement[bool]:
    """Return the condition with its states in the text, since SQLite takes no partial index for parameters."""
    return TrialRow.state.in_(bindparam("states", states, expanding=True, literal_execute=True))


def _batched(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[begin : begin + _MAX_PARAMETERS] for begin in range(0, len(ids), _MAX_PARAMETERS))
