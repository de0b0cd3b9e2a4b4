"""Lanes: few computations run at once, others wait, and no caller takes more than half of the places to wait."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.core.errors import ServiceBusy


class Lane:
    """`width` computations run at once, and at most `max_waiting` wait: half as many of one caller.

    Use it from one event loop.
    """

    def __init__(self, width: int, max_waiting: int) -> None:
        self._width = width
        self._max_waiting = max_waiting
        self._waiting_by_caller: Counter[str | None] = Counter()
        self._seconds = 0.0  # of all computations that run or wait
        self._places = asyncio.Semaphore(width)

    @property
    def waiting(self) -> int:
        """How many computations wait."""
        return self._waiting_by_caller.total()

    @asynccontextmanager
    async def place(self, caller: str | None, seconds: float) -> AsyncIterator[None]:
        """Wait for a place, for a computation of at most `seconds`. One without a caller may always wait.

        Raises: ServiceBusy if too many computations wait.
        """
        if caller is not None:
            self._check_room(caller)
        self._seconds += seconds
        self._waiting_by_caller[caller] += 1
        try:
            try:
                await self._places.acquire()
            finally:
                self._waiting_by_caller += Counter({caller: -1})  # without those that have none
            try:
                yield
            finally:
                self._places.release()
        finally:
            self._seconds -= seconds

    def _check_room(self, caller: str) -> None:
        own = self._waiting_by_caller[caller]
        if self.waiting >= self._max_waiting or own >= math.ceil(self._max_waiting / 2):
            seconds = max(1, math.ceil(self._seconds / self._width))
            raise ServiceBusy(f"Too many computations wait. Retry in {seconds} s.", seconds)
