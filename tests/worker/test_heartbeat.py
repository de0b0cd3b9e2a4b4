from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator

import pytest

from app.core.settings import Settings
from app.data.builtin_datasets import DIGITS
from app.data.recipes import PRESETS
from app.db.unit_of_work import UnitOfWork
from app.services.trials import requests
from tests.support import claim_trial, find_free_port
from tests.worker.support import TINY
from worker.heartbeat import Heartbeat

pytestmark = pytest.mark.databases("sqlite", "postgresql")

Open = Callable[[], UnitOfWork]


@pytest.fixture
def trial_id(work: Open) -> str:
    with work() as unit:
        trial = requests.get_or_create(unit, requests.TrialPlan("tiny", TINY, DIGITS, PRESETS["digits-smoke"], 0))
        unit.commit()
        return trial.id


@pytest.fixture
def patient(settings: Settings) -> Settings:
    """Settings with a lease so long that heartbeats would be minutes apart."""
    return settings.model_copy(update={"lease_seconds": 3600})


@pytest.fixture
def heartbeat(patient: Settings) -> Iterator[Heartbeat]:
    heartbeat = Heartbeat(patient, "a worker")
    heartbeat.start()
    yield heartbeat
    heartbeat.detach()
    heartbeat.stop()
    heartbeat.join()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_cancellation_is_noticed_long_before_lease_expires(
    heartbeat: Heartbeat, trial_id: str, work: Open, patient: Settings
) -> None:
    heartbeat.attach(claim_trial(work, trial_id, patient))
    assert heartbeat.stop_reason() is None

    with work() as unit:
        requests.cancel(unit, trial_id)

    wait_for(lambda: heartbeat.stop_reason() == "cancelled")


def test_last_log_lines_are_stored_with_running_trial(
    heartbeat: Heartbeat, trial_id: str, work: Open, patient: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    def stored_lines() -> list[str]:
        with work() as unit:
            return requests.find(unit, trial_id).log or []

    caplog.set_level(logging.INFO)
    log = logging.getLogger("rdw.test")
    log.info("before")
    heartbeat.attach(claim_trial(work, trial_id, patient))

    for n in range(30):
        log.info("step %s", n)

    wait_for(lambda: bool(stored_lines()) and stored_lines()[-1].endswith("INFO step 29"))
    assert len(stored_lines()) == 20
    assert not any("before" in line for line in stored_lines())


def test_database_outage_is_logged_once_without_traceback(patient: Settings, caplog: pytest.LogCaptureFixture) -> None:
    unavailable = patient.model_copy(update={"database_url": f"postgresql://nobody@127.0.0.1:{find_free_port()}/none"})
    heartbeat = Heartbeat(unavailable, "a worker")

    for _ in range(3):
        heartbeat.detach()  # which sends a heartbeat

    [record] = [r for r in caplog.records if r.name == "rdw.worker"]
    assert "The database does not answer: " in record.getMessage() and record.exc_info is None
