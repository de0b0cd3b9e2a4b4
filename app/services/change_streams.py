"""Streams of what has changed: one task per process compares the newest resources with those of a moment ago.

No table records all changes, and a record of each would cost every write something, also while nobody listens. So a
change of an old resource that is no event of a trial is not reported: clients read their lists once in a while too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from app.db.repositories.recent import KINDS, Kind
from app.db.unit_of_work import UnitOfWork
from app.services.shared_poller import SharedPoller

_MAX_COMPARED = 500  # newest resources of each kind
_MAX_EVENTS = 1000  # newest events; more between two polls are those of more trials than a list shows

Changes = dict[Kind, set[str]]
"""The ids of what has changed, by kind."""


@dataclass(frozen=True)
class _Snapshot:
    versions: dict[Kind, dict[str, tuple[Any, ...]]]
    events: dict[int, str]

    def changes_since(self, earlier: _Snapshot) -> Changes:
        """Return what has been added, changed or deleted since; a resource may be named that has become too old."""
        changes = {kind: _differing(self.versions[kind], earlier.versions[kind]) for kind in KINDS}
        changes["trials"] |= {self.events[event] for event in self.events.keys() - earlier.events.keys()}
        return {kind: ids for kind, ids in changes.items() if ids}


def _differing(now: dict[str, tuple[Any, ...]], before: dict[str, tuple[Any, ...]]) -> set[str]:
    return {key for key, _ in now.items() ^ before.items()}


@dataclass(eq=False)
class ChangeSubscriber:
    """Changes since the stream began, merged until they are taken: a slow reader holds no more than the ids."""

    _pending: Changes = field(default_factory=dict)
    _has_news: asyncio.Event = field(default_factory=asyncio.Event)

    async def next(self) -> Changes:
        """Wait for the next changes. The first time, return as soon as changes are being followed, with none."""
        await self._has_news.wait()
        self._has_news.clear()
        changes, self._pending = self._pending, {}
        return changes

    def deliver(self, changes: Changes) -> None:
        for kind, ids in changes.items():
            self._pending[kind] = self._pending.get(kind, set()) | ids
        self._has_news.set()


class ChangePoller(SharedPoller[ChangeSubscriber]):
    """Compares the newest resources for all streams of changes of this process. Use it in the event loop only."""

    def __init__(self, database: str) -> None:
        super().__init__("poll changes")
        self._database = database
        self._latest: _Snapshot | None = None
        self._followed: set[ChangeSubscriber] = set()

    @contextmanager
    def subscribe(self) -> Iterator[ChangeSubscriber]:
        """Yield a subscriber to the changes from now on."""
        subscriber = ChangeSubscriber()
        if not len(self):
            self._latest = None  # what changed while nobody listened is not reported
        try:
            with self.subscribed(subscriber):
                yield subscriber
        finally:
            self._followed.discard(subscriber)

    async def poll(self, subscribers: Collection[ChangeSubscriber]) -> bool:
        """Deliver the changes since the last poll; tell new subscribers that they are followed from now on."""
        latest = await asyncio.to_thread(self._read)
        changes = latest.changes_since(self._latest) if self._latest else {}
        self._latest = latest
        for subscriber in subscribers:
            if subscriber not in self._followed:
                subscriber.deliver({})
            elif changes:
                subscriber.deliver(changes)
        self._followed = set(subscribers)
        return True

    def _read(self) -> _Snapshot:
        with UnitOfWork(self._database, writes=False) as work:
            versions = {kind: work.recent.versions(kind, _MAX_COMPARED) for kind in KINDS}
            return _Snapshot(versions, work.recent.events(_MAX_EVENTS))
