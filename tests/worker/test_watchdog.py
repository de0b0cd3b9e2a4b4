"""A training that hangs ends with a reason, and its worker with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.core.settings import Settings
from app.data.builtin_datasets import DIGITS
from app.data.recipes import Recipe
from app.db.tables import TrialRow
from app.db.unit_of_work import UnitOfWork
from app.jobs.queue import JobQueue
from app.services.trials import requests
from app.services.trials.attempts import list_attempts
from tests.failures.service import is_alive
from tests.worker.support import TINY

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0
STOP_SECONDS = 15.0  # what users are promised

Open = Callable[[], UnitOfWork]


def wait_for(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(0.1)


class StuckWorker:
    """A worker process, its only trial, and what became of both."""

    def __init__(self, process: subprocess.Popen[bytes], data_dir: Path, work: Open, trial_id: str) -> None:
        self.process, self._data_dir, self._work, self.trial_id = process, data_dir, work, trial_id

    def trial(self) -> TrialRow:
        with self._work() as unit:
            return requests.find(unit, self.trial_id)

    def loaders(self) -> list[int]:
        found = subprocess.run(["ps", "-ww", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True)
        rows = [line.split(None, 2) for line in found.stdout.splitlines()[1:]]
        return [int(pid) for pid, parent, args in rows if int(parent) == self.process.pid and "spawn_main" in args]

    def hangs(self) -> bool:
        return (self._data_dir / "hangs").exists()

    def cancel(self) -> None:
        with self._work() as unit:
            requests.cancel(unit, self.trial_id)


@pytest.fixture
def start(work: Open, settings: Settings) -> Iterator[Callable[..., StuckWorker]]:
    """Starts a worker that hangs in the loader or in the main thread."""
    processes: list[subprocess.Popen[bytes]] = []
    queue = JobQueue(settings)

    def start(place: str, **more: str) -> StuckWorker:
        with work() as unit:
            recipe = Recipe(epochs=2, batch_size=32, train_images=640)
            trial = requests.get_or_create(unit, requests.TrialPlan("tiny", TINY, DIGITS, recipe, 0))
            unit.commit()
        queue.send([trial.id])
        environment = {
            **os.environ,
            "RDW_DATA_DIR": str(settings.data_dir),
            "RDW_DATABASE_URL": settings.database_url,
            "RDW_BROKER_URL": "",
            "RDW_DEVICE": "cpu",
            "RDW_THREADS": "1",
            **more,
        }
        command = [sys.executable, "-m", "tests.worker.stuck_worker", place]
        log = (settings.data_dir / "worker.log").open("wb")
        with log:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        processes.append(process)
        return StuckWorker(process, settings.data_dir, work, trial.id)

    yield start
    for process in processes:
        process.kill()
        process.wait()
    queue.close()


@pytest.mark.parametrize(
    ("max_attempts", "state"), [pytest.param("2", "queued", marks=pytest.mark.exhaustive), ("1", "failed")]
)
def test_stalled_loader_ends_attempt_with_stack_and_advice(
    start: Callable[..., StuckWorker], work: Open, max_attempts: str, state: str
) -> None:
    worker = start("loader", RDW_STALL_SECONDS="10", RDW_MAX_ATTEMPTS=max_attempts)
    wait_for(lambda: bool(worker.loaders()))
    loaders = worker.loaders()

    assert worker.process.wait(PATIENCE) == 1

    trial = worker.trial()
    assert (trial.state, trial.attempt) == (state, 1)
    with work() as unit:
        (attempt,) = list_attempts(unit.events.state_changes(trial.id))
        assert unit.workers.list_alive(60) == []
    assert attempt.reason is not None and attempt.reason.startswith("No training step for 1")
    assert "loader processes" in attempt.reason and "--shm-size" in attempt.reason
    assert trial.log is not None and any("torch/utils/data/dataloader.py" in line for line in trial.log)
    wait_for(lambda: not any(map(is_alive, loaders)))


@pytest.mark.exhaustive
@pytest.mark.parametrize("place", ["loader", "main thread"])
def test_cancel_ends_stuck_training_in_time(start: Callable[..., StuckWorker], place: str) -> None:
    worker = start(place)
    wait_for(worker.hangs)

    worker.cancel()

    assert worker.process.wait(STOP_SECONDS) == 1
    assert worker.trial().state == "cancelled"


@pytest.mark.exhaustive
@pytest.mark.parametrize("place", ["loader", "main thread"])
def test_term_releases_stuck_training_in_time(start: Callable[..., StuckWorker], place: str) -> None:
    worker = start(place)
    wait_for(worker.hangs)

    worker.process.send_signal(signal.SIGTERM)

    assert worker.process.wait(STOP_SECONDS) == 0
    trial = worker.trial()
    assert (trial.state, trial.attempt) == ("queued", 0)
