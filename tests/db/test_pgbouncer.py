"""The service behind PgBouncer, which gives every transaction another connection to the server."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from app.core.settings import Settings
from app.core.trials import TrialResult
from app.db.migrate import upgrade
from app.db.session import engine_for
from app.db.unit_of_work import UnitOfWork
from app.http.app import create_app
from app.services.auth import keys
from app.services.trials import lifecycle
from tests.failures.service import running
from tests.leaks import shared_ports
from tests.support import SMALL, LocalClient, find_free_port, is_listening, skip_without

SERVER_CONNECTIONS = 3
STUDY = {"architecture": "small", "dataset": "digits", "recipe": "digits-smoke"}
CONFIGURATION = """
[databases]
* = host={host} port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = transaction
default_pool_size = {connections}
max_client_conn = 200
"""


@pytest.fixture
def pooled(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an empty database through PgBouncer with transaction pooling."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        skip_without("PgBouncer (apt install pgbouncer)")
    parts, port, folder = urlsplit(postgres), find_free_port(), tmp_path_factory.mktemp("pgbouncer")
    users, configuration = folder / "users.txt", folder / "pgbouncer.ini"
    users.write_text(f'"{parts.username}" "{parts.password or ""}"\n')
    configuration.write_text(
        CONFIGURATION.format(
            host=parts.hostname, server=parts.port, port=port, users=users, connections=SERVER_CONNECTIONS
        )
    )
    as_user = []
    if os.getuid() == 0:  # it refuses to run as root
        for path in (users, configuration, folder, *folder.parents):
            if path.is_relative_to(tmp_path_factory.getbasetemp().parent):
                path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o644))
        as_user = ["-u", "nobody"]
    process = subprocess.Popen([program, *as_user, str(configuration)], stderr=subprocess.PIPE, text=True)
    try:
        while not is_listening("127.0.0.1", port):
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.05)
        shared_ports.add(port)
        yield f"postgresql://{parts.username}@127.0.0.1:{port}{parts.path}"
    finally:
        shared_ports.discard(port)
        process.terminate()
        process.communicate()


def test_requests_and_workers_share_few_connections(pooled: str, postgres: str, tmp_path: Path) -> None:
    upgrade(pooled)
    settings = Settings(data_dir=tmp_path, database_url=pooled, broker_url="")

    with LocalClient(create_app(settings)) as client, ThreadPoolExecutor(12) as threads:
        client.post("/v1/architectures", json=SMALL).raise_for_status()
        made = [
            *threads.map(lambda seed: client.post("/v1/trials", json={**STUDY, "seed": seed}), range(24)),
            *threads.map(lambda n: client.post("/v1/studies", json={**STUDY, "name": f"s{n % 4}"}), range(24)),
        ]
        assert {answer.status_code for answer in made} <= {201, 202, 409}
        completed = list(threads.map(lambda _: train_next(settings), range(24)))
        reads = [client.get("/v1/trials", params={"state": "completed", "limit": 200}) for _ in range(8)]
    with UnitOfWork(pooled) as work:
        keys.create(work, "ci", "read", None)
    engine_for(pooled).dispose()

    assert completed == [True] * 24
    assert {len(answer.json()["items"]) for answer in reads} == {24}
    assert_nothing_is_left_in_sessions(pooled, postgres)


def train_next(settings: Settings) -> bool:
    with UnitOfWork(settings.database) as work:
        claim = lifecycle.claim(work, "a worker", settings)
    assert claim is not None
    with UnitOfWork(settings.database) as work:
        return lifecycle.complete(work, claim, TrialResult(0.9, 1.0, {}))


def assert_nothing_is_left_in_sessions(pooled: str, postgres: str) -> None:
    """Check that the connections of PgBouncer hold no setting, prepared statement or lock of a client."""
    with psycopg.connect(pooled, autocommit=True, prepare_threshold=None) as client:
        for _ in range(4 * SERVER_CONNECTIONS):
            for limit in ("statement_timeout", "idle_in_transaction_session_timeout"):
                assert client.execute(f"SHOW {limit}").fetchone() == ("0",)
            assert client.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)
    with psycopg.connect(postgres) as direct:
        held = "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database WHERE locktype = 'advisory'"
        held += " AND datname = current_database()"
        assert direct.execute(held).fetchone() == (0,)
        used = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        [count] = direct.execute(used).fetchone() or (None,)
        assert 1 <= count <= SERVER_CONNECTIONS


@pytest.mark.exhaustive
def test_trial_is_trained_through_pgbouncer(pooled: str, tmp_path: Path) -> None:
    with running(tmp_path, RDW_DATABASE_URL=pooled, RDW_BROKER_URL="", RDW_WORKERS="1") as service:
        service.post("/v1/architectures", SMALL)
        trial = service.post("/v1/trials", STUDY)["id"]

        ended = service.wait_for_trial(trial)

    assert (ended["state"], ended["attempt"]) == ("completed", 1), service.log()
