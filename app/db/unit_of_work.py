"""A transaction and its repositories; jobs are sent after the commit, never before."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.core.callers import ANYONE, UNLIMITED, Caller, Quotas
from app.db.repositories.catalog import Catalog
from app.db.repositories.dataset_checks import DatasetChecks
from app.db.repositories.events import Events
from app.db.repositories.idempotency import IdempotencyRecords
from app.db.repositories.keys import ApiKeys
from app.db.repositories.names import Names
from app.db.repositories.observations import Observations
from app.db.repositories.predictors import Predictors
from app.db.repositories.recent import Recent
from app.db.repositories.studies import Studies
from app.db.repositories.suggestions import Suggestions
from app.db.repositories.trials import Trials
from app.db.repositories.usage import Usage
from app.db.repositories.workers import Counters, Workers
from app.db.session import classify_error, engine_for
from app.db.tables import ArchitectureRow, DatasetRow, IdempotencyRow, TrialRow

Send = Callable[[list[str]], None]


def _send_nothing(trial_ids: list[str]) -> None:
    """Do nothing: the unit of work enqueues no trials."""


@dataclass(frozen=True)
class IdempotentRequest:
    """The caller and the idempotency key of a request."""

    caller: str
    key: str


class UnitOfWork:
    """A transaction: `with UnitOfWork(url) as work: …; work.commit()`. Without the commit nothing is changed.

    With `writes=False` it only reads; on SQLite it then does not wait for writers. With `once` it commits once and only
    reads after that. `caller` is the sender of the request that it serves, with its `quotas`, and `idempotent_request`
    that request, if it has an idempotency key.
    """

    def __init__(
        self,
        url: str,
        send: Send = _send_nothing,
        *,
        writes: bool = True,
        once: bool = False,
        caller: Caller = ANYONE,
        quotas: Quotas = UNLIMITED,
        idempotent_request: IdempotentRequest | None = None,
    ) -> None:
        self.database = url
        self.caller = caller
        self.quotas = quotas
        self._read_engine = engine_for(url).execution_options(writes=False) if once else None
        self._engine = engine_for(url).execution_options(writes=writes)
        self._send = send
        self._idempotent_request = idempotent_request
        self._to_send: list[str] = []
        self._counts: dict[str, float] = {}

    def __enter__(self) -> UnitOfWork:
        self.session = Session(self._engine, expire_on_commit=False)
        self.architectures = Catalog(self.session, ArchitectureRow)
        self.datasets = Catalog(self.session, DatasetRow)
        self.dataset_checks = DatasetChecks(self.session)
        self.names = Names(self.session)
        self.studies = Studies(self.session)
        self.trials = Trials(self.session)
        self.events = Events(self.session)
        self.observations = Observations(self.session)
        self.suggestions = Suggestions(self.session)
        self.predictors = Predictors(self.session)
        self.workers = Workers(self.session)
        self.counters = Counters(self.session)
        self.idempotency_records = IdempotencyRecords(self.session)
        self.keys = ApiKeys(self.session)
        self.usage = Usage(self.session)
        self.recent = Recent(self.session)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
        unavailable = classify_error(error)
        if unavailable is not None:
            raise unavailable from error

    def send(self, trials: list[TrialRow]) -> None:
        """Enqueue these trials once the transaction is committed."""
        self.trials.mark_sent(trials)
        self._to_send += [trial.id for trial in trials]

    @property
    def has_trials_to_send(self) -> bool:
        """Whether trials are enqueued with the commit."""
        return bool(self._to_send)

    def count(self, name: str, amount: float = 1) -> None:
        """Add to a counter (`tables.COUNTERS`), right before the commit, since all transactions share its row."""
        self._counts[name] = self._counts.get(name, 0) + amount

    def recorded_outcome(self) -> Any:
        """Return the outcome of the same request if it was carried out before and its response was lost; else None."""
        row = self._lock_idempotency_row()
        return row.outcome if row else None

    def record_outcome(self, outcome: Any) -> None:
        """Store the outcome of the request with the commit; needed for operations that are not idempotent."""
        row = self._lock_idempotency_row()
        if row:
            row.outcome = outcome

    def commit(self, *, last: bool = True) -> None:
        """Commit, then send the enqueued trials. With `once`, writes may follow only a commit that is not the last."""
        counts, self._counts = self._counts, {}
        self.counters.increment(counts)
        self.session.commit()
        if last and self._read_engine:
            self.session.bind = self._read_engine
        to_send, self._to_send = self._to_send, []
        if to_send:
            self._send(to_send)

    def release(self) -> None:
        """Roll back what is not committed and release the database connection."""
        with suppress(DBAPIError):  # nothing is lost if the rollback fails, and its connection is closed then
            self.session.close()

    def _lock_idempotency_row(self) -> IdempotencyRow | None:
        request = self._idempotent_request
        return None if request is None else self.idempotency_records.lock(request.caller, request.key)
