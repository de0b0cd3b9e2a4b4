from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator

import pytest

from app.datasets import DIGITS
from app.db.unit_of_work import UnitOfWork
from app.recipes import PRESETS
from app.services import trials
from app.settings import Settings
from tests.support import claim_of, free_port
from tests.worker.support import TINY
from worker.leases import Heartbeat

Open = Callable[[], UnitOfWork]


@pytest.fixture
def trial_id(work: Open) -> str:
    with work() as unit:
        trial = trials.request(unit, trials.Plan("tiny", TINY, DIGITS, PRESETS["digits-smoke"], 0))
        unit.commit()
        return trial.id


@pytest.fixture
def patient(settings: Settings) -> Settings:
    """Its beats would be minutes apart by the lease alone."""
    return settings.model_copy(update={"lease_seconds": 3600})


@pytest.fixture
def heartbeat(patient: Settings) -> Iterator[Heartbeat]:
    beating = Heartbeat(patient, "a worker")
    beating.start()
    yield beating
    beating.release()
    beating.end()
    beating.join()


def wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_cancel_is_heard_long_before_the_lease_runs_out(
    heartbeat: Heartbeat, trial_id: str, work: Open, patient: Settings
) -> None:
    heartbeat.hold(claim_of(work, trial_id, patient))
    assert heartbeat.why_stop() is None

    with work() as unit:
        trials.cancel(unit, trial_id)

    wait_for(lambda: heartbeat.why_stop() == "cancelled")


def test_what_is_logged_meanwhile_is_kept_with_the_trial_in_case_the_worker_dies(
    heartbeat: Heartbeat, trial_id: str, work: Open, patient: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    def kept() -> list[str]:
        with work() as unit:
            return trials.find(unit, trial_id).log or []

    caplog.set_level(logging.INFO)
    log = logging.getLogger("rdw.test")
    log.info("before")
    heartbeat.hold(claim_of(work, trial_id, patient))

    for n in range(30):
        log.info("step %s", n)

    wait_for(lambda: bool(kept()) and kept()[-1].endswith("INFO step 29"))
    assert len(kept()) == 20
    assert not any("before" in line for line in kept())


def test_a_database_that_is_away_is_said_once_and_in_a_line(
    patient: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    away = patient.model_copy(update={"database_url": f"postgresql://nobody@127.0.0.1:{free_port()}/none"})
    beating = Heartbeat(away, "a worker")

    for _ in range(3):
        beating.release()  # which is followed by a beat

    [said] = [record for record in caplog.records if record.name == "rdw.worker"]
    assert "The database does not answer: " in said.getMessage() and said.exc_info is None
