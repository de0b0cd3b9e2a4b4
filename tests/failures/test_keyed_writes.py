"""An API process that dies between any two statements of a write: a retry with its key has its effect once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from app.core.settings import Settings
from app.db.tables import IdempotencyRow
from app.db.unit_of_work import UnitOfWork

pytestmark = pytest.mark.databases("sqlite", pytest.param("postgresql", marks=pytest.mark.exhaustive))

# For each n, creates a study in a process that kills itself before its nth statement; prints how many statements there
# were.
API = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import event
from app.db.session import engine_for
from app.main import create_app
from app.core.settings import Settings
from tests.support import LocalClient

url, folder = sys.argv[1:]
settings = Settings(database_url=url, broker_url="", data_dir=Path(folder))
create_app(settings)  # the processes share its routes

def create(last):
    asked = 0
    def die(*_):
        nonlocal asked
        asked += 1
        if asked == last:
            os.kill(os.getpid(), signal.SIGKILL)
    engine = engine_for(url)
    for moment in ("before_cursor_execute", "commit"):
        event.listen(engine, moment, die)
    client = LocalClient(create_app(settings))
    body = {"name": f"study {last}", "architecture": "tinynet_e", "dataset": "digits"}
    answer = client.post("/v1/studies", json=body, headers={"Idempotency-Key": f"key-{last}"})
    os._exit(0 if answer.status_code == 201 else 1)

last = 0
while True:
    last += 1
    child = os.fork()
    if not child:
        create(last)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        print(last - 1)
        sys.exit(os.WEXITSTATUS(status))
"""
ROOT = Path(__file__).parents[2]


@pytest.mark.exhaustive
@pytest.mark.timeout(300)
def test_api_killed_at_any_statement_creates_study_once(settings: Settings, client: TestClient, tmp_path: Path) -> None:
    command = [sys.executable, "-c", API, settings.database, str(tmp_path)]
    died = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert died.returncode == 0, died.stderr
    statements = int(died.stdout)
    assert statements >= 8

    with UnitOfWork(settings.database) as work:  # their processes are dead, which the lease would tell in half a minute
        work.session.execute(update(IdempotencyRow).values(reserved_until=0.0))
        work.commit()
    for last in range(1, statements + 1):
        body = {"name": f"study {last}", "architecture": "tinynet_e", "dataset": "digits"}
        again = client.post("/v1/studies", json=body, headers={"Idempotency-Key": f"key-{last}"})
        assert again.status_code == 201, f"killed before statement {last}: {again.text}"

    names = [study["name"] for study in client.get("/v1/studies?limit=200").json()["items"]]
    assert sorted(names) == sorted(f"study {last}" for last in range(1, statements + 2))
