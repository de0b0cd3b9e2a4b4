"""Workers that are killed or stopped: no trial is lost or counted twice."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator

import pytest

from tests.failures.service import (
    RECIPE,
    SET_UPS,
    Service,
    request_trial,
    running,
    service_settings,
    start_trial,
    wait_for,
)


@pytest.fixture(scope="module", params=SET_UPS)
def settings(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    with service_settings(request) as settings:
        yield settings


@pytest.fixture(scope="module")
def service(settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service for all tests that leave it running; it forgives a trial one death of its worker."""
    with running(tmp_path_factory.mktemp("service"), **settings, RDW_MAX_ATTEMPTS="2") as service:
        yield service


@pytest.fixture
def trial(service: Service) -> str:
    """A trial of the test's own that has begun."""
    return start_trial(service)


def is_running(service: Service, trial: str, attempt: int) -> bool:
    """Whether the attempt is under way, and its worker has said so."""
    seen = service.get(f"/v1/trials/{trial}")
    return seen["state"] == "running" and seen["attempt"] == attempt and bool(seen["log"])


def epochs_reported(service: Service, trial: str) -> list[int]:
    """Each whole epoch that any attempt reported, in order."""
    text = service.client.get(f"/v1/trials/{trial}/events", timeout=30).text
    events = [json.loads(line.removeprefix("data:")) for line in text.splitlines() if line.startswith("data:")]
    return [event["epoch"] for event in events if event.get("validation_accuracy") is not None]


def test_trial_resumes_from_checkpoint_after_worker_kill(service: Service, trial: str) -> None:
    (worker,) = service.children("celery")

    os.kill(worker, signal.SIGKILL)
    ended = service.wait_for_trial(trial)

    assert ended["state"] == "completed", ended["error"]
    assert ended["attempt"] == 2
    assert "resumed after epoch" in service.log()
    assert [epoch["epoch"] for epoch in ended["result"]["history"]] == list(range(1, RECIPE["epochs"] + 1))
    reported = epochs_reported(service, trial)
    assert reported == sorted(set(reported)), "no epoch that had ended was trained again"


@pytest.mark.exhaustive
def test_trial_with_inherited_weights_and_teacher_resumes_after_worker_kill(service: Service) -> None:
    source = {"trial": request_trial(service, epochs=2)}
    service.wait_for_trial(source["trial"])
    trial = start_trial(service, init=source, distill={"teacher": source})
    (worker,) = service.children("celery")

    os.kill(worker, signal.SIGKILL)
    ended = service.wait_for_trial(trial)

    assert (ended["state"], ended["attempt"]) == ("completed", 2), ended["error"]
    assert ended["result"]["init"]["sha256"] == ended["result"]["teacher"]["sha256"]
    reported = epochs_reported(service, trial)
    assert reported == sorted(set(reported)), "no epoch that had ended was trained again"


@pytest.mark.exhaustive
def test_stopped_worker_hands_its_trial_back(service: Service, trial: str) -> None:
    (worker,) = service.children("celery")

    os.kill(worker, signal.SIGTERM)
    ended = service.wait_for_trial(trial)

    assert ended["state"] == "completed", ended["error"]
    assert ended["attempt"] == 1, "an expired lease would have cost an attempt"


def test_running_trial_can_be_cancelled(service: Service, trial: str) -> None:
    service.post(f"/v1/trials/{trial}/cancel")
    ended = service.wait_for_trial(trial)

    assert ended["state"] == "cancelled"
    assert ended["result"] is None


def test_cancelled_trial_is_retried_from_checkpoint(service: Service, trial: str) -> None:
    service.post(f"/v1/trials/{trial}/cancel")
    service.wait_for_trial(trial)

    service.post(f"/v1/trials/{trial}/retry")
    ended = service.wait_for_trial(trial)

    assert ended["state"] == "completed", ended["error"]
    reported = epochs_reported(service, trial)
    assert reported == list(range(1, RECIPE["epochs"] + 1)), "no epoch that had ended was trained again"


@pytest.mark.exhaustive
def test_trial_that_kills_workers_fails_after_others_ran(service: Service, trial: str) -> None:
    healthy = request_trial(service)

    for attempt in (1, 2):
        wait_for(lambda n=attempt: is_running(service, trial, n), service.log)
        (worker,) = service.children("celery")
        os.kill(worker, signal.SIGKILL)
    failed, other = service.wait_for_trial(trial), service.wait_for_trial(healthy)

    assert (failed["state"], other["state"]) == ("failed", "completed")
    assert "stopped sending heartbeats 2 times" in failed["error"]
    assert any(f"trial {trial}: attempt" in line for line in failed["log"])
    assert other["finished_at"] < failed["finished_at"]

    service.post(f"/v1/trials/{trial}/retry")
    assert service.wait_for_trial(trial)["state"] == "completed"
    assert epochs_reported(service, trial) == list(range(1, RECIPE["epochs"] + 1))
