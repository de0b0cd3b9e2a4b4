"""The real service in processes of its own, for tests that kill them."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.databases import PostgresServer
from tests.failures.gate import Gate
from tests.leaks import shared_ports
from tests.support import SMALL, find_free_port

# A few seconds of training, about two epochs per second.
RECIPE: dict[str, Any] = {"epochs": 8, "batch_size": 16, "lr": 0.004}
SET_UPS = ["embedded", pytest.param("postgresql and redis", marks=pytest.mark.exhaustive)]
PATIENCE = 280.0  # seconds; a worker takes half a minute to start on a busy machine
TERMINAL = ("completed", "failed", "cancelled")


class Service:
    """`rdw serve`, or another command, on a port of its own; `prefix` is a command that starts it."""

    def __init__(self, data_dir: Path, command: str = "serve", *, prefix: Sequence[str] = (), **settings: str) -> None:
        port = find_free_port()
        self.data_dir = data_dir
        self.log_file = data_dir / "service.log"
        environment = {
            **os.environ,
            "RDW_DATA_DIR": str(data_dir),
            "RDW_PORT": str(port),
            "RDW_LEASE_SECONDS": "3",
            "RDW_RECONCILE_SECONDS": "0.5",
            "RDW_RESEND_SECONDS": "3",
            "RDW_THREADS": "1",
            **settings,
        }
        self.port = port
        shared_ports.add(port)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)
        self._opened_log = self.log_file.open("ab")
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "app.cli", command],
            env=environment,
            stdout=self._opened_log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _ready(self) -> bool:
        try:
            return self.client.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def wait_until_ready(self) -> None:
        wait_for(self._ready, lambda: f"the service is not ready:\n{self.log()}")

    def post(
        self, path: str, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        answer = self.client.post(path, json=body, headers=headers)
        assert answer.is_success, answer.text
        return answer.json()

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        answer = self.client.get(path, params=query)
        assert answer.is_success, answer.text
        return answer.json()

    def children(self, text: str) -> list[int]:
        """Return the ids of the supervisor's child processes whose command line contains the text."""
        found = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True)
        rows = [line.split(None, 2) for line in found.stdout.splitlines()[1:]]
        return [int(pid) for pid, parent, command in rows if int(parent) == self.process.pid and text in command]

    def wait_for_trial(self, trial: str) -> dict[str, Any]:
        """Wait for the trial's end and return it."""
        wait_for(lambda: self.get(f"/v1/trials/{trial}")["state"] in TERMINAL, self.log)
        return self.get(f"/v1/trials/{trial}")

    def log(self) -> str:
        return self.log_file.read_text()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(PATIENCE)
        self.client.close()
        shared_ports.discard(self.port)
        self._opened_log.close()


@contextmanager
def running(data_dir: Path, **settings: str) -> Iterator[Service]:
    service = Service(data_dir, **settings)
    try:
        service.wait_until_ready()
        yield service
    finally:
        service.stop()


@contextmanager
def gate_before(url: str) -> Iterator[tuple[Gate, str]]:
    """A gate in front of the server of this URL, and the URL through it."""
    parts = urlsplit(url)
    gate = Gate(str(parts.hostname), int(parts.port or 0))
    try:
        yield gate, url.replace(f":{parts.port}/", f":{gate.port}/")
    finally:
        gate.close()


@contextmanager
def service_settings(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Settings for one of `SET_UPS`, with one worker."""
    if request.param == "embedded":
        yield {"RDW_WORKERS": "1", "RDW_DATABASE_URL": "", "RDW_BROKER_URL": ""}
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    broker = request.getfixturevalue("redis")
    with server.database(migrated=False) as database:
        yield {"RDW_WORKERS": "1", "RDW_DATABASE_URL": database, "RDW_BROKER_URL": broker}


def start_trial(service: Service, **recipe: Any) -> str:
    """Request a trial and wait until it has finished an epoch, before its end."""
    trial = request_trial(service, **recipe)
    wait_for(lambda: (service.get(f"/v1/trials/{trial}")["progress"] or {}).get("epoch", 0) >= 2, service.log)
    return trial


def request_trial(service: Service, **recipe: Any) -> str:
    body = {"architecture": SMALL, "dataset": "digits", "recipe": {**RECIPE, **recipe}, "seed": next(_seeds)}
    return str(service.post("/v1/trials", body)["id"])


_seeds = itertools.count()


def wait_for(condition: Callable[[], bool], describe: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {PATIENCE:.0f} s: {describe()}")
        time.sleep(0.1)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] != "Z"
