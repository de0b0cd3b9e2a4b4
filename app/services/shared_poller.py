"""One task per process that polls the database for all streams of a kind, while there are any."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Generic, TypeVar

from app.db.outage_log import OutageLog

log = logging.getLogger("rdw.listeners")

_POLL_SECONDS = 1.0
_RETRY_SECONDS = 2.0

Subscriber = TypeVar("Subscriber")


class SharedPoller(ABC, Generic[Subscriber]):
    """Polls for all subscribers at once: a waiting one needs neither a thread nor a query of its own.

    Use it in the event loop only.
    """

    def __init__(self, action: str) -> None:
        self._subscribers: set[Subscriber] = set()
        self._task: asyncio.Task[None] | None = None
        self._has_new_subscriber = asyncio.Event()
        self._outages = OutageLog(log, action)

    def __len__(self) -> int:
        return len(self._subscribers)

    @abstractmethod
    async def poll(self, subscribers: Collection[Subscriber]) -> bool:
        """Read the database and deliver what is new; return whether there is no more for now."""

    @contextmanager
    def subscribed(self, subscriber: Subscriber) -> Iterator[None]:
        """Poll for the subscriber as well; the next poll starts at once."""
        self._subscribers.add(subscriber)
        if self._task is None or self._task.done():
            self._has_new_subscriber = asyncio.Event()
            self._task = asyncio.create_task(self._poll_until_unused())
        self._has_new_subscriber.set()
        try:
            yield
        finally:
            self._subscribers.discard(subscriber)

    async def _poll_until_unused(self) -> None:
        while self._subscribers:
            self._has_new_subscriber.clear()
            if await self._poll_or_retry():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._has_new_subscriber.wait(), _POLL_SECONDS)

    async def _poll_or_retry(self) -> bool:
        try:
            is_done = await self.poll(list(self._subscribers))
        except Exception as error:  # the database may be unavailable for a while: retry
            self._outages.failure(error)
            await asyncio.sleep(_RETRY_SECONDS)
            return True
        self._outages.recovered()
        return is_done
