"""A service of one's own: `rdw serve` as a child process, stopped at the end."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.jobs.supervisor import die_with_parent
from rdw_client import Client, RdwError

_MAX_START_SECONDS = 300.0  # workers import torch at low priority, which takes minutes on a busy machine
_MAX_STOP_SECONDS, _POLL_SECONDS = 60.0, 0.3
_LOG_TAIL_LINES = 20


class ServiceNotReady(Exception):
    """The service did not become ready in time."""


@dataclass(frozen=True)
class LocalService:
    """Where the service listens, and the id of its process."""

    url: str
    pid: int


def is_ready(client: Client) -> bool:
    """Return whether database, broker and a worker respond."""
    return client.ready().ready


@contextmanager
def run_service(
    data_dir: Path,
    *,
    command: str = "serve",
    check: Callable[[Client], bool] = is_ready,
    port: int | None = None,
    environment: dict[str, str] | None = None,
) -> Iterator[LocalService]:
    """Run `rdw serve` (or another `command`) on `data_dir`, and yield it as soon as `check` passes.

    Its log is `service.log` in that folder.

    Raises: ServiceNotReady.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    log_file = data_dir / "service.log"
    port = port or _find_free_port()
    settings = {"RDW_DATA_DIR": str(data_dir.resolve()), "RDW_HOST": "127.0.0.1", "RDW_PORT": str(port)}
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", command],
            env={**os.environ, **settings, **(environment or {})},
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,  # otherwise trainings would continue after this process was killed
        )
    try:
        url = f"http://127.0.0.1:{port}"
        try:
            wait_until_ready(url, check, lambda: process.poll() is None, _MAX_START_SECONDS)
        except ServiceNotReady as error:
            tail = "\n".join(log_file.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:])
            raise ServiceNotReady(f"{error} Its log, {log_file}, ends with:\n{tail}") from error
        yield LocalService(url, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(_MAX_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_ready(
    url: str,
    check: Callable[[Client], bool] = is_ready,
    is_alive: Callable[[], bool] = lambda: True,
    max_seconds: float = 60.0,
) -> None:
    """Wait until `check` passes.

    Raises: ServiceNotReady if that takes too long, the service is no longer alive, or its URL or key is malformed.
    """
    deadline = time.monotonic() + max_seconds
    try:
        client = Client(url, retries=0)
    except ValueError as error:
        raise ServiceNotReady(str(error)) from error
    with client:
        while not _passes(check, client):
            if not is_alive():
                raise ServiceNotReady("The service ended before it was ready.")
            if time.monotonic() > deadline:
                raise ServiceNotReady(f"The service at {url} was not ready within {max_seconds:.0f} s.")
            time.sleep(_POLL_SECONDS)


def _passes(check: Callable[[Client], bool], client: Client) -> bool:
    try:
        return check(client)
    except RdwError:
        return False


def _find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
