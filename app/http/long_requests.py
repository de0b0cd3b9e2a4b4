"""Routes that compute for long in a thread: few run at once, so that other requests find threads and the processor."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from app.core.errors import ServiceBusy

_AT_ONCE = 2
_MAX_WAITING = 64  # half as many of one caller
_RETRY_SECONDS = 5
_ATTRIBUTE = "__takes_long__"
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


def takes_long(endpoint: Endpoint) -> Endpoint:
    """Let few requests to this endpoint, and to others like it, run at once. Place it below the router's decorator."""
    setattr(endpoint, _ATTRIBUTE, True)
    return endpoint


def does_take_long(endpoint: Callable[..., Any]) -> bool:
    return getattr(endpoint, _ATTRIBUTE, False)


class LongRequests:
    """The requests of one application that run for long."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._waiting: Counter[str] = Counter()

    @asynccontextmanager
    async def place(self, caller: str) -> AsyncIterator[None]:
        """Wait for a place.

        Raises: ServiceBusy if too many requests wait.
        """
        if self._waiting.total() >= _MAX_WAITING or self._waiting[caller] >= _MAX_WAITING / 2:
            raise ServiceBusy(f"Too many requests wait. Retry in {_RETRY_SECONDS} s.", _RETRY_SECONDS)
        self._waiting[caller] += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting += Counter({caller: -1})  # without those that have none
        try:
            yield
        finally:
            self._places.release()
