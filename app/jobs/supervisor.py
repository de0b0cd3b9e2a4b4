"""`rdw serve`: runs the API and its workers, restarts processes that end, and stops all of them at the end."""

from __future__ import annotations

import ctypes
import importlib.util
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

from app.core.settings import Settings
from app.db.migrate import upgrade
from app.db.outage_log import OutageLog
from app.db.session import DatabaseUnavailable

log = logging.getLogger("rdw.serve")

_MAX_BACKOFF_SECONDS = 30.0
_WORKER_NICENESS = 10  # so that training does not slow down the API on the same cores
_STABLE_SECONDS = 20.0  # after this time the back-off of a process is reset
_TERM_SECONDS = 13.0  # a worker whose training is stuck ends by itself before (worker/watchdog.py)
_MIGRATE_RETRY_SECONDS = 2.0
_PR_SET_PDEATHSIG = 1


@dataclass
class SupervisedProcess:
    """A supervised process and its restarts."""

    name: str
    command: list[str]
    environment: dict[str, str]
    niceness: int = 0
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    restart_at: float = 0.0

    def start_if_stopped(self) -> None:
        """Start the process if it is not running and its back-off is over."""
        now = time.monotonic()
        if self.process is not None and self.process.poll() is not None:
            self.failures = 0 if now - self.started > _STABLE_SECONDS else self.failures + 1
            delay = min(_MAX_BACKOFF_SECONDS, 0.5 * 2**self.failures)
            log.warning("%s ended with code %s; restarting in %.1f s", self.name, self.process.returncode, delay)
            self.process, self.restart_at = None, now + delay
        if self.process is None and now >= self.restart_at:
            self.process = subprocess.Popen(self.command, env=self.environment, preexec_fn=self._prepare_process)
            self.started = now

    def _prepare_process(self) -> None:
        die_with_parent()
        os.nice(self.niceness)


def serve(settings: Settings) -> int:
    """Migrate as soon as the database answers, then run until SIGTERM or SIGINT."""
    stop = threading.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, lambda *_: stop.set())
    _migrate(settings, stop)
    if stop.is_set():
        return 0
    children = _create_processes(settings)
    workers = len(children) - 1
    started_workers = f"{workers} worker{'' if workers == 1 else 's'}"
    log.info("API on http://%s:%s, playground at /docs, %s", settings.host, settings.port, started_workers)
    while not stop.is_set():
        for child in children:
            child.start_if_stopped()
        stop.wait(0.2)
    _stop_all(children)
    return 0


def _migrate(settings: Settings, stop: threading.Event) -> None:
    """Retry the migration until the database answers or `stop` is set."""
    outages = OutageLog(log, "migrate")
    while not stop.is_set():
        try:
            upgrade(settings.database)
            return outages.recovered()
        except DatabaseUnavailable as error:
            outages.failure(error)
            stop.wait(_MIGRATE_RETRY_SECONDS)


def _create_processes(settings: Settings) -> list[SupervisedProcess]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "RDW_WORKERS": str(settings.worker_count)}
    rdw = [sys.executable, "-m", "app.cli"]
    api = SupervisedProcess("api", [*rdw, "api"], environment)
    if importlib.util.find_spec("torch") is None:
        log.warning("torch is not installed, so no worker starts here: pip install 'rdw[worker]' to train")
        return [api]
    threads = str(settings.thread_count)
    worker_environment = {**environment, "OMP_NUM_THREADS": threads, "RDW_THREADS": threads}
    workers = (
        SupervisedProcess(f"worker {n + 1}", [*rdw, "worker"], worker_environment, _WORKER_NICENESS)
        for n in range(settings.worker_count)
    )
    return [api, *workers]


def _stop_all(children: list[SupervisedProcess]) -> None:
    """Send SIGTERM to all processes, and SIGKILL to those that do not end in time."""
    running = [child.process for child in children if child.process is not None and child.process.poll() is None]
    for process in running:
        process.terminate()
    deadline = time.monotonic() + _TERM_SECONDS
    for process in running:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def die_with_parent() -> None:
    """Make this process end with its parent, even if that is killed (Linux), and not receive its SIGINT."""
    os.setpgid(0, 0)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
