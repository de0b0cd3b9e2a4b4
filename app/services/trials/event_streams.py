"""Event streams: one task per process polls the database for new events and delivers them to all subscribers.

It queries the events after the last one delivered for each trial, so any replica can serve any stream from any event
on. A waiting subscriber needs neither a thread nor a query of its own.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from app.core.trials import EventKind
from app.db.tables import EventRow
from app.db.unit_of_work import UnitOfWork
from app.services.shared_poller import SharedPoller
from app.services.trials import requests
from app.services.trials.lifecycle import TERMINAL

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


class EventPoller(SharedPoller[_Subscriber]):
    """Polls events for all event streams of this process. Use it in the event loop only."""

    def __init__(self, database: str) -> None:
        super().__init__("poll events")
        self._database = database

    @contextmanager
    def subscribe(self, trial_id: str, last: int, *, ended: bool) -> Iterator[EventQueue]:
        """Yield a queue of the trial's events after `last`, then None; `ended`: whether the trial had ended before."""
        subscriber = _Subscriber(trial_id, last, ended)
        with self.subscribed(subscriber):
            yield subscriber.queue

    async def poll(self, subscribers: Collection[_Subscriber]) -> bool:
        """Deliver new events; return whether there are no more for now."""
        last: dict[str, int] = {}
        for subscriber in subscribers:
            last[subscriber.trial_id] = min(subscriber.last, last.get(subscriber.trial_id, subscriber.last))
        events = await asyncio.to_thread(self._read_events, last)
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
