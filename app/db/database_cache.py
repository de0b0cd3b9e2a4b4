"""An in-memory cache of values computed from stored data."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from app.db.unit_of_work import UnitOfWork
from app.scaling.bounded_cache import BoundedCache

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class DatabaseCache(Generic[Key, Value]):
    """A `BoundedCache` of values by database and key.

    Two databases in one process may use the same keys for different data, so each sees only its own entries.
    """

    def __init__(self, name: str, size_of: Callable[[Value], int]) -> None:
        self._entries: BoundedCache[tuple[str, Key], Value] = BoundedCache(name, size_of)

    def get(self, work: UnitOfWork, key: Key) -> Value | None:
        return self._entries.get((work.database, key))

    def put(self, work: UnitOfWork, key: Key, value: Value) -> None:
        self._entries.put((work.database, key), value)

    def get_or_compute(self, work: UnitOfWork, key: Key, compute: Callable[[], Value]) -> Value:
        """Return the cached value; compute and cache it if it is missing."""
        return self._entries.get_or_compute((work.database, key), compute)
