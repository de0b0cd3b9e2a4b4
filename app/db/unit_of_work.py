"""A transaction with its repositories; jobs are sent after the commit, never before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.db.repositories import (
    ApiKeys,
    Architectures,
    Counters,
    Datasets,
    Events,
    Observations,
    Predictors,
    Replays,
    Studies,
    Suggestions,
    Trials,
    Workers,
)
from app.db.session import engine_for, why_away
from app.db.tables import TrialRow

Send = Callable[[list[str]], None]


def _send_nothing(trial_ids: list[str]) -> None:
    """For what enqueues nothing."""


@dataclass(frozen=True)
class Keyed:
    """A request that its caller has named by an idempotency key."""

    caller: str
    key: str


class UnitOfWork:
    """`with UnitOfWork(url) as work: …; work.commit()`: without the commit nothing has happened.

    `writes=False` promises to change nothing: on SQLite it then waits for no writer. `once` promises to commit once and
    only to read after that. `keyed` is the request that it serves, where that may be sent again.
    """

    def __init__(
        self,
        url: str,
        send: Send = _send_nothing,
        *,
        writes: bool = True,
        once: bool = False,
        keyed: Keyed | None = None,
    ) -> None:
        self._then_reads = engine_for(url).execution_options(writes=False) if once else None
        self._engine = engine_for(url).execution_options(writes=writes)
        self._send = send
        self._keyed = keyed
        self._to_send: list[str] = []
        self._counts: dict[str, float] = {}

    def __enter__(self) -> UnitOfWork:
        self.session = Session(self._engine, expire_on_commit=False)
        self.architectures = Architectures(self.session)
        self.datasets = Datasets(self.session)
        self.studies = Studies(self.session)
        self.trials = Trials(self.session)
        self.events = Events(self.session)
        self.observations = Observations(self.session)
        self.suggestions = Suggestions(self.session)
        self.predictors = Predictors(self.session)
        self.workers = Workers(self.session)
        self.counters = Counters(self.session)
        self.replays = Replays(self.session)
        self.keys = ApiKeys(self.session)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.session.close()
        away = why_away(error)
        if away is not None:
            raise away from error

    def send(self, trials: list[TrialRow]) -> None:
        """Enqueue these trials once the transaction is committed."""
        self.trials.mark_sent(trials)
        self._to_send += [trial.id for trial in trials]

    def count(self, name: str, amount: float = 1) -> None:
        """Add to a counter (`tables.COUNTERS`), last thing before the commit: all share its row."""
        self._counts[name] = self._counts.get(name, 0) + amount

    def outcome(self) -> Any:
        """What the very same request came to, where it was carried out before and its answer was lost; else none."""
        row = self._keyed and self.replays.lock(self._keyed.caller, self._keyed.key)
        return row.outcome if row else None

    def keep_outcome(self, outcome: Any) -> None:
        """With the commit the request has come to this: for what is not by its nature the same when done again."""
        row = self._keyed and self.replays.lock(self._keyed.caller, self._keyed.key)
        if row:
            row.outcome = outcome

    def commit(self, *, last: bool = True) -> None:
        counts, self._counts = self._counts, {}
        self.counters.add_to(counts)
        self.session.commit()
        if last and self._then_reads:
            self.session.bind = self._then_reads
        to_send, self._to_send = self._to_send, []
        if to_send:
            self._send(to_send)

    def let_go(self) -> None:
        """Roll back what is not committed, and hold the database no longer."""
        self.session.close()

    def ping(self) -> None:
        """Raises where the database does not answer."""
        self.session.execute(text("SELECT 1"))
