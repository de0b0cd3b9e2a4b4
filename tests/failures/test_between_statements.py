"""A process that dies between any two statements of claim and completion leaves a trial that is counted once."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.settings import Settings
from app.core.trials import TrialResult
from app.data.builtin_datasets import DIGITS
from app.data.recipes import Recipe
from app.db.tables import ObservationRow
from app.db.unit_of_work import UnitOfWork
from app.services.trials import lifecycle, reconciliation, requests
from tests.support import expire_lease
from tests.worker.support import TINY

pytestmark = pytest.mark.databases("sqlite", pytest.param("postgresql", marks=pytest.mark.exhaustive))

# For each number n that it reads, a child process claims, reports and finishes. It kills itself before its nth
# statement, or prints how many statements there were. Its exit code follows.
WORKER = """
import os, signal, sys
from sqlalchemy import event
from app.core.settings import Settings
from app.core.trials import TrainingProgress, TrialResult
from app.db.session import engine_for
from app.db.unit_of_work import UnitOfWork
from app.services.trials import lifecycle

url = sys.argv[1]

def finish(last):
    asked = 0
    def die(*_):
        nonlocal asked
        asked += 1
        if asked == last:
            os.kill(os.getpid(), signal.SIGKILL)
    engine = engine_for(url)
    event.listen(engine, "before_cursor_execute", die)
    event.listen(engine, "commit", die)
    settings = Settings(database_url=url, lease_seconds=5)
    with UnitOfWork(url) as work:
        claim = lifecycle.claim(work, "doomed", settings)
    with UnitOfWork(url) as work:
        lifecycle.report(work, claim, TrainingProgress(1, validation_accuracy=0.5))
    with UnitOfWork(url) as work:
        lifecycle.complete(work, claim, TrialResult(0.5, 1.0, {}))
    return asked

for line in sys.stdin:
    child = os.fork()
    if not child:
        print(finish(int(line)), flush=True)
        os._exit(0)
    print("exit", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
RESULT = TrialResult(0.5, 1.0, {})
ROOT = Path(__file__).parents[2]


class Worker:
    """The process that forks a worker for each number."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._asks, self._hears = process.stdin, process.stdout

    def run(self, last: int) -> tuple[int, str]:
        """The exit code of a worker that dies before that statement, and what it printed."""
        self._asks.write(f"{last}\n")
        self._asks.flush()
        printed = ""
        while not (line := self._hears.readline()).startswith("exit "):
            assert line, "the process has ended"
            printed += line
        return int(line.split()[1]), printed


@pytest.fixture
def worker(settings: Settings) -> Iterator[Worker]:
    command = [sys.executable, "-c", WORKER, settings.database]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        yield Worker(process)


def request_trial(url: str, seed: int) -> str:
    with UnitOfWork(url) as work:
        trial = requests.get_or_create(work, requests.TrialPlan("tiny", TINY, DIGITS, Recipe(epochs=1), seed))
        work.commit()
        return trial.id


def finish_elsewhere(settings: Settings, trial_id: str) -> None:
    """Expire the lease, reconcile, and finish the trial in another worker."""
    expire_lease(lambda: UnitOfWork(settings.database), trial_id)
    with UnitOfWork(settings.database) as work:
        reconciliation.reconcile(work, settings)
    with UnitOfWork(settings.database) as work:
        claim = lifecycle.claim(work, "another", settings)
        if claim is not None:
            lifecycle.complete(work, claim, RESULT)


def test_worker_killed_at_any_statement_counts_trial_once(settings: Settings, worker: Worker) -> None:
    request_trial(settings.database, 0)
    code, printed = worker.run(0)
    assert code == 0
    statements = int(printed)
    assert statements >= 10

    for last in range(1, statements + 1):
        trial_id = request_trial(settings.database, last)
        assert worker.run(last) == (-signal.SIGKILL, "")

        finish_elsewhere(settings, trial_id)

        with UnitOfWork(settings.database) as work:
            assert requests.find(work, trial_id).state == "completed", f"killed before statement {last}"
            counted = work.session.query(ObservationRow).filter_by(trial_id=trial_id).count()
            assert counted == 1, f"killed before statement {last}"
            assert [event.kind for event in work.events.list_after_each({trial_id: 0}, 200)].count("superseded") == 0
