"""`rdw serve`: the API and its workers as one command, each restarted when it dies, none left behind."""

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
from dataclasses import dataclass, field

from app.db.migrate import upgrade
from app.db.session import DatabaseAway
from app.settings import Settings
from app.troubles import Troubles

log = logging.getLogger("rdw.serve")

_LONGEST_BACKOFF = 30.0
_BEHIND = 10  # the niceness of workers: whoever asks does not wait for those that train on the same cores
_SETTLED = 20.0  # a process that ran for so long starts afresh: its next restart is immediate
_TERM_SECONDS = 10.0
_MIGRATE_EVERY = 2.0
_PR_SET_PDEATHSIG = 1


@dataclass
class Child:
    """A process that is kept running."""

    name: str
    command: list[str]
    environment: dict[str, str]
    niceness: int = 0
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    restart_at: float = field(default=0.0)

    def keep_running(self) -> None:
        """Start it where it does not run and its back-off is over."""
        now = time.monotonic()
        if self.process is not None and self.process.poll() is not None:
            self.failures = 0 if now - self.started > _SETTLED else self.failures + 1
            delay = min(_LONGEST_BACKOFF, 0.5 * 2**self.failures)
            log.warning("%s ended with code %s; again in %.1f s", self.name, self.process.returncode, delay)
            self.process, self.restart_at = None, now + delay
        if self.process is None and now >= self.restart_at:
            self.process = subprocess.Popen(self.command, env=self.environment, preexec_fn=self._begin)
            self.started = now

    def _begin(self) -> None:
        die_with_parent()
        os.nice(self.niceness)


def serve(settings: Settings) -> int:
    """Migrate, once the database answers, then run until TERM or INT."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    _migrate(settings, stop)
    if stop.is_set():
        return 0
    children = _children(settings)
    workers = len(children) - 1
    said = f"{workers} worker{'' if workers == 1 else 's'}"
    log.info("API on http://%s:%s, playground at /docs, %s", settings.host, settings.port, said)
    while not stop.is_set():
        for child in children:
            child.keep_running()
        stop.wait(0.2)
    _end(children)
    return 0


def _migrate(settings: Settings, stop: threading.Event) -> None:
    """Once the database answers, so that it may start later; not at all where we are told to stop before."""
    troubles = Troubles(log, "migrate")
    while not stop.is_set():
        try:
            upgrade(settings.database)
            return troubles.over()
        except DatabaseAway as error:
            troubles.met(error)
            stop.wait(_MIGRATE_EVERY)


def _children(settings: Settings) -> list[Child]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "RDW_WORKERS": str(settings.worker_count)}
    rdw = [sys.executable, "-m", "app.cli"]
    api = Child("api", [*rdw, "api"], environment)
    if importlib.util.find_spec("torch") is None:
        log.warning("torch is not installed, so no worker starts here: pip install 'rdw[worker]' to train")
        return [api]
    threads = str(settings.thread_count)
    trained = {**environment, "OMP_NUM_THREADS": threads, "RDW_THREADS": threads}
    workers = (Child(f"worker {n + 1}", [*rdw, "worker"], trained, _BEHIND) for n in range(settings.worker_count))
    return [api, *workers]


def _end(children: list[Child]) -> None:
    """TERM to all, KILL to those that are still there after a while."""
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
    """On Linux the kernel ends the child when the supervisor dies, however; INT goes to the supervisor alone."""
    os.setpgid(0, 0)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
