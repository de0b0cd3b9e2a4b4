"""A process that dies between any two statements of claim and finish leaves a trial that is still counted once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.datasets import DIGITS
from app.db.tables import ObservationRow
from app.db.unit_of_work import UnitOfWork
from app.recipes import Recipe
from app.services import leases, trials
from app.settings import Settings
from tests.support import expire
from tests.worker.support import TINY

# Claims, reports, and finishes; dies by its own hand before its nth statement, or ends well and says how many it had.
WORKER = """
import os, signal, sys
from sqlalchemy import event
from app.db.session import engine_for
from app.db.unit_of_work import UnitOfWork
from app.services import leases
from app.settings import Settings

url, last = sys.argv[1], int(sys.argv[2])
asked = 0

def die(*_):
    global asked
    asked += 1
    if asked == last:
        os.kill(os.getpid(), signal.SIGKILL)

engine = engine_for(url)
event.listen(engine, "before_cursor_execute", die)
event.listen(engine, "commit", die)
settings = Settings(database_url=url, lease_seconds=5)
with UnitOfWork(url) as work:
    claim = leases.claim(work, "doomed", settings)
with UnitOfWork(url) as work:
    leases.report(work, claim, {"epoch": 1, "validation_accuracy": 0.5})
with UnitOfWork(url) as work:
    leases.complete(work, claim, {"accuracy": 0.5, "seconds": 1.0, "environment": {}})
print(asked)
"""
RESULT = {"accuracy": 0.5, "seconds": 1.0, "environment": {}}
ROOT = Path(__file__).parents[2]


def worker(url: str, last: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WORKER, url, str(last)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


def requested(url: str, seed: int) -> str:
    with UnitOfWork(url) as work:
        trial = trials.request(work, trials.Plan("tiny", TINY, DIGITS, Recipe(epochs=1), seed))
        work.commit()
        return trial.id


def another_finishes(settings: Settings, trial_id: str) -> None:
    """Once the lease has run out, as another worker and the look-out do it."""
    expire(lambda: UnitOfWork(settings.database), trial_id)
    with UnitOfWork(settings.database) as work:
        leases.reconcile(work, settings)
    with UnitOfWork(settings.database) as work:
        claim = leases.claim(work, "another", settings)
        if claim is not None:
            leases.complete(work, claim, RESULT)


@pytest.mark.timeout(600)
def test_killed_between_any_two_statements_a_trial_is_completed_and_counted_once(settings: Settings) -> None:
    requested(settings.database, 0)
    whole = worker(settings.database, 0)
    statements = int(whole.stdout)
    assert statements >= 10, whole.stderr

    for last in range(1, statements + 1):
        trial_id = requested(settings.database, last)
        died = worker(settings.database, last)
        assert died.returncode == -9, f"{last}: {died.stdout}{died.stderr}"

        another_finishes(settings, trial_id)

        with UnitOfWork(settings.database) as work:
            assert trials.find(work, trial_id).state == "completed", f"killed before statement {last}"
            counted = work.session.query(ObservationRow).filter_by(trial_id=trial_id).count()
            assert counted == 1, f"killed before statement {last}"
            assert [event.kind for event in work.events.after(trial_id, 0)].count("superseded") == 0
