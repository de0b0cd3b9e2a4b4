"""Waiting for trials and studies, and following events, over unreliable connections."""

from __future__ import annotations

import asyncio
import threading
import zlib
from collections.abc import Iterator

import pytest

from app.services.trials import lifecycle
from rdw_client import AsyncClient, Client, Event, RdwError, TrialCancelled, TrialFailed, WaitedTooLong
from rdw_client.events import EventFollower, EventParser
from tests.client.unreliable_proxy import unreliable
from tests.serving import RunningService


@pytest.fixture
def trial(rdw: Client, request: pytest.FixtureRequest) -> Iterator[str]:
    seed = zlib.crc32(request.node.name.encode()) % 10**6
    yield rdw.train("small", dataset="digits", recipe="digits-smoke", seed=seed).id


def test_wait_returns_completed_trial_and_delivers_all_events(rdw: Client, service: RunningService, trial: str) -> None:
    seen: list[Event] = []
    finishing = threading.Timer(0.1, service.finish, (trial,))
    finishing.start()
    done = rdw.wait(trial, seen.append)
    finishing.join()

    assert done.accuracy == 0.9
    assert [event.data["state"] for event in seen if event.id is not None] == ["queued", "running", "completed"]
    assert rdw.wait(done).id == trial


def test_wait_raises_on_failure_and_cancellation(rdw: Client, service: RunningService, trial: str) -> None:
    rdw.cancel_trial(trial)
    with pytest.raises(TrialCancelled) as cancelled:
        rdw.wait(trial)
    assert cancelled.value.trial.id == trial

    rdw.retry_trial(trial)
    claim = service.claim(trial)
    with service.work() as work:
        lifecycle.fail(work, claim, "the loss is no number", [])
    with pytest.raises(TrialFailed, match="the loss is no number"):
        rdw.wait(trial)


def test_wait_times_out_while_trial_continues(rdw: Client, service: RunningService, trial: str) -> None:
    with pytest.raises(WaitedTooLong):
        rdw.wait(trial, timeout=0.3)
    assert rdw.trial(trial).state == "queued"

    async def wait_asynchronously() -> None:
        async with AsyncClient(service.url) as other:
            with pytest.raises(WaitedTooLong):
                await other.wait(trial, timeout=0.3)

    asyncio.run(wait_asynchronously())


def test_wait_and_events_survive_a_dropping_proxy(rdw: Client, service: RunningService, trial: str) -> None:
    """The proxy buffers a stream until it ends, or drops it: until then, events come from the trial itself."""
    service.finish(trial)
    port = int(service.url.rpartition(":")[2])
    with unreliable(port, share=0.5, seed=3) as proxy, Client(proxy.url, retries=30, backoff=0.001) as far:
        assert far.wait(trial).accuracy == 0.9
        states = [event.data["state"] for event in far.events(trial)]
        again = asyncio.run(_wait_and_read_states(proxy.url, trial))
    assert states == again == ["queued", "running", "completed"]
    assert sum(proxy.dropped[way] for way in proxy.dropped if way) > 0


async def _wait_and_read_states(url: str, trial: str) -> list[str]:
    async with AsyncClient(url, retries=30, backoff=0.001) as far:
        assert (await far.wait(trial)).accuracy == 0.9
        return [event.data["state"] async for event in far.events(trial)]


def test_events_resume_after_last_event_id(rdw: Client, service: RunningService, trial: str) -> None:
    service.finish(trial)
    first, *others = rdw.events(trial)

    assert list(rdw.events(trial, last_event_id=first.id or 0)) == others


def test_wait_for_study(rdw: Client, service: RunningService) -> None:
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


def test_event_parser_ignores_comments_and_invalid_json() -> None:
    parser = EventParser()
    lines = [": ping", "", "id: 3", "event: state", 'data: {"state":', 'data: "running"}', "", "data: no json", ""]

    assert [event for event in map(parser.feed, lines) if event] == [Event("state", {"state": "running"}, 3)]


def test_follower_rejects_events_already_seen() -> None:
    follower = EventFollower(2, replay_all=True)

    assert not follower.accept(Event("progress", {}, 2))
    assert follower.accept(Event("progress", {}, 3))
    assert follower.last_event_id == 3
