"""The commands that docs/operations.md gives for backup and restore, run as they stand there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from app.datasets import DIGITS
from app.db.migrate import upgrade
from app.db.session import engine_for
from app.db.unit_of_work import UnitOfWork
from app.recipes import Recipe
from app.services import leases, trials
from app.settings import Settings
from tests.support import absent, expire
from tests.worker.support import TINY

DOCUMENT = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
RESULT = {"accuracy": 0.5, "seconds": 1.0, "environment": {}}


def commands(start: str) -> list[str]:
    """The lines of the document's shell blocks that begin so."""
    blocks = re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL)
    return [line.split("     #")[0] for block in blocks for line in block.splitlines() if line.startswith(start)]


def requested(url: str, seed: int) -> str:
    with UnitOfWork(url) as work:
        trial = trials.request(work, trials.Plan("tiny", TINY, DIGITS, Recipe(epochs=1), seed))
        work.commit()
        return trial.id


def claimed(url: str, settings: Settings) -> leases.Claim:
    with UnitOfWork(url) as work:
        claim = leases.claim(work, "a test", settings)
    assert claim is not None
    return claim


def states(url: str) -> dict[str, str]:
    with UnitOfWork(url) as work:
        return {trial.id: trial.state for trial in work.trials.page(50, None).items}


def in_use(url: str, settings: Settings) -> tuple[str, dict[str, str]]:
    """A database with a trial that has completed and one that runs: the former's id, and both states."""
    upgrade(url)
    done = requested(url, 0)
    with UnitOfWork(url) as work:
        leases.complete(work, claimed(url, settings), RESULT)
    requested(url, 1)
    claimed(url, settings)
    return done, states(url)


def check_restored(url: str, before: dict[str, str], settings: Settings) -> None:
    """What was there is there, what is new is not, and what was running is anybody's once its lease has run out."""
    assert states(url) == before
    [running] = [trial for trial, state in before.items() if state == "running"]
    expire(lambda: UnitOfWork(url), running)
    with UnitOfWork(url) as work:
        leases.reconcile(work, settings)
        work.commit()
    assert states(url)[running] == "queued"


def test_sqlite_is_backed_up_while_it_is_written_to_and_restored(tmp_path: Path) -> None:
    var = tmp_path / "var"
    var.mkdir()
    url = f"sqlite:///{var / 'rdw.sqlite3'}"
    settings = Settings(data_dir=var, database_url=url)
    done, before = in_use(url, settings)
    [command] = commands("python -c")

    subprocess.run([sys.executable, *shlex.split(command)[1:]], cwd=tmp_path, check=True)
    requested(url, 2)
    engine_for(url).dispose()
    for log in var.glob("rdw.sqlite3-*"):
        log.unlink()
    shutil.move(tmp_path / "backup.sqlite3", var / "rdw.sqlite3")

    assert sorted(before.values()) == ["completed", "running"]
    check_restored(url, before, settings)
    with UnitOfWork(url) as work:
        assert (trials.find(work, done).result or {})["accuracy"] == RESULT["accuracy"]


def test_postgresql_is_backed_up_and_restored(postgres: str, tmp_path: Path) -> None:
    if shutil.which("pg_dump") is None:
        absent("pg_dump (PostgreSQL's client programs)")
    settings = Settings(data_dir=tmp_path, database_url=postgres)
    done, before = in_use(postgres, settings)
    environment = {**os.environ, "RDW_DATABASE_URL": postgres}
    [dump] = commands("pg_dump")
    [restore] = commands("pg_restore")

    subprocess.run(dump, shell=True, cwd=tmp_path, env=environment, check=True)
    requested(postgres, 2)
    engine_for(postgres).dispose()
    subprocess.run(restore, shell=True, cwd=tmp_path, env=environment, check=True)

    check_restored(postgres, before, settings)
    with UnitOfWork(postgres) as work:
        assert (trials.find(work, done).result or {})["accuracy"] == RESULT["accuracy"]
