"""The cache of values computed from stored data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.db.database_cache import DatabaseCache
from app.db.session import engine_for
from app.db.unit_of_work import UnitOfWork


@pytest.fixture
def first(tmp_path: Path) -> Iterator[UnitOfWork]:
    yield from _open(f"sqlite:///{tmp_path / 'first.sqlite3'}")


@pytest.fixture
def second(tmp_path: Path) -> Iterator[UnitOfWork]:
    yield from _open(f"sqlite:///{tmp_path / 'second.sqlite3'}")


def _open(url: str) -> Iterator[UnitOfWork]:
    with UnitOfWork(url) as work:
        yield work
    engine_for(url).dispose()


def test_each_database_sees_its_own_value(first: UnitOfWork, second: UnitOfWork) -> None:
    cache: DatabaseCache[str, int] = DatabaseCache("numbers", lambda _: 1)

    assert cache.get_or_compute(first, "key", lambda: 1) == 1
    assert cache.get_or_compute(second, "key", lambda: 2) == 2
    assert (cache.get(first, "key"), cache.get(second, "key")) == (1, 2)


def test_a_cached_value_is_not_computed_again(first: UnitOfWork) -> None:
    cache: DatabaseCache[str, int] = DatabaseCache("numbers", lambda _: 1)
    cache.put(first, "key", 1)

    assert cache.get_or_compute(first, "key", lambda: 2) == 1
