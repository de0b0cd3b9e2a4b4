"""Event streams: one task per process polls the database for new events and delivers them to all subscribers.

It queries the events after the last one delivered for each trial, so any replica can serve any stream from any event
on. A waiting subscriber needs neither a thread nor a query of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from app.core.trials import EventKind
from app.db.outage_log import OutageLog
from app.db.tables import EventRow
from app.db.unit_of_work import UnitOfWork
from app.services.trials import requests
from app.services.trials.lifecycle import TERMINAL

log = logging.getLogger("rdw.listeners")

_POLL_SECONDS = 1.0
_RETRY_SECONDS = 2.0
_MAX_EVENTS = 1000

EventQueue = asyncio.Queue[EventRow | None]


@dataclass(frozen=True)
class StreamPosition:
    """The position where a stream starts: after the trial's event `last`. `ended` is whether the trial has ended."""

    trial_id: str
    last: int
    ended: bool


def find_position(work: UnitOfWork, trial_id: str, last: int) -> StreamPosition:
    """Return the position after the event `last`, at most after the newest event.

    The id may be beyond the newest one if the database was restored from a backup.

    Raises: NotFound.
    """
    # The id is read before the state: if the trial ends in between, that event is still delivered.
    newest = work.events.last_id(trial_id)
    trial = requests.find(work, trial_id)
    return StreamPosition(trial_id, min(last, newest), trial.state in TERMINAL)


@dataclass(eq=False)
class _Subscriber:
    """A subscriber that has received the trial's events up to `last`; `ended`: whether the trial had ended by then."""

    trial_id: str
    last: int
    ended: bool
    queue: EventQueue = field(default_factory=asyncio.Queue)

    def deliver(self, events: list[EventRow], *, is_last_batch: bool) -> None:
        """Put new events into the queue; None at the end closes the stream."""
        for event in events:
            if event.id > self.last:
                self.last = event.id
                self.queue.put_nowait(event)
                if event.kind == EventKind.STATE:
                    self.ended = event.data["state"] in TERMINAL
        if self.ended and is_last_batch:
            self.queue.put_nowait(None)


class EventPoller:
    """Polls events for all event streams of this process. Use it in the event loop only."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._subscribers: set[_Subscriber] = set()
        self._task: asyncio.Task[None] | None = None
        self._has_new_subscriber = asyncio.Event()
        self._outages = OutageLog(log, "poll events")

    def __len__(self) -> int:
        return len(self._subscribers)

    @contextmanager
    def subscribe(self, trial_id: str, last: int, *, ended: bool) -> Iterator[EventQueue]:
        """Yield a queue of the trial's events after `last`, then None; `ended`: whether the trial had ended before."""
        subscriber = _Subscriber(trial_id, last, ended)
        self._subscribers.add(subscriber)
        if self._task is None or self._task.done():
            self._has_new_subscriber = asyncio.Event()
            self._task = asyncio.create_task(self._poll_events())
        self._has_new_subscriber.set()
        try:
            yield subscriber.queue
        finally:
            self._subscribers.discard(subscriber)

    async def _poll_events(self) -> None:
        """Poll the database while there are subscribers."""
        while self._subscribers:
            self._has_new_subscriber.clear()
            if await self._poll_once():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._has_new_subscriber.wait(), _POLL_SECONDS)

    async def _poll_once(self) -> bool:
        """Deliver new events; return whether there are no more for now."""
        subscribers = list(self._subscribers)
        last: dict[str, int] = {}
        for subscriber in subscribers:
            last[subscriber.trial_id] = min(subscriber.last, last.get(subscriber.trial_id, subscriber.last))
        try:
            events = await asyncio.to_thread(self._read_events, last)
        except Exception as error:  # the database may be unavailable for a while: retry
            self._outages.failure(error)
            await asyncio.sleep(_RETRY_SECONDS)
            return True
        self._outages.recovered()
        by_trial = defaultdict(list)
        for event in events:
            by_trial[event.trial_id].append(event)
        is_last_batch = len(events) < _MAX_EVENTS
        for subscriber in subscribers:
            subscriber.deliver(by_trial[subscriber.trial_id], is_last_batch=is_last_batch)
        return is_last_batch

    def _read_events(self, last: dict[str, int]) -> list[EventRow]:
        with UnitOfWork(self._database, writes=False) as work:
            return work.events.list_after_each(last, _MAX_EVENTS)
