"""A service for a module of tests: the API in a thread, on SQLite, and a worker if one is needed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn

from app.core.settings import Settings
from app.core.trials import TrialResult
from app.db.migrate import upgrade
from app.db.session import engine_for
from app.db.unit_of_work import UnitOfWork
from app.http.app import create_app
from app.services.predictors.store import store_built_in
from app.services.trials import lifecycle
from tests.leaks import shared_ports
from tests.support import SMALL, claim_trial, find_free_port

RESULT = TrialResult(0.9, 1.0, {})


@dataclass(frozen=True)
class RunningService:
    """The URL of a running service, and its settings."""

    url: str
    settings: Settings

    def work(self) -> UnitOfWork:
        return UnitOfWork(self.settings.database)

    def claim(self, trial: str) -> lifecycle.Claim:
        """Claim the trial as a worker does, so that it runs."""
        return claim_trial(self.work, trial, self.settings)

    def finish(self, trial: str) -> None:
        """Complete the trial as if it had been trained."""
        claim = self.claim(trial)
        with self.work() as unit:
            assert lifecycle.complete(unit, claim, RESULT)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of processes that use the same data."""
        return {
            **os.environ,
            "RDW_DATA_DIR": str(self.settings.data_dir),
            "RDW_DATABASE_URL": self.settings.database_url,
            "RDW_BROKER_URL": "",
            "RDW_LEASE_SECONDS": str(self.settings.lease_seconds),
            "RDW_URL": self.url,
            "RDW_PORT": self.url.rpartition(":")[2],
            "PYTHONPATH": os.pathsep.join(sys.path),
            "RDW_THREADS": "1",
        }


@contextmanager
def serve_api(folder: Path, api_keys: str = "") -> Iterator[RunningService]:
    """Serve the API; the baseline `small` is registered unless a key is required."""
    database = f"sqlite:///{folder / 'rdw.sqlite3'}"
    upgrade(database)
    with UnitOfWork(database) as work:
        store_built_in(work)
    settings = Settings(
        data_dir=folder, database_url=database, broker_url="", api_keys=api_keys, lease_seconds=300, solvers=0
    )
    port = find_free_port()
    config = uvicorn.Config(create_app(settings), port=port, log_level="error", ws="none", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.02)
        url = f"http://127.0.0.1:{port}"
        if not api_keys:
            httpx.post(f"{url}/v1/architectures", json=SMALL, timeout=60).raise_for_status()
        shared_ports.add(port)
        yield RunningService(url, settings)
    finally:
        shared_ports.discard(port)
        server.should_exit = True
        thread.join()
        engine_for(database).dispose()


@contextmanager
def run_worker(service: RunningService) -> Iterator[None]:
    """Run a worker process for the service."""
    log = (service.settings.data_dir / "worker.log").open("ab")
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "worker"], env=service.environment, stdout=log, stderr=subprocess.STDOUT
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(120)  # it may still be importing torch
        log.close()
