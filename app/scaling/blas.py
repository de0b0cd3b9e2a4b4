"""Linear algebra on one thread.

The matrices here are small: more threads gain little where cores are free, and lose much where they are not, as beside
training (a Cholesky factor of 400 by 400: 1 ms on one thread, 50 to 800 on two that were busy). On one thread sums have
one order, so that a stored regression predicts the same bits however many cores there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock
from typing import Any

from threadpoolctl import ThreadpoolController

_lock = Lock()
_inside: list[Any] = []  # the limit in force, once for each that is inside


@contextmanager
def one_thread() -> Iterator[None]:
    """numpy's and scipy's linear algebra on one thread; as before once all callers have left."""
    with _lock:
        _inside.append(_inside[0] if _inside else _libraries().limit(limits=1))
    try:
        yield
    finally:
        with _lock:
            limit = _inside.pop()
            if not _inside:
                limit.restore_original_limits()


@lru_cache(maxsize=1)
def _libraries() -> ThreadpoolController:
    """OpenBLAS alone: what trains has threads of its own."""
    return ThreadpoolController().select(internal_api="openblas")
