"""Caches that are bounded by the memory of their values, all of a process by one limit."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from threading import RLock
from typing import Any, Generic, TypeVar, cast

DEFAULT_LIMIT = 256 * 2**20  # bytes

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class _SharedMemory:
    """The values of all caches, the least recently used first, with the bytes that each occupies."""

    def __init__(self) -> None:
        self.limit = DEFAULT_LIMIT
        self.lock = RLock()
        self.bytes_by_cache: Counter[str] = Counter()
        self._used = 0
        self._entries: OrderedDict[tuple[str, Hashable], tuple[Any, int]] = OrderedDict()

    def get(self, key: tuple[str, Hashable]) -> Any:
        with self.lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            return entry[0]

    def put(self, key: tuple[str, Hashable], value: Any, size: int) -> None:
        with self.lock:
            self.remove(key)
            if size > self.limit:
                return
            self._entries[key] = value, size
            self._count(key, size)
            self.evict()

    def remove(self, key: tuple[str, Hashable]) -> None:
        with self.lock:
            entry = self._entries.pop(key, None)
            if entry is not None:
                self._count(key, -entry[1])

    def evict(self) -> None:
        with self.lock:
            while self._used > self.limit:
                key, (_, size) = self._entries.popitem(last=False)
                self._count(key, -size)

    def _count(self, key: tuple[str, Hashable], size: int) -> None:
        self._used += size
        self.bytes_by_cache[key[0]] += size


_memory = _SharedMemory()


def set_limit(limit: int) -> None:
    """Set how many bytes the values of all caches of this process may occupy together."""
    with _memory.lock:
        _memory.limit = limit
        _memory.evict()


def used_bytes() -> dict[str, int]:
    """Return the bytes that the values of each cache occupy, by the cache's name."""
    with _memory.lock:
        return dict(_memory.bytes_by_cache)


class BoundedCache(Generic[Key, Value]):
    """A thread-safe cache of values by key. The process's least recently used values make room for new ones.

    `size_of` returns the bytes of a value, including what the value may cache itself. A value larger than the whole
    limit is not kept. Threads that miss the same key at the same time each compute its value.
    """

    def __init__(self, name: str, size_of: Callable[[Value], int]) -> None:
        self._name = name
        self._size_of = size_of
        _memory.bytes_by_cache.setdefault(name, 0)

    def get(self, key: Key) -> Value | None:
        return cast("Value | None", _memory.get((self._name, key)))

    def put(self, key: Key, value: Value) -> None:
        _memory.put((self._name, key), value, self._size_of(value))

    def get_or_compute(self, key: Key, compute: Callable[[], Value]) -> Value:
        """Return the cached value; compute and cache it if it is missing."""
        value = self.get(key)
        if value is None:
            value = compute()
            self.put(key, value)
        return value
