"""A service for a module of tests: the API in a thread, on SQLite; a worker where one is needed."""

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
from typing import Any

import httpx
import uvicorn

from app.db.migrate import upgrade
from app.db.session import engine_for
from app.db.unit_of_work import UnitOfWork
from app.main import create_app
from app.services import leases
from app.services.predictors import install_published
from app.settings import Settings
from tests.support import SMALL, claim_of, free_port

RESULT: dict[str, Any] = {"accuracy": 0.9, "seconds": 1.0, "environment": {}}


@dataclass(frozen=True)
class Served:
    """Where the service is, and its settings."""

    url: str
    settings: Settings

    def work(self) -> UnitOfWork:
        return UnitOfWork(self.settings.database)

    def claim(self, trial: str) -> leases.Claim:
        """The trial is taken as by a worker: it runs."""
        return claim_of(self.work, trial, self.settings)

    def finish(self, trial: str) -> None:
        """The trial completes as if it had been trained."""
        claim = self.claim(trial)
        with self.work() as unit:
            assert leases.complete(unit, claim, RESULT)

    @property
    def environment(self) -> dict[str, str]:
        """For processes on the same data."""
        return {
            **os.environ,
            "RDW_DATA_DIR": str(self.settings.data_dir),
            "RDW_DATABASE_URL": self.settings.database_url,
            "RDW_BROKER_URL": "",
            "RDW_URL": self.url,
            "RDW_PORT": self.url.rpartition(":")[2],
            "PYTHONPATH": os.pathsep.join(sys.path),
            "RDW_THREADS": "1",
        }


@contextmanager
def served(folder: Path, api_keys: str = "") -> Iterator[Served]:
    """The baseline `small` is registered, where no key is asked for."""
    database = f"sqlite:///{folder / 'rdw.sqlite3'}"
    upgrade(database)
    with UnitOfWork(database) as work:
        install_published(work)
    settings = Settings(data_dir=folder, database_url=database, broker_url="", api_keys=api_keys)
    port = free_port()
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
            httpx.post(f"{url}/v1/architectures", json=SMALL).raise_for_status()
        yield Served(url, settings)
    finally:
        server.should_exit = True
        thread.join()
        engine_for(database).dispose()


@contextmanager
def worker(service: Served) -> Iterator[None]:
    """A real worker on the service's data."""
    log = (service.settings.data_dir / "worker.log").open("ab")
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "worker"], env=service.environment, stdout=log, stderr=subprocess.STDOUT
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)
        log.close()
