"""The commands for backup and restore in docs/operations.md, run as documented."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from app.core.settings import Settings
from app.core.trials import TrialResult
from app.data.builtin_datasets import DIGITS
from app.data.recipes import Recipe
from app.db.migrate import upgrade
from app.db.session import engine_for
from app.db.unit_of_work import UnitOfWork
from app.http.app import create_app
from app.services.auth import keys
from app.services.trials import lifecycle, reconciliation, requests
from tests.support import LocalClient, expire_lease, skip_without
from tests.worker.support import TINY

DOCUMENT = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
RESULT = TrialResult(0.5, 1.0, {})


def commands(start: str) -> list[str]:
    """Return the lines of the document's shell blocks with this start."""
    blocks = re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL)
    return [line.split("     #")[0] for block in blocks for line in block.splitlines() if line.startswith(start)]


def requested(url: str, seed: int) -> str:
    with UnitOfWork(url) as work:
        trial = requests.get_or_create(work, requests.TrialPlan("tiny", TINY, DIGITS, Recipe(epochs=1), seed))
        work.commit()
        return trial.id


def claimed(url: str, settings: Settings) -> lifecycle.Claim:
    with UnitOfWork(url) as work:
        claim = lifecycle.claim(work, "a test", settings)
    assert claim is not None
    return claim


def states(url: str) -> dict[str, str]:
    with UnitOfWork(url) as work:
        return {trial.id: trial.state for trial in work.trials.page(50, None).items}


def database_in_use(url: str, settings: Settings) -> tuple[str, dict[str, str]]:
    """Create a completed and a running trial; return the completed one's id and the states of both."""
    upgrade(url)
    done = requested(url, 0)
    with UnitOfWork(url) as work:
        lifecycle.complete(work, claimed(url, settings), RESULT)
    requested(url, 1)
    claimed(url, settings)
    return done, states(url)


def check_restored(url: str, before: dict[str, str], settings: Settings) -> None:
    """Check that the states are as before and that the running trial is queued once its lease has expired."""
    assert states(url) == before
    [running] = [trial for trial, state in before.items() if state == "running"]
    expire_lease(lambda: UnitOfWork(url), running)
    with UnitOfWork(url) as work:
        reconciliation.reconcile(work, settings)
        work.commit()
    assert states(url)[running] == "queued"


def test_sqlite_backup_while_writing_can_be_restored(tmp_path: Path) -> None:
    var = tmp_path / "var"
    var.mkdir()
    url = f"sqlite:///{var / 'rdw.sqlite3'}"
    settings = Settings(data_dir=var, database_url=url)
    done, before = database_in_use(url, settings)
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
        restored = requests.find(work, done).result
    assert restored is not None and restored.accuracy == RESULT.accuracy
    engine_for(url).dispose()


def test_postgresql_backup_can_be_restored(postgres: str, tmp_path: Path) -> None:
    if shutil.which("pg_dump") is None:
        skip_without("pg_dump (PostgreSQL's client programs)")
    settings = Settings(data_dir=tmp_path, database_url=postgres)
    done, before = database_in_use(postgres, settings)
    environment = {**os.environ, "RDW_DATABASE_URL": postgres}
    [dump] = commands("pg_dump")
    [restore] = commands("pg_restore")

    subprocess.run(dump, shell=True, cwd=tmp_path, env=environment, check=True)  # noqa: S602 (as a user types it)
    requested(postgres, 2)
    engine_for(postgres).dispose()
    subprocess.run(restore, shell=True, cwd=tmp_path, env=environment, check=True)  # noqa: S602 (as a user types it)

    check_restored(postgres, before, settings)
    with UnitOfWork(postgres) as work:
        restored = requests.find(work, done).result
    assert restored is not None and restored.accuracy == RESULT.accuracy


def test_revoked_key_is_refused_after_a_restore(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'rdw.sqlite3'}"
    upgrade(url)
    with UnitOfWork(url) as work:
        _, secret = keys.create(work, "ci", "read", None)
    engine_for(url).dispose()
    shutil.copy(tmp_path / "rdw.sqlite3", tmp_path / "backup.sqlite3")
    with UnitOfWork(url) as work:
        keys.revoke(work, "ci")
    engine_for(url).dispose()
    shutil.move(tmp_path / "backup.sqlite3", tmp_path / "rdw.sqlite3")
    settings = Settings(data_dir=tmp_path, database_url=url, broker_url="")
    queue = {"url": "/v1/queue", "headers": {"Authorization": f"Bearer {secret}"}}
    assert LocalClient(create_app(settings)).get(**queue).status_code == 200, "the backup does not know better"
    [command] = commands("rdw keys revoke-before")
    environment = {**os.environ, "RDW_DATA_DIR": str(tmp_path), "RDW_DATABASE_URL": url}

    subprocess.run([sys.executable, "-m", "app.cli", *shlex.split(command)[1:]], env=environment, check=True)

    restored = LocalClient(create_app(settings))
    assert restored.get(**queue).status_code == 401
    assert restored.get("/v1/queue").status_code == 401
    engine_for(url).dispose()
