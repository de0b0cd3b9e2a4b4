"""Processes that are really killed: no trial is lost and none counts twice."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.failures.service import Service, alive, running, wait_for
from tests.support import SMALL

# Some seconds of training, an epoch each half second or so.
RECIPE = {"epochs": 8, "batch_size": 16, "lr": 0.004}


@pytest.fixture(params=["embedded", "postgresql and redis"])
def settings(request: pytest.FixtureRequest) -> dict[str, str]:
    """Settings of each set-up; one worker, so that it is the one to kill."""
    if request.param == "embedded":
        return {"RDW_WORKERS": "1", "RDW_DATABASE_URL": "", "RDW_BROKER_URL": ""}
    database, broker = request.getfixturevalue("postgres"), request.getfixturevalue("redis")
    return {"RDW_WORKERS": "1", "RDW_DATABASE_URL": database, "RDW_BROKER_URL": broker}


def begun(service: Service) -> str:
    """A trial that has finished an epoch and is not at its end."""
    service.post("/v1/architectures", SMALL)
    body = {"architecture": "small", "dataset": "digits", "recipe": RECIPE}
    trial = service.post("/v1/trials", body)["id"]
    wait_for(lambda: (service.get(f"/v1/trials/{trial}")["progress"] or {}).get("epoch", 0) >= 2, 60, service.log)
    return trial


def runs(service: Service, trial: str, attempt: int) -> bool:
    """Whether the attempt is under way, and its worker has said so."""
    seen = service.get(f"/v1/trials/{trial}")
    return seen["state"] == "running" and seen["attempt"] == attempt and bool(seen["log"])


def epochs_reported(service: Service, trial: str) -> list[int]:
    """Each whole epoch that any attempt reported, in order."""
    text = service.client.get(f"/v1/trials/{trial}/events", timeout=30).text
    events = [json.loads(line.removeprefix("data:")) for line in text.splitlines() if line.startswith("data:")]
    return [event["epoch"] for event in events if event.get("validation_accuracy") is not None]


def test_a_trial_outlives_the_kill_of_its_worker_and_goes_on_from_its_checkpoint(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    with running(tmp_path, **settings) as service:
        trial = begun(service)
        (worker,) = service.children("celery")

        os.kill(worker, signal.SIGKILL)
        ended = service.wait_for_trial(trial)

        assert ended["state"] == "completed", ended["error"]
        assert ended["attempt"] == 2
        assert "resumed after epoch" in service.log()
        assert [epoch["epoch"] for epoch in ended["result"]["history"]] == list(range(1, RECIPE["epochs"] + 1))
        reported = epochs_reported(service, trial)
        assert reported == sorted(set(reported)), "no epoch that had ended was trained again"


def test_a_worker_told_to_stop_hands_its_trial_back_at_once(tmp_path: Path, settings: dict[str, str]) -> None:
    with running(tmp_path, **settings, RDW_LEASE_SECONDS="120") as service:
        trial = begun(service)
        (worker,) = service.children("celery")

        os.kill(worker, signal.SIGTERM)
        ended = service.wait_for_trial(trial, 60)  # the lease alone would hold it for two minutes

        assert ended["state"] == "completed"
        assert ended["attempt"] == 1, "to be told to stop costs no attempt"


def test_a_running_trial_is_cancelled(tmp_path: Path, settings: dict[str, str]) -> None:
    with running(tmp_path, **settings) as service:
        trial = begun(service)

        service.post(f"/v1/trials/{trial}/cancel")
        ended = service.wait_for_trial(trial)

        assert ended["state"] == "cancelled"
        assert ended["result"] is None


def test_a_cancelled_trial_is_retried_from_its_checkpoint(tmp_path: Path, settings: dict[str, str]) -> None:
    with running(tmp_path, **settings) as service:
        trial = begun(service)
        service.post(f"/v1/trials/{trial}/cancel")
        service.wait_for_trial(trial)

        service.post(f"/v1/trials/{trial}/retry")
        ended = service.wait_for_trial(trial)

        assert ended["state"] == "completed", ended["error"]
        reported = epochs_reported(service, trial)
        assert reported == list(range(1, RECIPE["epochs"] + 1)), "no epoch that had ended was trained again"


def test_a_trial_that_kills_its_worker_fails_after_the_others_had_their_turn_and_can_be_retried(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    with running(tmp_path, **settings, RDW_MAX_ATTEMPTS="2") as service:
        poison = begun(service)
        healthy = service.post(
            "/v1/trials", {"architecture": "small", "dataset": "digits", "recipe": RECIPE, "seed": 1}
        )["id"]

        for attempt in (1, 2):
            wait_for(lambda n=attempt: runs(service, poison, n), 60, service.log)
            (worker,) = service.children("celery")
            os.kill(worker, signal.SIGKILL)
        failed, other = service.wait_for_trial(poison), service.wait_for_trial(healthy)

        assert (failed["state"], other["state"]) == ("failed", "completed")
        assert "died or fell silent 2 times" in failed["error"]
        assert any(f"trial {poison}: attempt" in line for line in failed["log"])
        assert other["finished_at"] < failed["finished_at"]

        service.post(f"/v1/trials/{poison}/retry")
        assert service.wait_for_trial(poison)["state"] == "completed"
        assert epochs_reported(service, poison) == list(range(1, RECIPE["epochs"] + 1))


def test_a_service_killed_whole_leaves_no_process_and_goes_on_when_started_again(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    first = Service(tmp_path, **settings)
    try:
        first.wait_until_ready()
        trial = begun(first)
        children = first.children("")
        assert len(children) == 2
        first.process.kill()
        first.process.wait(10)
        wait_for(lambda: not any(map(alive, children)), 20, lambda: f"still there: {children}")
    finally:
        first.stop()

    with running(tmp_path, **settings) as second:
        assert second.wait_for_trial(trial)["state"] == "completed"


def test_an_interrupt_stops_everything(tmp_path: Path, settings: dict[str, str]) -> None:
    with running(tmp_path, **settings) as service:
        begun(service)
        children = service.children("")

        service.process.send_signal(signal.SIGINT)

        assert service.process.wait(20) == 0
        assert not any(map(alive, children))
