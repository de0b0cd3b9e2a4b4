"""The pool of processes for heavy computations."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import pytest

from app.core.errors import ServiceBusy
from app.core.process_pool import ComputationFailed, ProcessPool
from app.scaling import bounded_cache

LIMIT = 2**20


def echo(*values: object) -> Iterator[object]:
    yield from values


def pid() -> Iterator[int]:
    yield os.getpid()


def niceness_and_cache_limit() -> Iterator[int]:
    bounded_cache.BoundedCache[str, bytes]("test", len).put("a", bytes(LIMIT + 1))
    yield os.nice(0)
    yield bounded_cache.used_bytes()["test"]


def cores() -> Iterator[set[int]]:
    yield os.sched_getaffinity(0)


def wait_for(file: str) -> Iterator[str]:
    Path(f"{file}.started").touch()
    while not Path(file).exists():
        time.sleep(0.01)
    yield file


def fail() -> Iterator[None]:
    yield None
    raise ValueError("wrong")


def die() -> Iterator[None]:
    os._exit(1)
    yield None


def settings_seen() -> Iterator[list[str]]:
    yield [name for name in os.environ if name.startswith("RDW_")]


@asynccontextmanager
async def running(processes: int = 2, max_waiting: int = 2, timeout: float = 60.0) -> AsyncIterator[ProcessPool]:
    pool = ProcessPool(processes, max_waiting=max_waiting, timeout=timeout, cache_bytes=LIMIT)
    try:
        yield pool
    finally:
        await pool.close()


async def started(file: Path) -> None:
    async with asyncio.timeout(60):
        while not Path(f"{file}.started").exists():
            await asyncio.sleep(0.01)


def test_results_are_yielded_in_another_process() -> None:
    async def check() -> None:
        async with running() as pool:
            assert await pool.run(echo, 1, "two", is_long=False, seconds=1) == [1, "two"]
            [other] = await pool.run(pid, is_long=False, seconds=1)
            assert other != os.getpid()
            assert await pool.run(pid, is_long=True, seconds=1) == [other]  # it is used again
            assert await pool.run(niceness_and_cache_limit, is_long=False, seconds=1) == [os.nice(0) + 5, 0]

    asyncio.run(check())


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system cannot bind a process to cores")
def test_processes_leave_one_core_to_requests() -> None:
    async def check() -> None:
        async with running() as pool:
            [used] = await pool.run(cores, is_long=False, seconds=1)
            own = os.sched_getaffinity(0)
            assert used < own or len(own) == 1

    asyncio.run(check())


def test_no_process_starts_before_it_is_needed_and_none_is_left() -> None:
    async def check() -> None:
        before = set(psutil.Process().children())
        async with running() as pool:
            assert set(psutil.Process().children()) == before
            [child] = await pool.run(pid, is_long=False, seconds=1)
            assert psutil.pid_exists(child)
        assert set(psutil.Process().children()) == before

    asyncio.run(check())


def test_error_is_raised_and_the_process_goes_on() -> None:
    async def check() -> None:
        async with running() as pool:
            before = await pool.run(pid, is_long=False, seconds=1)
            with pytest.raises(ValueError, match="wrong"):
                await pool.run(fail, is_long=False, seconds=1)
            assert await pool.run(pid, is_long=False, seconds=1) == before

    asyncio.run(check())


def test_process_that_dies_is_replaced() -> None:
    async def check() -> None:
        async with running(1) as pool:
            with pytest.raises(ComputationFailed, match="has ended"):
                await pool.run(die, is_long=False, seconds=1)
            assert await pool.run(echo, 1, is_long=False, seconds=1) == [1]

    asyncio.run(check())


def test_computation_that_takes_too_long_is_ended_with_its_process(tmp_path: Path) -> None:
    async def check() -> None:
        async with running(1, timeout=5.0) as pool:
            before = await pool.run(pid, is_long=True, seconds=1)
            with pytest.raises(ComputationFailed, match="more than 5 s"):
                await pool.run(wait_for, str(tmp_path / "never"), is_long=True, seconds=1)
            assert not psutil.pid_exists(before[0])
            assert await pool.run(echo, 1, is_long=True, seconds=1) == [1]

    asyncio.run(check())


def test_cancelled_computation_ends_with_its_process(tmp_path: Path) -> None:
    async def check() -> None:
        async with running(1) as pool:
            before = await pool.run(pid, is_long=True, seconds=1)
            call = asyncio.create_task(pool.run(wait_for, str(tmp_path / "never"), is_long=True, seconds=1))
            await started(tmp_path / "never")
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert not psutil.pid_exists(before[0])
            assert await pool.run(echo, 1, is_long=True, seconds=1) == [1]

    asyncio.run(check())


def test_long_computations_leave_a_process_to_short_ones(tmp_path: Path) -> None:
    async def check() -> None:
        async with running(2) as pool:
            long = [
                asyncio.create_task(pool.run(wait_for, str(tmp_path / name), is_long=True, seconds=7)) for name in "ab"
            ]
            await started(tmp_path / "a")
            assert await pool.run(echo, 1, is_long=False, seconds=1) == [1]
            assert not (tmp_path / "b.started").exists()
            (tmp_path / "a").touch()
            (tmp_path / "b").touch()
            assert await asyncio.gather(*long) == [[str(tmp_path / "a")], [str(tmp_path / "b")]]

    asyncio.run(check())


def test_more_computations_than_may_wait_are_refused(tmp_path: Path) -> None:
    async def check() -> None:
        async with running(2, max_waiting=1) as pool:
            first = asyncio.create_task(pool.run(wait_for, str(tmp_path / "a"), is_long=True, seconds=7))
            await started(tmp_path / "a")
            second = asyncio.create_task(pool.run(echo, 2, is_long=True, seconds=5, caller="a"))
            await asyncio.sleep(0)
            with pytest.raises(ServiceBusy, match=r"Retry in 12 s\.") as refusal:
                await pool.run(echo, 3, is_long=True, seconds=5, caller="b")
            assert refusal.value.seconds == 12
            (tmp_path / "a").touch()
            assert await second == [2]
            await first
            assert await pool.run(echo, 3, is_long=True, seconds=5, caller="b") == [3]

    asyncio.run(check())


def test_caller_takes_half_of_the_places(tmp_path: Path) -> None:
    async def check() -> None:
        async with running(1, max_waiting=4) as pool:
            first = asyncio.create_task(pool.run(wait_for, str(tmp_path / "a"), is_long=True, seconds=1, caller="a"))
            await started(tmp_path / "a")
            waiting = [
                asyncio.create_task(pool.run(echo, caller, is_long=True, seconds=1, caller=caller))
                for caller in ("a", "a", "b", "b", None)
            ]
            await asyncio.sleep(0)
            for caller in ("a", "b", "c"):
                with pytest.raises(ServiceBusy):
                    await pool.run(echo, is_long=True, seconds=1, caller=caller)
            (tmp_path / "a").touch()
            assert await asyncio.gather(*waiting) == [["a"], ["a"], ["b"], ["b"], [None]]
            await first
            assert await pool.run(echo, 3, is_long=True, seconds=1, caller="a") == [3]
            assert pool.waiting() == {"short": 0, "long": 0}

    asyncio.run(check())


def test_closing_ends_a_computation(tmp_path: Path) -> None:
    async def check() -> None:
        pool = ProcessPool(1, max_waiting=1, timeout=60, cache_bytes=LIMIT)
        call = asyncio.create_task(pool.run(wait_for, str(tmp_path / "never"), is_long=True, seconds=1))
        await started(tmp_path / "never")
        await pool.close()
        with suppress(ComputationFailed):
            await call

    asyncio.run(check())


def test_processes_do_not_see_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RDW_DATABASE_URL", "postgresql://user:secret@host/name")

    async def check() -> None:
        async with running() as pool:
            assert await pool.run(settings_seen, is_long=False, seconds=1) == [[]]

    asyncio.run(check())


def test_closed_pool_may_be_used_again() -> None:
    async def check() -> None:
        async with running() as pool:
            await pool.close()
            with pytest.raises(ComputationFailed):
                await pool.run(echo, 1, is_long=False, seconds=1)
            pool.open()

            assert await pool.run(echo, 1, is_long=False, seconds=1) == [1]

    asyncio.run(check())
