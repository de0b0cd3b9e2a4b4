"""Processes that start together on an empty database do not get in each other's way, and log nothing alarming."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.failures.gate import Gate
from tests.failures.service import PATIENCE, wait_for
from tests.leaks import shared_ports
from tests.support import find_free_port

APIS, WORKERS = 4, 2
ALARMING = re.compile(r"WARNING|ERROR|CRITICAL|Traceback|Exception")
RDW = f"{shlex.quote(sys.executable)} -m app.cli"


@contextmanager
def start_all(folder: Path, ports: list[int], **settings: str) -> Iterator[None]:
    """Start API processes and workers, each after a migration of its own, all at once; their logs are in `folder`."""
    commands = [("api", port) for port in ports] + [("worker", find_free_port()) for _ in range(WORKERS)]
    processes = []
    for command, port in commands:
        environment = {**os.environ, "RDW_DATA_DIR": str(folder), "RDW_PORT": str(port), "RDW_THREADS": "1", **settings}
        with (folder / f"{command}-{port}.log").open("wb") as log:
            script = f"{RDW} migrate && exec {RDW} {command}"
            processes.append(
                subprocess.Popen(["/bin/sh", "-c", script], env=environment, stdout=log, stderr=subprocess.STDOUT)
            )
    shared_ports.update(ports)
    try:
        yield
    finally:
        shared_ports.difference_update(ports)
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(PATIENCE)


def check_first_start(folder: Path, **settings: str) -> None:
    ports = [find_free_port() for _ in range(APIS)]

    with start_all(folder, ports, **settings):
        wait_for(lambda: all(_is_ready(port) for port in ports), lambda: _logs(folder))
        wait_for(lambda: all(_has_the_published_predictor(port) for port in ports), lambda: _logs(folder))

    assert [line for line in _logs(folder).splitlines() if ALARMING.search(line)] == []


@pytest.mark.exhaustive
@pytest.mark.timeout(600)
def test_concurrent_first_start_on_sqlite_logs_nothing_alarming(tmp_path: Path) -> None:
    check_first_start(tmp_path, RDW_DATABASE_URL="", RDW_BROKER_URL="")


@pytest.mark.exhaustive
@pytest.mark.timeout(600)
def test_concurrent_first_start_on_servers_logs_nothing_alarming(tmp_path: Path, postgres: str, redis: str) -> None:
    """Neither do the processes log anything alarming, nor does PostgreSQL report an error to them."""
    server, _, name = postgres.rpartition("/")
    host, _, port = server.rpartition(":")
    gate = Gate("127.0.0.1", int(port))
    try:
        database = f"{host}:{gate.port}/{name}?sslmode=disable"
        check_first_start(tmp_path, RDW_DATABASE_URL=database, RDW_BROKER_URL=redis)
        assert gate.postgres_errors == []
    finally:
        gate.close()


def _is_ready(port: int) -> bool:
    try:
        response = httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=30)
    except httpx.TransportError:
        return False
    return response.status_code == 200 and response.json()["workers"] == WORKERS


def _has_the_published_predictor(port: int) -> bool:
    return httpx.get(f"http://127.0.0.1:{port}/v1/predictors/published-tinynets", timeout=30).is_success


def _logs(folder: Path) -> str:
    return "".join(file.read_text() for file in sorted(folder.glob("*.log")))
