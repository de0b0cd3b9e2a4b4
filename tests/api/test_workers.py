"""Workers, the length of the queue, and the outcome of each attempt."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from app.core.settings import Settings
from app.core.trials import ReadingProgress, TrainingProgress, TrialResult
from app.db.tables import WorkerRow
from app.db.unit_of_work import UnitOfWork
from app.services.trials import lifecycle, reconciliation
from tests.support import SMALL, claim_trial, expire_lease
from worker.heartbeat import Heartbeat

pytestmark = pytest.mark.databases("sqlite", "postgresql")

Open = Callable[[], UnitOfWork]
TRIAL = {"architecture": "small", "dataset": "digits", "recipe": "digits-smoke"}
RESULT = TrialResult(0.9, 1.0, {})


@pytest.fixture
def client(client: TestClient) -> TestClient:
    assert client.post("/v1/architectures", json=SMALL).status_code == 201
    return client


@pytest.fixture
def trial(client: TestClient) -> str:
    return client.post("/v1/trials", json=TRIAL).json()["id"]


def workers(client: TestClient) -> dict[str, dict[str, Any]]:
    return {worker["name"]: worker for worker in client.get("/v1/workers").json()["items"]}


def queue(client: TestClient) -> dict[str, Any]:
    return client.get("/v1/queue").json()


def beat(work: Open, name: str, trial: str | None = None) -> None:
    with work() as unit:
        unit.workers.record_heartbeat(name, 1, trial)
        unit.commit()


def attempts(client: TestClient, trial: str) -> list[dict[str, Any]]:
    return client.get(f"/v1/trials/{trial}").json()["attempts"]


def test_worker_is_listed_with_its_trial(client: TestClient, trial: str, work: Open, settings: Settings) -> None:
    heartbeat = Heartbeat(settings, "a-host:7", "an accelerator")
    before = datetime.now(UTC)

    heartbeat.attach(claim_trial(work, trial, settings, "a-host:7"))

    seen = workers(client)["a-host:7"]
    assert (seen["host"], seen["device"], seen["trial"], seen["alive"]) == ("a-host", "an accelerator", trial, True)
    assert seen["threads"] == settings.thread_count
    assert datetime.fromisoformat(seen["started_at"]) <= before
    assert abs((datetime.fromisoformat(seen["heartbeat_at"]) - before).total_seconds()) < 60

    heartbeat.detach()
    assert workers(client)["a-host:7"]["trial"] is None
    heartbeat.stop()
    assert workers(client) == {}


def test_silent_worker_is_listed_for_an_hour(client: TestClient, work: Open, settings: Settings) -> None:
    for name in ("lives", "silent", "long gone"):
        beat(work, name)
    with work() as unit:
        for name, seconds in (("silent", 600), ("long gone", 4000)):
            unit.session.execute(
                update(WorkerRow).where(WorkerRow.name == name).values(heartbeat_at=WorkerRow.heartbeat_at - seconds)
            )
        unit.commit()

    with work() as unit:
        reconciliation.reconcile(unit, settings)

    assert {name: worker["alive"] for name, worker in workers(client).items()} == {"lives": True, "silent": False}
    with work() as unit:
        assert unit.session.query(WorkerRow).count() == 2, "rows of dead workers do not pile up"


def test_queue_states_length_and_expected_wait(client: TestClient, trial: str, work: Open, settings: Settings) -> None:
    estimate = client.post("/v1/trials", json={**TRIAL, "validate_only": True}).json()["estimate"]
    alone = estimate["seconds"] - estimate["first_use_seconds"]
    client.post("/v1/trials", json={**TRIAL, "seed": 1})
    assert queue(client) == {"queued": 2, "paused": 0, "running": 0, "workers": 0, "wait": None}

    beat(work, "one")
    assert queue(client)["wait"]["seconds"] == pytest.approx(2 * alone)
    beat(work, "two")
    assert queue(client)["wait"]["seconds"] == pytest.approx(alone)
    assert queue(client)["wait"]["low"] < alone < queue(client)["wait"]["high"]


def test_of_a_running_trial_what_is_left_counts(client: TestClient, trial: str, work: Open, settings: Settings) -> None:
    beat(work, "one", trial)
    claim = claim_trial(work, trial, settings)
    whole = queue(client)["wait"]["seconds"]
    with work() as unit:
        lifecycle.report(unit, claim, ReadingProgress(1, 2))
    assert queue(client)["wait"]["seconds"] == whole
    with work() as unit:
        lifecycle.report(unit, claim, TrainingProgress(1, seconds_left=40.0))

    assert queue(client)["wait"]["seconds"] == pytest.approx(40)
    assert (queue(client)["running"], queue(client)["queued"]) == (1, 0)
    beat(work, "free")
    assert queue(client)["wait"]["seconds"] == 0, "a worker is free and nothing is before"


def test_paused_trials_are_counted_separately(client: TestClient, work: Open) -> None:
    beat(work, "one")
    study = client.post("/v1/studies", json={"name": "a study", **TRIAL, "trials": 3}).json()["id"]
    client.post(f"/v1/studies/{study}/start")
    assert queue(client)["wait"]["seconds"] > 0

    client.post(f"/v1/studies/{study}/pause")

    seen = queue(client)
    assert (seen["queued"], seen["paused"], seen["wait"]["seconds"]) == (0, 3, 0)


def test_attempts_name_worker_and_end_reason(client: TestClient, trial: str, work: Open, settings: Settings) -> None:
    assert attempts(client, trial) == []
    first = claim_trial(work, trial, settings, "told to stop")
    (under_way,) = attempts(client, trial)
    assert (under_way["worker"], under_way["ended_at"], under_way["outcome"]) == ("told to stop", None, None)
    with work() as unit:
        lifecycle.release(unit, first)
    claim_trial(work, trial, settings, "killed")
    expire_lease(work, trial)
    with work() as unit:
        reconciliation.reconcile(unit, settings)
    failing = claim_trial(work, trial, settings, "failing")
    with work() as unit:
        lifecycle.fail(unit, failing, "The disk is full.", [])
    client.post(f"/v1/trials/{trial}/retry")
    cancelled = claim_trial(work, trial, settings, "cancelled")
    with work() as unit:
        lifecycle.confirm_cancel(unit, cancelled)
    client.post(f"/v1/trials/{trial}/retry")
    last = claim_trial(work, trial, settings, "the last")
    with work() as unit:
        lifecycle.complete(unit, last, RESULT)

    made = attempts(client, trial)

    assert [(each["worker"], each["outcome"]) for each in made] == [
        ("told to stop", "released"),
        ("killed", "lost"),
        ("failing", "failed"),
        ("cancelled", "cancelled"),
        ("the last", "completed"),
    ]
    assert made[2]["reason"] == "The disk is full."
    assert made[1]["reason"] == "Its worker died or stopped sending heartbeats."
    times = [time for each in made for time in (each["started_at"], each["ended_at"])]
    assert times == sorted(times)


def test_last_of_too_many_attempts_is_lost(client: TestClient, trial: str, work: Open, settings: Settings) -> None:
    for attempt in range(settings.max_attempts):
        claim_trial(work, trial, settings, f"worker {attempt}")
        expire_lease(work, trial)
        with work() as unit:
            reconciliation.reconcile(unit, settings)

    made = attempts(client, trial)

    assert [each["outcome"] for each in made] == ["lost"] * settings.max_attempts
    assert f"{settings.max_attempts} times" in made[-1]["reason"]
