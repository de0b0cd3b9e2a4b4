"""Waiting: over dropped streams, behind proxies that keep them back, until it is done, failed, cancelled or late."""

from __future__ import annotations

import asyncio
import threading
import zlib
from collections.abc import Iterator

import pytest

from app.services import leases
from rdw_client import AsyncClient, Client, Event, RdwError, TrialCancelled, TrialFailed, WaitedTooLong
from rdw_client.events import Following, Reader
from tests.client.unreliable import unreliable
from tests.serving import Served


@pytest.fixture
def trial(rdw: Client, request: pytest.FixtureRequest) -> Iterator[str]:
    seed = zlib.crc32(request.node.name.encode()) % 10**6
    yield rdw.train("small", dataset="digits", recipe="digits-smoke", seed=seed).id


def test_what_has_completed_is_returned_with_all_its_events(rdw: Client, service: Served, trial: str) -> None:
    seen: list[Event] = []
    finishing = threading.Timer(0.1, service.finish, (trial,))
    finishing.start()
    done = rdw.wait(trial, seen.append)
    finishing.join()

    assert done.accuracy == 0.9
    assert [event.data["state"] for event in seen if event.id is not None] == ["queued", "running", "completed"]
    assert rdw.wait(done).id == trial


def test_failure_and_cancellation_are_raised(rdw: Client, service: Served, trial: str) -> None:
    rdw.cancel_trial(trial)
    with pytest.raises(TrialCancelled) as cancelled:
        rdw.wait(trial)
    assert cancelled.value.trial.id == trial

    rdw.retry_trial(trial)
    claim = service.claim(trial)
    with service.work() as work:
        leases.fail(work, claim, "the loss is no number", [])
    with pytest.raises(TrialFailed, match="the loss is no number"):
        rdw.wait(trial)


def test_a_wait_has_an_end_and_the_trial_goes_on(rdw: Client, service: Served, trial: str) -> None:
    with pytest.raises(WaitedTooLong):
        rdw.wait(trial, timeout=0.3)
    assert rdw.trial(trial).state == "queued"

    async def likewise() -> None:
        async with AsyncClient(service.url) as other:
            with pytest.raises(WaitedTooLong):
                await other.wait(trial, timeout=0.3)

    asyncio.run(likewise())


def test_behind_a_proxy_that_drops_and_keeps_streams_back(rdw: Client, service: Served, trial: str) -> None:
    """Each stream comes through when it has ended only, if at all: what the trial itself says is shown meanwhile."""
    service.finish(trial)
    port = int(service.url.rpartition(":")[2])
    with unreliable(port, share=0.5, seed=3) as proxy, Client(proxy.url, retries=30, backoff=0.001) as far:
        assert far.wait(trial).accuracy == 0.9
        states = [event.data["state"] for event in far.events(trial)]
        again = asyncio.run(_likewise(proxy.url, trial))
    assert states == again == ["queued", "running", "completed"]
    assert sum(proxy.dropped[way] for way in proxy.dropped if way) > 0


async def _likewise(url: str, trial: str) -> list[str]:
    async with AsyncClient(url, retries=30, backoff=0.001) as far:
        assert (await far.wait(trial)).accuracy == 0.9
        return [event.data["state"] async for event in far.events(trial)]


def test_a_stream_is_taken_up_after_the_last_event_that_was_seen(rdw: Client, service: Served, trial: str) -> None:
    service.finish(trial)
    first, *others = rdw.events(trial)

    assert list(rdw.events(trial, last_event_id=first.id or 0)) == others


def test_a_study_is_waited_for(rdw: Client, service: Served) -> None:
    study = rdw.create_study("waited for", "small", "digits", trials=2, space={"ratio": [0.3, 1.0]})
    with pytest.raises(RdwError, match="not started"):
        rdw.wait_for_study(study)
    rdw.start_study(study)
    with pytest.raises(WaitedTooLong):
        rdw.wait_for_study(study, timeout=0.1)
    for trial in list(rdw.trials(study=study)):
        service.finish(trial.id)
    seen: list[str] = []
    assert rdw.wait_for_study(study, lambda now: seen.append(now.state)).trials["completed"] == 2
    assert seen[-1] == "completed"


def test_events_are_read_line_by_line() -> None:
    reader = Reader()
    lines = [": ping", "", "id: 3", "event: state", 'data: {"state":', 'data: "running"}', "", "data: no json", ""]

    assert [event for event in map(reader.take, lines) if event] == [Event("state", {"state": "running"}, 3)]


def test_an_event_that_was_seen_is_not_shown_again() -> None:
    following = Following(2, every=True)

    assert not following.take(Event("progress", {}, 2))
    assert following.take(Event("progress", {}, 3))
    assert following.last == 3
