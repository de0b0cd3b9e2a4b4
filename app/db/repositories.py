"""Every query, by what it is about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    and_,
    column,
    delete,
    exists,
    func,
    not_,
    or_,
    select,
    update,
    values,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.datasets import BUILT_IN, Task
from app.db import bulk
from app.db.pages import Page, by_creation
from app.db.session import database_clock
from app.db.tables import (
    ApiKeyRow,
    ArchitectureRow,
    CounterRow,
    DatasetRow,
    EventRow,
    ObservationRow,
    PredictorRow,
    ReplayRow,
    StudyChangeRow,
    StudyRow,
    StudyTrialRow,
    SuggestionRow,
    TrialRow,
    WorkerRow,
    new_id,
    utc_now,
)

STATES = ("queued", "running", "completed", "failed", "cancelled")
LIVE = ("queued", "running", "completed")
TERMINAL = ("completed", "failed", "cancelled")


_CLOCK_TURNED = 5.0  # seconds: a clock that is only corrected goes back by less

_IN_LINE = (TrialRow.priority.desc(), TrialRow.queued_at, TrialRow.id)


def _in_a_study(state: str) -> ColumnElement[bool]:
    """Whether a study in `state` counts the trial as its own."""
    return exists().where(
        StudyTrialRow.trial_id == TrialRow.id, StudyRow.id == StudyTrialRow.study_id, StudyRow.state == state
    )


# Held is what waits for its study's word. Paused is what nobody wants now: no client, and no study that goes on.
_MAY_RUN = and_(not_(TrialRow.held), or_(TrialRow.on_demand, not_(_in_a_study("paused")), _in_a_study("started")))


def _run_out(now: float) -> ColumnElement[bool]:
    """Whether a lease is over, or from before the database's clock was put back: no heartbeat lies ahead of it."""
    return or_(TrialRow.lease_expires_at < now, TrialRow.heartbeat_at > now + _CLOCK_TURNED)


class Repository:
    def __init__(self, session: Session) -> None:
        self.session = session

    def add(self, row: Any) -> None:
        self.session.add(row)
        self.session.flush()

    def add_if_new(self, row: Any) -> bool:
        """False where what has to be unique of it is there already."""
        try:
            with self.session.begin_nested():
                self.add(row)
        except IntegrityError:
            return False
        return True


class Architectures(Repository):
    def get(self, name: str) -> ArchitectureRow | None:
        return self.session.get(ArchitectureRow, name)

    def all(self) -> list[ArchitectureRow]:
        return list(self.session.scalars(select(ArchitectureRow).order_by(ArchitectureRow.name)))


class Datasets(Repository):
    def get(self, name: str) -> DatasetRow | None:
        return self.session.get(DatasetRow, name)

    def all(self) -> list[DatasetRow]:
        return list(self.session.scalars(select(DatasetRow).order_by(DatasetRow.name)))

    def add_unless_there(self, row: DatasetRow) -> DatasetRow:
        """The row of that name: this one, or another's that was added since we looked."""
        try:
            with self.session.begin_nested():
                self.add(row)
        except IntegrityError:
            other = self.get(row.name)
            if other is None:
                raise
            return other
        return row


class Studies(Repository):
    def get(self, study_id: str) -> StudyRow | None:
        return self.session.get(StudyRow, study_id)

    def page(self, limit: int, cursor: str | None, architecture: str | None = None) -> Page[StudyRow]:
        query = select(StudyRow)
        if architecture is not None:
            query = query.where(StudyRow.architecture == architecture)
        return by_creation(self.session, query, StudyRow, limit, cursor)

    def move(self, study_id: str, state: str, new: str) -> bool:
        """From `state` to `new`; False where it is not in `state`, or no longer."""
        moved = self.session.execute(
            update(StudyRow).where(StudyRow.id == study_id, StudyRow.state == state).values(state=new)
        )
        return bool(moved.rowcount)

    def adopt(self, study_id: str, trial_id: str, role: str) -> bool:
        """Count the trial as the study's; False where it does so already."""
        if self.session.get(StudyTrialRow, (study_id, trial_id)) is not None:
            return False
        self.add(StudyTrialRow(study_id=study_id, trial_id=trial_id, role=role))
        return True

    def changed(self, study_id: str) -> None:
        """An observation of the study has come or gone."""
        self.add(StudyChangeRow(study_id=study_id))

    def changed_with(self, trial_id: str) -> None:
        """Something came of the trial: a change of each study that counts it."""
        own = select(StudyTrialRow.study_id).where(StudyTrialRow.trial_id == trial_id).order_by(StudyTrialRow.study_id)
        for study_id in list(self.session.scalars(own)):
            self.changed(study_id)

    def of_observation(self, row: ObservationRow) -> list[StudyRow]:
        """The studies that count the observation."""
        by_trial = select(StudyTrialRow.study_id).where(StudyTrialRow.trial_id == row.trial_id)
        query = select(StudyRow).where(or_(StudyRow.id == row.study_id, StudyRow.id.in_(by_trial)))
        return list(self.session.scalars(query.order_by(StudyRow.id)))

    def lock(self, study_id: str) -> StudyRow | None:
        """The study as it is now, nobody else's to change until the commit; its trials may go on."""
        query = select(StudyRow).where(StudyRow.id == study_id).with_for_update(key_share=True)
        return self.session.scalars(query, execution_options={"populate_existing": True}).first()

    def version(self, study_id: str) -> int:
        """Of all that the study knows: another one after each change."""
        query = select(func.max(StudyChangeRow.id)).where(StudyChangeRow.study_id == study_id)
        return self.session.execute(query).scalar() or 0

    def unseen(self, limit: int) -> list[tuple[str, int]]:
        """Studies with changes that were not seen to, with their versions."""
        version = func.max(StudyChangeRow.id)
        query = (
            select(StudyChangeRow.study_id, version)
            .join(StudyRow, StudyRow.id == StudyChangeRow.study_id)
            .group_by(StudyChangeRow.study_id, StudyRow.seen)
            .having(version > StudyRow.seen)
            .order_by(version)
            .limit(limit)
        )
        return [(study_id, last) for study_id, last in self.session.execute(query)]

    def see(self, study: StudyRow, version: int) -> bool:
        """Seen to up to this version; False where another process has done so meanwhile."""
        unseen = StudyRow.id == study.id, StudyRow.seen < version
        seen = self.session.execute(update(StudyRow).where(*unseen).values(seen=version))
        older = StudyChangeRow.study_id == study.id, StudyChangeRow.id < version
        self.session.execute(delete(StudyChangeRow).where(*older))
        return bool(seen.rowcount)

    def trials_by_state(self, study_ids: Iterable[str]) -> dict[str, dict[str, int]]:
        """How many trials of each study are in which state."""
        query = (
            select(StudyTrialRow.study_id, TrialRow.state, func.count())
            .join(TrialRow, TrialRow.id == StudyTrialRow.trial_id)
            .where(StudyTrialRow.study_id.in_(list(study_ids)))
            .group_by(StudyTrialRow.study_id, TrialRow.state)
        )
        counts: dict[str, dict[str, int]] = {}
        for study_id, state, count in self.session.execute(query):
            counts.setdefault(study_id, {})[state] = count
        return counts


class Trials(Repository):
    def get(self, trial_id: str) -> TrialRow | None:
        return self.session.get(TrialRow, trial_id)

    def live(self, fingerprint: str) -> TrialRow | None:
        """The one trial of this fingerprint that is waiting, running or completed."""
        query = select(TrialRow).where(TrialRow.fingerprint == fingerprint, TrialRow.state.in_(LIVE))
        return self.session.scalars(query).first()

    def add_unless_live(self, trial: TrialRow) -> tuple[TrialRow, bool]:
        """The trial, and whether it is new: where another with its fingerprint lives, that one."""
        found = self.live(trial.fingerprint)
        if found is not None:
            return found, False
        try:
            with self.session.begin_nested():
                self.add(trial)
        except IntegrityError:  # added by somebody else since we looked
            other = self.live(trial.fingerprint)
            if other is None:
                raise
            return other, False
        return trial, True

    def page(
        self,
        limit: int,
        cursor: str | None,
        *,
        state: str | None = None,
        study_id: str | None = None,
        architecture: str | None = None,
    ) -> Page[TrialRow]:
        query = select(TrialRow) if study_id is None else self._of_study(study_id)
        if state is not None:
            query = query.where(TrialRow.state == state)
        if architecture is not None:
            query = query.where(TrialRow.architecture == architecture)
        return by_creation(self.session, query, TrialRow, limit, cursor)

    def of_study_in(self, study_id: str, *states: str) -> list[TrialRow]:
        """In one order for all: two that change the same trials at once must not wait for each other."""
        query = self._of_study(study_id).where(TrialRow.state.in_(states)).order_by(TrialRow.id)
        return list(self.session.scalars(query))

    def by_id(self, ids: Iterable[str]) -> dict[str, TrialRow]:
        return {trial.id: trial for trial in self.session.scalars(select(TrialRow).where(TrialRow.id.in_(list(ids))))}

    def networks_of_study(self, study_id: str) -> Sequence[Row[Any]]:
        """Of each trial of a study what names its network, where it stands, and its role."""
        t = TrialRow
        resolution = t.config["resolution"].as_integer().label("resolution")
        query = (
            select(
                t.id, t.state, t.held, resolution, t.multipliers, t.ratio, t.flops, t.params, t.rungs, t.until_epoch,
                StudyTrialRow.role,
            )
            .join(StudyTrialRow, StudyTrialRow.trial_id == t.id)
            .where(StudyTrialRow.study_id == study_id)
            .order_by(t.id)
        )  # fmt: skip
        return self.session.execute(query).all()

    def predicted_by(self, predictor: PredictorRow, limit: int) -> list[TrialRow]:
        """Completed trials whose accuracy this version predicted before, newest first."""
        query = (
            select(TrialRow)
            .where(TrialRow.architecture == predictor.architecture, TrialRow.state == "completed")
            .where(TrialRow.predicted["predictor"].as_string() == predictor.id)
        )
        return list(self.session.scalars(query.order_by(TrialRow.created_at.desc(), TrialRow.id.desc()).limit(limit)))

    def completed_of_study(self, study_id: str) -> list[TrialRow]:
        query = self._of_study(study_id).where(TrialRow.state == "completed")
        return list(self.session.scalars(query.order_by(TrialRow.finished_at)))

    def by_state(self) -> dict[str, int]:
        """How many trials are in which state."""
        counted = self.session.execute(select(TrialRow.state, func.count()).group_by(TrialRow.state))
        return {state: count for state, count in counted}

    def under_way(self) -> Sequence[Row[Any]]:
        """Of each queued or running trial: state, whether it may run, flops, data set, recipe and progress."""
        columns = TrialRow.state, TrialRow.flops, TrialRow.dataset, TrialRow.recipe, TrialRow.progress
        query = select(*columns, _MAY_RUN.label("may_run")).where(TrialRow.state.in_(("queued", "running")))
        return self.session.execute(query).all()

    def throughputs(self, limit: int, task: Task) -> list[tuple[int, float | None]]:
        """Flops and images a second of the latest trials of a task that completed."""
        detects = TrialRow.dataset.in_([dataset.name for dataset in BUILT_IN.values() if dataset.task == "detection"])
        query = (
            select(TrialRow.flops, TrialRow.result["images_per_second"].as_float())
            .where(TrialRow.state == "completed", detects if task == "detection" else not_(detects))
            .order_by(TrialRow.created_at.desc(), TrialRow.id.desc())
            .limit(limit)
        )
        return [(flops, rate) for flops, rate in self.session.execute(query)]

    def shared(self, trial_id: str, study_id: str) -> bool:
        """Whether another study counts the trial as its own as well."""
        query = select(StudyTrialRow.study_id).where(
            StudyTrialRow.trial_id == trial_id, StudyTrialRow.study_id != study_id
        )
        return self.session.execute(query).first() is not None

    def claim(self, owner: str, lease_seconds: float) -> TrialRow | None:
        """The first in line, now running under a new token; None where no trial may run.

        Two that claim at once get two trials: each passes over what the other has locked.
        """
        query = select(TrialRow).where(TrialRow.state == "queued", _MAY_RUN).order_by(*_IN_LINE).limit(1)
        trial = self.session.scalars(
            query.with_for_update(skip_locked=True, of=TrialRow), execution_options={"populate_existing": True}
        ).first()
        if trial is None:
            return None
        now = database_clock(self.session)
        trial.state, trial.attempt, trial.token = "running", trial.attempt + 1, new_id()
        trial.lease_owner, trial.lease_expires_at, trial.heartbeat_at = owner, now + lease_seconds, now
        trial.started_at = trial.started_at or utc_now()
        self.session.flush()
        return trial

    def extend(self, trial_id: str, token: str, lease_seconds: float, log: list[str] | None = None) -> bool | None:
        """A heartbeat: whether a cancel is wanted; None where the lease is no longer this token's.

        `log` has the last lines of the worker's, where they are new.
        """
        now = database_clock(self.session)
        alive: dict[str, Any] = {"lease_expires_at": now + lease_seconds, "heartbeat_at": now}
        said = {} if log is None else {"log": log}
        extended = self.session.execute(update(TrialRow).where(*self._held(trial_id, token)).values(**alive, **said))
        if extended.rowcount == 0:
            return None
        return self.session.execute(select(TrialRow.cancel_requested).where(TrialRow.id == trial_id)).scalar_one()

    def change_held(self, trial_id: str, token: str, /, **values: Any) -> bool:
        """Change a running trial, if the token still holds it."""
        changed = self.session.execute(update(TrialRow).where(*self._held(trial_id, token)).values(**values))
        return bool(changed.rowcount)

    def hold(self, trial_id: str, token: str, /, **values: Any) -> bool:
        """A running trial to queued and, where it was to go to an epoch first, held there, if the token holds it."""
        held = self._held(trial_id, token)
        there = update(TrialRow).where(*held).values(state="queued", held=TrialRow.until_epoch.is_not(None), **values)
        return bool(self.session.execute(there).rowcount)

    def let_go_on(self, trial_id: str, until_epoch: int | None) -> bool:
        """From its rung to the next one, None: to its end; False where it is not held any more."""
        let = self.session.execute(
            update(TrialRow)
            .where(TrialRow.id == trial_id, TrialRow.state == "queued", TrialRow.held)
            .values(held=False, until_epoch=until_epoch)
        )
        return bool(let.rowcount)

    def change_in_state(self, trial_id: str, state: str, /, **values: Any) -> bool:
        """Change a trial, if it is still in `state`."""
        changed = self.session.execute(
            update(TrialRow).where(TrialRow.id == trial_id, TrialRow.state == state).values(**values)
        )
        return bool(changed.rowcount)

    def lose(self, trial: TrialRow, /, **values: Any) -> bool:
        """Change a running trial whose lease is as we saw it and has run out; it goes to the end of the line."""
        held, now = self._held(trial.id, str(trial.token)), database_clock(self.session)
        lost = self.session.execute(update(TrialRow).where(*held, _run_out(now)).values(queued_at=now, **values))
        return bool(lost.rowcount)

    def requeue(self, trial_id: str) -> bool:
        """Failed or cancelled to queued, as if it were new; False where it is neither, or another like it lives."""
        query = update(TrialRow).where(TrialRow.id == trial_id, TrialRow.state.in_(("failed", "cancelled")))
        anew = {"attempt": 0, "cancel_requested": False, "progress": None, "error": None, "finished_at": None}
        anew |= {"until_epoch": None, "held": False}
        try:
            with self.session.begin_nested():
                values = {"state": "queued", "queued_at": database_clock(self.session), **anew}
                return bool(self.session.execute(query.values(**values)).rowcount)
        except IntegrityError:
            return False

    def expired(self, limit: int) -> list[TrialRow]:
        """Running trials whose lease has run out, longest first."""
        query = (
            select(TrialRow)
            .where(TrialRow.state == "running", _run_out(database_clock(self.session)))
            .order_by(TrialRow.lease_expires_at)
            .limit(limit)
        )
        return list(self.session.scalars(query))

    def unclaimed(self, seconds: float, limit: int) -> list[TrialRow]:
        """Of the first in line those that were never sent, or `seconds` ago or longer, or by a clock put back since."""
        now = database_clock(self.session)
        first = select(TrialRow).where(TrialRow.state == "queued", _MAY_RUN).order_by(*_IN_LINE).limit(limit)
        return [t for t in self.session.scalars(first) if t.sent_at is None or not now - seconds <= t.sent_at <= now]

    def mark_sent(self, trials: Iterable[TrialRow]) -> None:
        now = database_clock(self.session)
        for trial in trials:
            trial.sent_at = now

    @staticmethod
    def _held(trial_id: str, token: str) -> tuple[Any, ...]:
        return TrialRow.id == trial_id, TrialRow.token == token, TrialRow.state == "running"

    @staticmethod
    def _of_study(study_id: str) -> Select[tuple[TrialRow]]:
        return (
            select(TrialRow)
            .join(StudyTrialRow, StudyTrialRow.trial_id == TrialRow.id)
            .where(StudyTrialRow.study_id == study_id)
        )


class Events(Repository):
    def record(self, trial_id: str, kind: str, data: dict[str, Any]) -> None:
        """Keep what happened to the trial.

        The trial's row stays locked until the commit: so its events become visible in the order of their ids, and
        who asks for those after an id misses none that was committed late.
        """
        trial = select(TrialRow.id).where(TrialRow.id == trial_id)
        self.session.execute(trial.with_for_update(key_share=True))
        self.add(EventRow(trial_id=trial_id, kind=kind, data=data))

    def estimated(self, trial_id: str) -> float | None:
        """The seconds that were estimated when the trial was queued."""
        query = select(EventRow.data).where(EventRow.trial_id == trial_id).order_by(EventRow.id).limit(1)
        first = self.session.scalars(query).first()
        return None if first is None else first.get("estimated_seconds")

    def of_states(self, trial_id: str) -> list[EventRow]:
        """The changes of the trial's state, in order."""
        query = select(EventRow).where(EventRow.trial_id == trial_id, EventRow.kind == "state").order_by(EventRow.id)
        return list(self.session.scalars(query))

    def forget_progress(self, before: datetime, limit: int) -> tuple[set[str], int]:
        """Delete progress that was reported before then, of trials that ended before then; of which, and how many."""
        query = (
            select(EventRow.id, EventRow.trial_id)
            .join(TrialRow, TrialRow.id == EventRow.trial_id)
            .where(EventRow.kind == "progress", EventRow.created_at < before)
            .where(TrialRow.state.in_(TERMINAL), TrialRow.finished_at < before)
            .order_by(EventRow.created_at)
            .limit(limit)
        )
        old = self.session.execute(query).all()
        self.session.execute(delete(EventRow).where(EventRow.id.in_([event for event, _ in old])))
        return {trial for _, trial in old}, len(old)

    def newest(self, trial_id: str) -> int:
        """The id of the trial's last event; 0 where it has none."""
        return self.session.scalar(select(func.max(EventRow.id)).where(EventRow.trial_id == trial_id)) or 0

    def after(self, trial_id: str, last: int, limit: int = 200) -> list[EventRow]:
        return self.after_each({trial_id: last}, limit)

    def after_each(self, last: dict[str, int], limit: int) -> list[EventRow]:
        """Of each trial named the events after the id with it, in order of ids."""
        columns = column("trial_id", EventRow.trial_id.type), column("last", EventRow.id.type)
        heard = values(*columns, name="heard").data(list(last.items())).cte()
        query = (
            select(EventRow)
            .join(heard, and_(EventRow.trial_id == heard.c.trial_id, EventRow.id > heard.c.last))
            .order_by(EventRow.id)
            .limit(limit)
        )
        return list(self.session.scalars(query))


class Observations(Repository):
    def get(self, observation_id: int) -> ObservationRow | None:
        return self.session.get(ObservationRow, observation_id)

    def made_ready(self, each: dict[str, list[Any]], shared: dict[str, Any]) -> bulk.Bulk:
        """What `add_many` then adds, in this transaction or another; none is begun for it."""
        return bulk.made_ready(self.session.get_bind().dialect, ObservationRow.__table__, each, shared)

    def add_many(self, ready: bulk.Bulk) -> None:
        bulk.insert(self.session.connection(), ready)

    def of_study(
        self, study_id: str, *, after: int = 0, limit: int | None = None
    ) -> list[tuple[ObservationRow, str | None]]:
        """Those of its trials and those that came from outside, each with its role, in the order in which they came.

        From those after the id; at most `limit`.
        """
        found = [
            (row, role)
            for query in _of_study(study_id, ObservationRow)
            for row, role in self.session.execute(
                query.where(ObservationRow.id > after).order_by(ObservationRow.id).limit(limit)
            )
        ]
        return sorted(found, key=lambda one: one[0].id)[:limit]

    def tally(self, study_id: str) -> tuple[int, int]:
        """Of what counts of a study: how many, and the sum of their ids, which tell whether any has come or gone."""
        counts = [
            self.session.execute(query.where(*_COUNTS)).one()
            for query in _of_study(study_id, func.count(), func.sum(ObservationRow.id), with_role=False)
        ]
        return sum(n for n, _ in counts), sum(int(total or 0) for _, total in counts)

    def counted(self, study_id: str, after: int = 0) -> list[Row[Any]]:
        """What counts of a study, as plain values, after the id: those with multipliers that were not taken back."""
        o = ObservationRow
        columns = (
            o.id, o.trial_id, o.r, o.d, o.w, o.ratio, o.flops, o.params, o.resolution, o.accuracy, o.latency_ms,
        )  # fmt: skip
        queries = [query.where(o.id > after, *_COUNTS) for query in _of_study(study_id, *columns)]
        return sorted((row for query in queries for row in self.session.execute(query)), key=lambda row: row.id)

    def held_by(self, observation: ObservationRow, study_id: str) -> bool:
        """Whether the observation is the study's."""
        if observation.study_id == study_id:
            return True
        return self.session.get(StudyTrialRow, (study_id, observation.trial_id)) is not None


_COUNTS = (
    ObservationRow.retracted_at.is_(None),
    *(column.is_not(None) for column in (ObservationRow.r, ObservationRow.d, ObservationRow.w, ObservationRow.ratio)),
)


def _of_study(study_id: str, *columns: Any, with_role: bool = True) -> tuple[Select[Any], Select[Any]]:
    """Those of its trials, and those from outside: two queries, since each has its index."""
    of_trials, others = (
        select(*columns, *([role.label("role")] if with_role else []))
        for role in (StudyTrialRow.role, ObservationRow.role)
    )
    return (
        of_trials.select_from(ObservationRow)
        .join(StudyTrialRow, StudyTrialRow.trial_id == ObservationRow.trial_id)
        .where(StudyTrialRow.study_id == study_id),
        others.select_from(ObservationRow).where(ObservationRow.study_id == study_id),
    )


class Suggestions(Repository):
    def lock(self, suggestion_id: str) -> SuggestionRow | None:
        """The suggestion as it is now, nobody else's to change until the commit."""
        query = select(SuggestionRow).where(SuggestionRow.id == suggestion_id).with_for_update()
        return self.session.scalars(query, execution_options={"populate_existing": True}).first()

    def pending(self, study_id: str, client: str) -> list[SuggestionRow]:
        """What the client was told to train and has not answered, oldest first."""
        query = select(SuggestionRow).where(
            SuggestionRow.study_id == study_id, SuggestionRow.client == client, SuggestionRow.state == "pending"
        )
        return list(self.session.scalars(query.order_by(SuggestionRow.created_at, SuggestionRow.id)))

    def of_study(self, study_id: str) -> Sequence[Row[Any]]:
        """Of each: network, state, multipliers, ratio, flops and params."""
        s = SuggestionRow
        query = select(s.network, s.state, s.r, s.d, s.w, s.ratio, s.flops, s.params).where(s.study_id == study_id)
        return self.session.execute(query).all()

    def told(self, study_id: str) -> list[SuggestionRow]:
        """Those whose accuracy was told, in the order in which they were made."""
        query = select(SuggestionRow).where(SuggestionRow.study_id == study_id, SuggestionRow.state == "told")
        return list(self.session.scalars(query.order_by(SuggestionRow.created_at, SuggestionRow.id)))

    def clock(self) -> float:
        return database_clock(self.session)


class Predictors(Repository):
    def get(self, predictor_id: str) -> PredictorRow | None:
        return self.session.get(PredictorRow, predictor_id)

    def active(self, architecture: str, dataset: str | None = None) -> PredictorRow | None:
        """The active one of an architecture; the newest where several data sets have one and none is named."""
        query = select(PredictorRow).where(PredictorRow.architecture == architecture, PredictorRow.active)
        if dataset is not None:
            query = query.where(PredictorRow.dataset == dataset)
        return self.session.scalars(query.order_by(PredictorRow.created_at.desc())).first()

    def page(
        self, limit: int, cursor: str | None, architecture: str | None, study_id: str | None
    ) -> Page[PredictorRow]:
        query = select(PredictorRow)
        if architecture is not None:
            query = query.where(PredictorRow.architecture == architecture)
        if study_id is not None:
            query = query.where(PredictorRow.study_id == study_id)
        return by_creation(self.session, query, PredictorRow, limit, cursor)

    def of_line(self, architecture: str, dataset: str, version: int) -> PredictorRow | None:
        query = select(PredictorRow).where(
            PredictorRow.architecture == architecture, PredictorRow.dataset == dataset, PredictorRow.version == version
        )
        return self.session.scalars(query).first()

    def newest_of_study(self, study_id: str) -> PredictorRow | None:
        query = select(PredictorRow).where(PredictorRow.study_id == study_id)
        return self.session.scalars(query.order_by(PredictorRow.version.desc()).limit(1)).first()

    def add_next(self, make: Callable[[int], PredictorRow], active: bool) -> PredictorRow:
        """Add what `make` makes of the next version; of several that do so at once each gets its own."""
        while True:
            version = self._next_version(make(0))
            row = make(version)
            try:
                with self.session.begin_nested():
                    self.add(row)
                    if active:
                        self.activate(row)
            except IntegrityError:
                if self._next_version(row) == version:  # not for want of a version
                    raise
            else:
                return row

    def _next_version(self, row: PredictorRow) -> int:
        query = select(func.max(PredictorRow.version)).where(self._line(row))
        return (self.session.execute(query).scalar() or 0) + 1

    def lock_line(self, row: PredictorRow) -> None:
        """All versions of its line are as they are now, and nobody else's to change until the commit."""
        query = select(PredictorRow).where(self._line(row)).order_by(PredictorRow.version).with_for_update()
        self.session.scalars(query, execution_options={"populate_existing": True}).all()

    def activate(self, row: PredictorRow) -> None:
        """Make this the active one of its architecture and data set; where it was read before, after `lock_line`."""
        self.session.execute(update(PredictorRow).where(self._line(row)).values(active=False))
        row.active = True
        self.session.flush()

    def _line(self, row: PredictorRow) -> ColumnElement[bool]:
        """All versions of its architecture and data set."""
        return and_(PredictorRow.architecture == row.architecture, PredictorRow.dataset == row.dataset)


class Workers(Repository):
    def beat(
        self,
        name: str,
        threads: int,
        trial_id: str | None,
        device: str = "cpu",
        started_at: datetime | None = None,
    ) -> None:
        """The worker lives."""
        row = self.session.get(WorkerRow, name) or WorkerRow(name=name)
        row.threads, row.device, row.started_at = threads, device, started_at
        row.trial_id, row.heartbeat_at = trial_id, database_clock(self.session)
        self.add(row)

    def forget(self, name: str) -> None:
        row = self.session.get(WorkerRow, name)
        if row is not None:
            self.session.delete(row)

    def alive(self, seconds: float) -> list[WorkerRow]:
        """Those heard of within `seconds`."""
        since = database_clock(self.session) - seconds
        query = select(WorkerRow).where(WorkerRow.heartbeat_at >= since).order_by(WorkerRow.name)
        return list(self.session.scalars(query))

    def forget_silent(self, seconds: float) -> None:
        """Those not heard of for longer."""
        before = database_clock(self.session) - seconds
        self.session.execute(delete(WorkerRow).where(WorkerRow.heartbeat_at < before))


class Counters(Repository):
    def add_to(self, counts: dict[str, float]) -> None:
        """In one order for all: two that count at once must not wait for each other."""
        for name, amount in sorted(counts.items()):
            self.session.execute(
                update(CounterRow).where(CounterRow.name == name).values(value=CounterRow.value + amount)
            )

    def all(self) -> dict[str, float]:
        return {row.name: row.value for row in self.session.scalars(select(CounterRow))}


class ApiKeys(Repository):
    def all(self) -> list[ApiKeyRow]:
        return list(self.session.scalars(select(ApiKeyRow).order_by(ApiKeyRow.created_at, ApiKeyRow.id)))

    def called(self, id_or_name: str) -> ApiKeyRow | None:
        return self.session.scalars(
            select(ApiKeyRow).where(or_(ApiKeyRow.id == id_or_name, ApiKeyRow.name == id_or_name))
        ).first()

    def used(self, last: dict[str, datetime]) -> None:
        """Each key's last use, by its id."""
        for key_id, at in last.items():
            self.session.execute(update(ApiKeyRow).where(ApiKeyRow.id == key_id).values(last_used_at=at))


class Replays(Repository):
    def lock(self, caller: str, key: str) -> ReplayRow | None:
        """As it is now, nobody else's to change until the commit."""
        query = select(ReplayRow).where(ReplayRow.caller == caller, ReplayRow.key == key).with_for_update()
        return self.session.scalars(query, execution_options={"populate_existing": True}).first()

    def forget(self, row: ReplayRow) -> None:
        self.session.delete(row)

    def forget_before(self, when: datetime) -> None:
        self.session.execute(delete(ReplayRow).where(ReplayRow.created_at < when))

    def clock(self) -> float:
        return database_clock(self.session)
