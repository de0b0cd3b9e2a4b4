"""Event streams from a real server, with many subscribers that miss no event."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from sqlalchemy import event, text

from app.core.settings import Settings
from app.core.trials import TrainingProgress, TrialResult
from app.db.session import engine_for
from app.db.unit_of_work import UnitOfWork
from app.http.app import create_app
from app.services.trials import lifecycle
from tests.support import SMALL, claim_trial, find_free_port

pytestmark = pytest.mark.databases("sqlite", "postgresql")

Open = Callable[[], UnitOfWork]
TRIAL = {"architecture": "small", "dataset": "digits", "recipe": "digits-smoke"}
RESULT = TrialResult(0.9, 1.0, {})
LISTENERS = 250


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """The API on a port of its own, in a thread; its address."""
    port = find_free_port()
    config = uvicorn.Config(create_app(settings), port=port, log_level="error", ws="none", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def server(settings: Settings) -> Iterator[str]:
    with serving(settings) as address:
        httpx.post(f"{address}/v1/architectures", json=SMALL, timeout=60).raise_for_status()
        yield address


def new_trial(server: str, seed: int = 0) -> str:
    return httpx.post(f"{server}/v1/trials", json={**TRIAL, "seed": seed}, timeout=60).raise_for_status().json()["id"]


def finish(work: Open, trial: str, settings: Settings) -> None:
    claim = claim_trial(work, trial, settings)
    with work() as unit:
        assert lifecycle.complete(unit, claim, RESULT)


class Stream:
    """A trial's events, one after the other."""

    def __init__(self, response: httpx.Response) -> None:
        assert response.status_code == 200
        self._lines = response.aiter_lines()

    async def next(self) -> tuple[int, dict[str, Any]] | None:
        """The next event's id and data; none at the end."""
        data, last = None, 0
        async for line in self._lines:
            name, _, value = line.partition(":")
            if name == "data":
                data = json.loads(value)
            elif name == "id":
                last = int(value)
            elif not line and data is not None:
                return last, data
        return None

    async def rest(self) -> list[tuple[int, dict[str, Any]]]:
        found = []
        while (event := await self.next()) is not None:
            found.append(event)
        return found


async def opened(stack: AsyncExitStack, client: httpx.AsyncClient, server: str, trial: str, last: int = 0) -> Stream:
    headers = {"Last-Event-ID": str(last)} if last else {}
    response = client.stream("GET", f"{server}/v1/trials/{trial}/events", headers=headers)
    return Stream(await stack.enter_async_context(response))


def asked_of_events(settings: Settings) -> list[str]:
    """The statements that read events, as they are sent from now on."""
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "FROM trial_events" in statement:
            asked.append(statement)

    event.listen(engine_for(settings.database), "before_cursor_execute", note)
    return asked


@pytest.mark.databases("sqlite", pytest.param("postgresql", marks=pytest.mark.exhaustive))
def test_many_listeners_share_threads_and_queries(server: str, work: Open, settings: Settings) -> None:
    trials = [new_trial(server, seed) for seed in range(5)]
    asked, threads = asked_of_events(settings), threading.active_count()

    async def listen() -> list[list[str]]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(limits=limits, timeout=60) as client, AsyncExitStack() as stack:
            streams = [await opened(stack, client, server, trials[n % 5]) for n in range(LISTENERS)]
            first = [await stream.next() for stream in streams]
            assert all(event is not None and event[1]["state"] == "queued" for event in first)
            assert threading.active_count() <= threads + 10
            asked.clear()
            for trial in trials:
                await asyncio.to_thread(finish, work, trial, settings)
            heard = [await stream.rest() for stream in streams]
            return [[data["state"] for _, data in events] for events in heard]

    heard = asyncio.run(listen())

    assert heard == [["running", "completed"]] * LISTENERS
    assert len(asked) < LISTENERS / 3


def test_stream_resumes_at_any_replica(server: str, work: Open, settings: Settings) -> None:
    trial = new_trial(server)

    async def listen(other: str) -> None:
        async with httpx.AsyncClient(timeout=60) as client, AsyncExitStack() as stack:
            queued = await (await opened(stack, client, server, trial)).next()
            assert queued is not None
            resumed = await opened(stack, client, other, trial, queued[0])
            whole = await opened(stack, client, other, trial)
            await asyncio.to_thread(finish, work, trial, settings)
            rest = await resumed.rest()
            assert [data["state"] for _, data in rest] == ["running", "completed"]
            assert await whole.rest() == [queued, *rest]
            assert await (await opened(stack, client, server, trial, rest[-1][0])).rest() == [], "it ends at once"

    with serving(settings) as other:
        asyncio.run(listen(other))


BEYOND = 9_000_000_000  # as a client has it whose service was restored from a backup since


def test_stream_from_future_id_gets_new_events(server: str, work: Open, settings: Settings) -> None:
    trial, other = new_trial(server, 0), new_trial(server, 1)

    async def listen() -> list[str]:
        async with httpx.AsyncClient(timeout=60) as client, AsyncExitStack() as stack, asyncio.timeout(60):
            stream = await opened(stack, client, server, trial, BEYOND)
            await asyncio.to_thread(finish, work, other, settings)
            await asyncio.to_thread(finish, work, trial, settings)
            return [data["state"] for _, data in await stream.rest()]

    assert asyncio.run(listen()) == ["running", "completed"]


def test_stream_from_future_id_of_ended_trial_ends(server: str, work: Open, settings: Settings) -> None:
    trial = new_trial(server)
    finish(work, trial, settings)

    async def listen() -> list[tuple[int, dict[str, Any]]]:
        async with httpx.AsyncClient(timeout=60) as client, AsyncExitStack() as stack, asyncio.timeout(60):
            return await (await opened(stack, client, server, trial, BEYOND)).rest()

    assert asyncio.run(listen()) == []


def test_stream_of_retried_trial_continues(server: str, work: Open, settings: Settings) -> None:
    trial = new_trial(server)
    httpx.post(f"{server}/v1/trials/{trial}/cancel", timeout=60).raise_for_status()
    httpx.post(f"{server}/v1/trials/{trial}/retry", timeout=60).raise_for_status()

    async def listen() -> list[str]:
        async with httpx.AsyncClient(timeout=60) as client, AsyncExitStack() as stack:
            stream = await opened(stack, client, server, trial)
            before = [await stream.next() for _ in range(3)]
            await asyncio.to_thread(finish, work, trial, settings)
            return [data["state"] for event in [*before, *await stream.rest()] if event for data in event[1:]]

    assert asyncio.run(listen()) == ["queued", "cancelled", "queued", "running", "completed"]


@pytest.mark.databases("postgresql")  # SQLite has one writer at a time
def test_event_committed_out_of_order_is_delivered(server: str, work: Open, settings: Settings) -> None:
    slow, fast = new_trial(server, 0), new_trial(server, 1)
    claims = [claim_trial(work, trial, settings) for trial in (slow, fast)]

    async def listen() -> tuple[int, int]:
        async with httpx.AsyncClient(timeout=60) as client, AsyncExitStack() as stack:
            streams = [await opened(stack, client, server, trial) for trial in (slow, fast)]
            for stream in streams:
                assert [await stream.next() is not None for _ in range(2)] == [True, True]
            with work() as late:
                late.events.record(slow, "progress", {"epoch": 1})
                with work() as unit:
                    assert lifecycle.report(unit, claims[1], TrainingProgress(1))
                after = await streams[1].next()
                late.commit()
            before = await streams[0].next()
            assert before is not None and after is not None
            return before[0], after[0]

    smaller, greater = asyncio.run(listen())

    assert smaller < greater, "the ids were given out in the other order"


@pytest.mark.databases("postgresql")
def test_events_become_visible_in_id_order(server: str, work: Open, settings: Settings) -> None:
    trial = new_trial(server)

    def record(epoch: int) -> None:
        with work() as unit:
            unit.events.record(trial, "progress", {"epoch": epoch})
            unit.commit()

    def epochs() -> list[int]:
        with work() as unit:
            return [
                event.data["epoch"]
                for event in unit.events.list_after_each({trial: 0}, 200)
                if event.kind == "progress"
            ]

    with work() as first:
        first.events.record(trial, "progress", {"epoch": 1})
        second = threading.Thread(target=record, args=(2,))
        second.start()
        while second.is_alive() and not waits_for_a_lock(settings):
            time.sleep(0.01)
        assert epochs() == [], "nobody sees the second without the first"
        first.commit()
    second.join()

    assert epochs() == [1, 2]


def waits_for_a_lock(settings: Settings) -> bool:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with engine_for(settings.database).connect() as connection:
        return connection.execute(text(waiting)).scalar_one() > 0
