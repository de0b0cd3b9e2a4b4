"""Transactions and connections of an API process and a worker, idle and training, and of 10, 50 and 200 workers.

PostgreSQL counts them (pg_stat_database, pg_stat_activity) while `rdw api` runs alone, then with an idle `rdw worker`,
then while that trains. Figures for more workers are multiples of these.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from app.db.migrate import upgrade
from app.db.session import engine_for

SERVER = os.environ.get("RDW_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
TRIAL = {
    "architecture": "tinynet_e",
    "multipliers": {"r": 0.3, "d": 0.5, "w": 0.2},
    "dataset": "digits",
    "recipe": {"epochs": 1000, "batch_size": 64},
}
API_PROCESSES = 2
WORKERS = (10, 50, 200)
_SETTLE_SECONDS = 15  # until what happens once is over, and PostgreSQL has counted it


@dataclass(frozen=True)
class Load:
    """Transactions per second, and the largest number of connections by command."""

    transactions: float
    connections: Counter[str]

    def __str__(self) -> str:
        connections = ", ".join(f"{count} of {name}" for name, count in sorted(self.connections.items()))
        return f"{self.transactions:.2f} transactions per second; connections: {connections}"


class Database:
    """An empty database of its own, watched from another one."""

    def __init__(self, server: psycopg.Connection[Any]) -> None:
        self.name = f"rdw_bench_{uuid.uuid4().hex[:10]}"
        self.url = f"{SERVER.rpartition('/')[0]}/{self.name}"
        self._server = server
        server.execute(f"CREATE DATABASE {self.name}")
        upgrade(self.url)
        engine_for(self.url).dispose()

    def measure(self, seconds: float) -> Load:
        time.sleep(_SETTLE_SECONDS)
        start, before = time.monotonic(), self._transactions()
        connections = self.peak_connections(lambda: time.monotonic() - start < seconds)
        return Load((self._transactions() - before) / (time.monotonic() - start), connections)

    def peak_connections(self, condition: Callable[[], bool]) -> Counter[str]:
        """Return the largest numbers of connections while the condition is true."""
        peak: Counter[str] = Counter()
        while condition():
            peak |= self._connections()
            time.sleep(0.2)
        return peak

    def drop(self) -> None:
        self._server.execute(f"DROP DATABASE {self.name} WITH (FORCE)")

    def _transactions(self) -> int:
        query = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = %s"
        [(count,)] = self._server.execute(query, (self.name,)).fetchall()
        return int(count)

    def _connections(self) -> Counter[str]:
        query = "SELECT application_name FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"
        return Counter(name for (name,) in self._server.execute(query, (self.name,)))


@contextmanager
def process(command: str, environment: dict[str, str]) -> Iterator[None]:
    named = {**environment, "PGAPPNAME": command}
    started = subprocess.Popen([sys.executable, "-m", "app.cli", command], env=named, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        started.terminate()
        started.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def send(port: int, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    data, headers = None if body is None else json.dumps(body).encode(), {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers)) as response:
        answer: dict[str, Any] = json.load(response)
        return answer


def wait_until_ready(port: int, needs: str) -> None:
    while True:
        try:
            send(port, f"/readyz?needs={needs}")
            return
        except OSError:
            time.sleep(0.5)


def wait_until_training(port: int, trial: str) -> None:
    while not (send(port, f"/v1/trials/{trial}")["progress"] or {}).get("epoch"):
        time.sleep(1)


def print_table(api: Load, busy: int, idle: Load, training: Load) -> None:
    print(f"| workers, with {API_PROCESSES} API processes | connections | transactions per second, idle | training |")
    print("|---|---|---|---|")
    per_worker = training.connections["worker"]
    for workers in WORKERS:
        connections = API_PROCESSES * busy + workers * per_worker
        rates = [
            API_PROCESSES * api.transactions + workers * (load.transactions - api.transactions)
            for load in (idle, training)
        ]
        print(f"| {workers} | {connections} | {rates[0]:.0f} | {rates[1]:.0f} |")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of each measurement")
    seconds = parser.parse_args().seconds
    with psycopg.connect(SERVER, autocommit=True) as server, tempfile.TemporaryDirectory() as folder:
        database, port = Database(server), free_port()
        environment = {
            **os.environ,
            "RDW_DATABASE_URL": database.url,
            "RDW_BROKER_URL": "",
            "RDW_DATA_DIR": str(Path(folder)),
            "RDW_PORT": str(port),
            "RDW_WORKERS": "1",
            "RDW_THREADS": "1",
        }
        try:
            with process("api", environment):
                wait_until_ready(port, "database")
                api = database.measure(seconds)
                print(f"API alone: {api}", flush=True)
                with process("worker", environment):
                    wait_until_ready(port, "workers")
                    idle = database.measure(seconds)
                    print(f"API and an idle worker: {idle}", flush=True)
                    trial = send(port, "/v1/trials", TRIAL)["id"]
                    wait_until_training(port, trial)
                    before, start = send(port, f"/v1/trials/{trial}")["progress"]["epoch"], time.monotonic()
                    training = database.measure(seconds)
                    epochs = send(port, f"/v1/trials/{trial}")["progress"]["epoch"] - before
                    per_epoch = (time.monotonic() - start) / max(1, epochs)
                    print(f"API and a worker that trains, {per_epoch:.1f} s per epoch: {training}", flush=True)
                    send(port, f"/v1/trials/{trial}/cancel", {})
                with ThreadPoolExecutor(64) as clients:
                    requests = [clients.submit(send, port, "/v1/queue") for _ in range(2000)]
                    busy = database.peak_connections(lambda: not all(request.done() for request in requests))
                print(f"API with 64 clients: {busy['api']} connections")
        finally:
            database.drop()
    print_table(api, busy["api"], idle, training)
    return 0 if idle.transactions <= 2 and training.transactions <= 3 else 1


if __name__ == "__main__":
    sys.exit(main())
