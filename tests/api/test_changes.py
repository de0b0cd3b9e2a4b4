"""The stream of what has changed, from a real server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import event

from app.core.settings import Settings
from app.db.session import engine_for
from app.db.unit_of_work import UnitOfWork
from app.services.trials import lifecycle
from tests.api.test_events import RESULT, TRIAL, finish, serving
from tests.support import SMALL, claim_trial

pytestmark = pytest.mark.databases("sqlite", "postgresql")

Open = Callable[[], UnitOfWork]
LISTENERS = 30
STUDY = {"name": "changing", "architecture": "small", "dataset": "digits", "trials": 1}


@pytest.fixture
def client(settings: Settings) -> Iterator[httpx.Client]:
    limits = httpx.Limits(max_connections=None)
    with serving(settings) as address, httpx.Client(base_url=address, timeout=60, limits=limits) as client:
        client.post("/v1/architectures", json=SMALL).raise_for_status()
        yield client


class Stream:
    """The changes that a service reports."""

    def __init__(self, response: httpx.Response) -> None:
        assert response.status_code == 200, response.read()
        self._lines = response.iter_lines()
        assert self.next() == ("open", {})

    def next(self) -> tuple[str, dict[str, Any]] | None:
        """Return the next event's kind and data; None at the end."""
        kind = None
        for line in self._lines:
            name, _, value = line.partition(":")
            if name == "event":
                kind = value.strip()
            elif name == "data":
                assert kind is not None
                return kind, json.loads(value)
        return None

    def wait_for(self, kind: str, resource: str) -> None:
        """Read up to the change of a resource."""
        while (change := self.next()) is not None:
            if change[0] == kind and resource in change[1]["ids"]:
                return
        raise AssertionError(f"the stream ended without {kind} {resource}")


@contextmanager
def following(client: httpx.Client, **query: Any) -> Iterator[Stream]:
    with client.stream("GET", "/v1/events", params=query) as response:
        yield Stream(response)


def post(client: httpx.Client, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    return client.post(path, json=body).raise_for_status().json()


def test_life_of_a_trial_is_reported(client: httpx.Client, work: Open, settings: Settings) -> None:
    with following(client) as stream:
        trial = post(client, "/v1/trials", TRIAL)["id"]
        stream.wait_for("trials", trial)
        claim = claim_trial(work, trial, settings)
        stream.wait_for("trials", trial)
        with work() as unit:
            assert lifecycle.complete(unit, claim, RESULT)
        stream.wait_for("trials", trial)
        client.patch(f"/v1/trials/{trial}", json={"name": "best"}).raise_for_status()
        stream.wait_for("trials", trial)
        client.delete(f"/v1/trials/{trial}").raise_for_status()
        stream.wait_for("trials", trial)


def test_studies_predictors_and_workers_are_reported(client: httpx.Client, work: Open) -> None:
    with following(client) as stream:
        study = post(client, "/v1/studies", STUDY)["id"]
        stream.wait_for("studies", study)
        post(client, f"/v1/studies/{study}/cancel")
        stream.wait_for("studies", study)
        post(client, "/v1/predictors/published-tinynets/deactivate")
        stream.wait_for("predictors", "published-tinynets")
        with work() as unit:
            unit.workers.record_heartbeat("a-host:7", 1, None)
            unit.commit()
        stream.wait_for("workers", "a-host:7")


def test_heartbeat_is_no_change(client: httpx.Client, work: Open, settings: Settings) -> None:
    def beat() -> None:
        with work() as unit:
            unit.workers.record_heartbeat("a-host:7", 1, None)
            unit.commit()

    beat()
    with following(client) as stream:
        beat()
        trial = post(client, "/v1/trials", TRIAL)["id"]
        assert stream.next() == ("trials", {"ids": [trial]})


def test_change_of_an_old_trial_is_reported_as_its_event(client: httpx.Client, work: Open, settings: Settings) -> None:
    oldest = post(client, "/v1/trials", TRIAL)["id"]
    with work() as unit:
        trial = unit.trials.get(oldest)
        assert trial is not None
        columns = {c.key: getattr(trial, c.key) for c in trial.__table__.columns if c.key not in ("id", "created_at")}
        unit.trials.add_all(type(trial)(**columns | {"fingerprint": str(i), "state": "failed"}) for i in range(600))
        unit.commit()

    with following(client) as stream:
        finish(work, oldest, settings)
        stream.wait_for("trials", oldest)


def test_listeners_share_a_query(client: httpx.Client, settings: Settings) -> None:
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("SELECT trial_events.id"):
            statements.append(statement)

    with ExitStack() as stack:
        streams = [stack.enter_context(following(client)) for _ in range(LISTENERS)]
        event.listen(engine_for(settings.database), "before_cursor_execute", note)
        trial = post(client, "/v1/trials", TRIAL)["id"]
        for stream in streams:
            stream.wait_for("trials", trial)
    assert 0 < len(statements) < LISTENERS


def test_stream_ends_after_the_requested_time(client: httpx.Client) -> None:
    with following(client, seconds=4) as stream:  # it opens within that on a busy machine too
        assert stream.next() is None
    assert client.get("/v1/events", params={"seconds": 0}).status_code == 422
    assert client.get("/v1/events", params={"seconds": 100_000}).status_code == 422
