"""Who follows trials: one look-out a process for what is new, however many listen.

It asks SQL for the events after the last that was passed on, trial by trial: so any replica serves any stream from any
event on. A listener that waits costs neither a thread nor a query.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from app.db.repositories import TERMINAL
from app.db.tables import EventRow
from app.db.unit_of_work import UnitOfWork
from app.services import trials
from app.troubles import Troubles

log = logging.getLogger("rdw.listeners")

_LOOK_EVERY = 0.3  # seconds
_AWAY_SECONDS = 2.0
_AT_A_TIME = 1000

News = asyncio.Queue[EventRow | None]


@dataclass(frozen=True)
class Place:
    """Where a stream is taken up: after the trial's event `last`; `ended` is whether the trial has."""

    trial_id: str
    last: int
    ended: bool


def place(work: UnitOfWork, trial_id: str, last: int) -> Place:
    """For who has heard of events up to the id `last`; one that is beyond the newest, as after a database was restored,
    counts as the newest, so that what comes is heard.

    Raises: NotFound.
    """
    newest = work.events.newest(trial_id)  # before the state: an end that comes in between is an event yet to be told
    trial = trials.find(work, trial_id)
    return Place(trial_id, min(last, newest), trial.state in TERMINAL)


@dataclass(eq=False)
class _Listener:
    """Has heard of the trial's events up to the id `last`; `ended` is whether they say that the trial has ended."""

    trial_id: str
    last: int
    ended: bool
    news: News = field(default_factory=asyncio.Queue)

    def take(self, events: list[EventRow], *, all_there_are: bool) -> None:
        """Pass on what it has not heard of; none closes the stream."""
        for event in events:
            if event.id > self.last:
                self.last = event.id
                self.news.put_nowait(event)
                if event.kind == "state":
                    self.ended = event.data["state"] in TERMINAL
        if self.ended and all_there_are:
            self.news.put_nowait(None)


class Listeners:
    """All that this process's clients follow. To be used from its event loop."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._there: set[_Listener] = set()
        self._task: asyncio.Task[None] | None = None
        self._joined = asyncio.Event()
        self._troubles = Troubles(log, "look for events")

    def __len__(self) -> int:
        return len(self._there)

    @contextmanager
    def listening(self, trial_id: str, last: int, *, ended: bool) -> Iterator[News]:
        """The trial's events after `last` as they come, then none; `ended` is whether the trial had ended before."""
        listener = _Listener(trial_id, last, ended)
        self._there.add(listener)
        if self._task is None or self._task.done():
            self._joined = asyncio.Event()
            self._task = asyncio.create_task(self._look_out())
        self._joined.set()
        try:
            yield listener.news
        finally:
            self._there.discard(listener)

    async def _look_out(self) -> None:
        """Look for news, and pass them on, for as long as somebody listens."""
        while self._there:
            self._joined.clear()
            if await self._look():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._joined.wait(), _LOOK_EVERY)

    async def _look(self) -> bool:
        """Whether there is nothing more for now."""
        listening = list(self._there)
        last: dict[str, int] = {}
        for listener in listening:
            last[listener.trial_id] = min(listener.last, last.get(listener.trial_id, listener.last))
        try:
            found = await asyncio.to_thread(self._news, last)
        except Exception as error:  # the database may be away for a while; the next look may find it
            self._troubles.met(error)
            await asyncio.sleep(_AWAY_SECONDS)
            return True
        self._troubles.over()
        news = defaultdict(list)
        for event in found:
            news[event.trial_id].append(event)
        all_there_are = len(found) < _AT_A_TIME
        for listener in listening:
            listener.take(news[listener.trial_id], all_there_are=all_there_are)
        return all_there_are

    def _news(self, last: dict[str, int]) -> list[EventRow]:
        with UnitOfWork(self._database, writes=False) as work:
            return work.events.after_each(last, _AT_A_TIME)
