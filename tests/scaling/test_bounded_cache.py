"""Caches that are bounded by the memory of their values."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.scaling import bounded_cache
from app.scaling.bounded_cache import BoundedCache
from app.scaling.network import Architecture, Config, Head, ScalingRules, Stage, Stem
from app.scaling.solver.width_grid import get_width_grid, has_width_grid

LIMIT = 40 * 2**20


@pytest.fixture(autouse=True)
def small_limit() -> Iterator[None]:
    bounded_cache.set_limit(0)  # empty, whatever ran before
    bounded_cache.set_limit(LIMIT)
    yield
    bounded_cache.set_limit(bounded_cache.DEFAULT_LIMIT)


def wide_baseline(channels: int) -> Architecture:
    """A baseline whose grid occupies several megabytes."""
    stages = tuple(Stage("ir", 1, channels + 16 * i, 3, 2 if i < 4 else 1, 6.0, 0.25) for i in range(12))
    return Architecture("wide", Config("efficientnet", 224, Stem(32), stages, Head(1280)), ScalingRules(divisor=8))


def test_least_recently_used_values_make_room() -> None:
    cache = BoundedCache[str, bytes]("test", len)
    third = bytes(LIMIT // 3)
    for key in "abc":
        cache.put(key, third)
    assert cache.get("a") is third
    cache.put("d", third)

    assert [key for key in "abcd" if cache.get(key) is not None] == ["a", "c", "d"]
    assert bounded_cache.used_bytes()["test"] == 3 * len(third)


def test_all_caches_share_the_limit() -> None:
    one, other = BoundedCache[str, bytes]("one", len), BoundedCache[str, bytes]("other", len)
    one.put("a", bytes(LIMIT - 1))
    other.put("a", bytes(2))

    assert (one.get("a"), other.get("a")) == (None, bytes(2))
    assert bounded_cache.used_bytes()["one"] == 0


def test_value_above_the_limit_is_not_kept() -> None:
    cache = BoundedCache[str, bytes]("test", len)
    cache.put("small", b"small")

    assert len(cache.get_or_compute("large", lambda: bytes(LIMIT + 1))) == LIMIT + 1
    assert (cache.get("large"), cache.get("small")) == (None, b"small")


def test_value_that_replaces_another_is_counted_once() -> None:
    cache = BoundedCache[str, bytes]("replaced", len)
    cache.put("a", bytes(10))
    cache.put("a", bytes(7))

    assert bounded_cache.used_bytes()["replaced"] == 7


def test_tables_of_many_baselines_stay_within_the_limit() -> None:
    baselines = [wide_baseline(64 + i) for i in range(20)]
    sizes = [get_width_grid(baseline).nbytes for baseline in baselines]

    assert sum(sizes) > 3 * LIMIT
    assert sum(bounded_cache.used_bytes().values()) <= LIMIT
    assert has_width_grid(baselines[-1])
    assert not has_width_grid(baselines[0])


def test_size_of_a_grid_is_that_of_its_arrays_at_least() -> None:
    grid = get_width_grid(wide_baseline(64))
    networks = len(grid.widths)

    assert grid.nbytes >= 8 * networks * grid.batch.terms // 4
