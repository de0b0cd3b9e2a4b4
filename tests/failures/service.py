"""The real service in processes of its own, for tests that kill them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.support import free_port

TERMINAL = ("completed", "failed", "cancelled")


class Service:
    """`rdw serve`, or another command, on a port of its own, and what a test wants of it."""

    def __init__(self, data_dir: Path, command: str = "serve", **settings: str) -> None:
        port = free_port()
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
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10)
        self._opened_log = self.log_file.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", command],
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
        wait_for(self._ready, 90, lambda: f"the service is not ready:\n{self.log()}")

    def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = self.client.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        answer = self.client.get(path, params=query)
        assert answer.is_success, answer.text
        return answer.json()

    def children(self, what: str) -> list[int]:
        """The pids of processes below the supervisor whose command line has `what`."""
        found = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True)
        rows = [line.split(None, 2) for line in found.stdout.splitlines()[1:]]
        return [int(pid) for pid, parent, command in rows if int(parent) == self.process.pid and what in command]

    def wait_for_trial(self, trial: str, seconds: float = 90) -> dict[str, Any]:
        """The trial, once it has ended."""
        wait_for(lambda: self.get(f"/v1/trials/{trial}")["state"] in TERMINAL, seconds, self.log)
        return self.get(f"/v1/trials/{trial}")

    def log(self) -> str:
        return self.log_file.read_text()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)
        self.client.close()
        self._opened_log.close()


@contextmanager
def running(data_dir: Path, **settings: str) -> Iterator[Service]:
    service = Service(data_dir, **settings)
    try:
        service.wait_until_ready()
        yield service
    finally:
        service.stop()


def wait_for(true: Callable[[], bool], seconds: float, otherwise: Callable[[], str]) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {seconds:.0f} s: {otherwise()}")
        time.sleep(0.1)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] != "Z"
