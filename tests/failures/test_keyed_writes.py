"""An API process that dies between any two statements of a write: sent again with its key, it is done once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from app.db.tables import ReplayRow
from app.db.unit_of_work import UnitOfWork
from app.settings import Settings

# Creates a study in a process of its own that dies by its own hand before its nth statement, for each n; says how many
# there were.
API = """
import os, signal, sys
from pathlib import Path
from fastapi.testclient import TestClient
from sqlalchemy import event
from app.db.session import engine_for
from app.main import create_app
from app.settings import Settings

url, folder = sys.argv[1:]

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
    client = TestClient(create_app(Settings(database_url=url, broker_url="", data_dir=Path(folder))))
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


@pytest.mark.timeout(300)
def test_killed_between_any_two_statements_a_study_is_created_once(
    settings: Settings, client: TestClient, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", API, settings.database, str(tmp_path)]
    died = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert died.returncode == 0, died.stderr
    statements = int(died.stdout)
    assert statements >= 8

    with UnitOfWork(settings.database) as work:  # their processes are dead, which the lease would tell in half a minute
        work.session.execute(update(ReplayRow).values(answered_by=0.0))
        work.commit()
    for last in range(1, statements + 1):
        body = {"name": f"study {last}", "architecture": "tinynet_e", "dataset": "digits"}
        again = client.post("/v1/studies", json=body, headers={"Idempotency-Key": f"key-{last}"})
        assert again.status_code == 201, f"killed before statement {last}: {again.text}"

    names = [study["name"] for study in client.get("/v1/studies?limit=200").json()["items"]]
    assert sorted(names) == sorted(f"study {last}" for last in range(1, statements + 2))
