"""Run short trainings while processes and servers are killed at random, then count the rows in the database.

`make chaos` runs this for long on both set-ups: embedded (SQLite and files), and PostgreSQL with Redis. Each trial must
complete with one observation, the files of its artifacts must be those that were recorded, and only the epoch that a
kill interrupted may be trained again. The table says for each fault how often it was injected, how often it hit a
worker that trained and how long work stopped, then what was lost. Filling `/dev/shm` needs the right to mount: the
service then has one of its own.

With `--restart-postgres 'pg_ctlcluster 15 main restart -m immediate'` the database server itself is restarted.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import itertools
import json
import os
import random
import shlex
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psycopg
from redis import Redis
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError

from app.core.settings import Settings
from app.jobs.queue import QUEUE, JobQueue
from app.services.trials import artifacts
from tests.failures.gate import Gate
from tests.failures.service import Service
from tests.support import POSTGRES, REDIS, SMALL, find_free_port

RECIPE = {"epochs": 6, "batch_size": 32, "lr": 0.004}
LEASE_SECONDS = 3.0
WORKERS = 2
Result = TypeVar("Result")
_DATABASE_TIMES = {
    "trials": ("lease_expires_at", "heartbeat_at", "sent_at", "queued_at"),
    "workers": ("heartbeat_at",),
}


_SHARED_MEMORY_BYTES = 64_000_000  # as much as Docker gives a container
_LOCK_SECONDS = 20.0  # longer than a process waits for the lock
_GARBAGE = b"not what anybody wrote"
_FILL_SECONDS = 10.0
_EXPORT_WAIT_SECONDS = 60.0
_MAX_QUEUED = 8
_MAX_RECOVERY_SECONDS = 60.0  # then the next fault follows
_MAX_EXTRA_SECONDS = 900.0  # for the trials that are unfinished when the faults end


@dataclass
class Fault:
    """A fault that was injected, the trial that it interrupted, and the seconds until work continued.

    `injected` is false if there was no chance to: no worker exported in time, for example.
    """

    kind: str
    trial: str | None = None
    recovery_seconds: float | None = None
    injected: bool = True


@dataclass
class Report:
    """The outcome of a run. `repeated_epochs` counts epochs that were trained again after they had been reported."""

    setup: str
    accepted: set[str] = field(default_factory=set)
    seconds: float = 0.0
    faults: list[Fault] = field(default_factory=list)
    states: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    duplicates: int = 0
    superseded: int = 0
    repeated_epochs: int = 0
    attempts: int = 0
    wrong_files: int = 0
    max_post_seconds: float = 0.0
    unavailable_responses: int = 0

    @property
    def passed(self) -> bool:
        """Whether every trial completed, was counted once, and has the files that it recorded.

        There may be one more than was accepted: its response was lost, and the run ended before it was repeated.
        """
        is_complete = set(self.states) == {"completed"}
        return is_complete and not self.lost and not self.duplicates and not self.wrong_files

    def __str__(self) -> str:
        lines = [f"{self.setup}: {len(self.accepted)} trials in {self.seconds:.0f} s"]
        for kind, group in itertools.groupby(sorted(self.faults, key=lambda f: f.kind), key=lambda f: f.kind):
            faults = list(group)
            injected = [fault for fault in faults if fault.injected]
            times = [fault.recovery_seconds for fault in injected if fault.recovery_seconds is not None]
            recovery = f"{statistics.median(times):5.1f} s median, {max(times):5.1f} s at most" if times else "-"
            hits = sum(fault.trial is not None for fault in injected)
            lines.append(f"  {kind:<46}{len(injected):>4}   hit a training {hits:>3}   recovery {recovery}")
        lines += [
            f"  {'states':<46}{', '.join(f'{n} {state}' for state, n in self.states.items()):>4}",
            f"  {'lost':<46}{self.lost:>4}",
            f"  {'counted twice':<46}{self.duplicates:>4}",
            f"  {'artifacts other than recorded':<46}{self.wrong_files:>4}",
            f"  {'late results, kept as superseded':<46}{self.superseded:>4}",
            f"  {'attempts':<46}{self.attempts:>4}",
            f"  {'whole epochs trained again':<46}{self.repeated_epochs:>4}",
            f"  {'slowest response to a POST':<46}{self.max_post_seconds:>7.2f} s",
            f"  {'POSTs answered 503 (retried)':<46}{self.unavailable_responses:>4}",
            f"  {'passed' if self.passed else 'FAILED'}",
        ]
        return "\n".join(lines)


class EmbeddedSetup:
    """The service on SQLite and a broker of files; `faults` are those of the database and the broker."""

    name = "embedded"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = f"sqlite:///{folder / 'rdw.sqlite3'}"
        self.settings = {"RDW_DATABASE_URL": "", "RDW_BROKER_URL": ""}
        self.faults: dict[str, Callable[[], None]] = {
            "messages of the broker deleted": self._delete_messages,
            f"SQLite locked for {_LOCK_SECONDS:.0f} s": self._lock_database,
        }

    def poison_broker(self) -> None:
        """Add a message that is garbage."""
        messages = self.folder / "broker" / "messages"
        (messages / f"0_{uuid.uuid4()}.rdw.msg").write_bytes(_GARBAGE)

    def _delete_messages(self) -> None:
        for message in (self.folder / "broker" / "messages").glob("*.msg"):
            message.unlink(missing_ok=True)

    def _lock_database(self) -> None:
        """Be a writer that does not end: the database accepts connections and answers no write."""
        with contextlib.closing(sqlite3.connect(self.folder / "rdw.sqlite3", timeout=60)) as connection:
            connection.isolation_level = None
            connection.execute("BEGIN IMMEDIATE")
            time.sleep(_LOCK_SECONDS)
            connection.execute("ROLLBACK")

    def close(self) -> None:
        """Release what the set-up created outside of its folder."""


class ServerSetup(EmbeddedSetup):
    """The service on PostgreSQL and Redis, each behind a gate; the command `restart` restarts PostgreSQL."""

    name = "servers"

    def __init__(self, folder: Path, outage_seconds: float, restart: str | None = None) -> None:
        super().__init__(folder)
        self._database_name, self._outage_seconds = f"rdw_chaos_{uuid.uuid4().hex[:10]}", outage_seconds
        with psycopg.connect(POSTGRES, autocommit=True) as server:
            server.execute(f"CREATE DATABASE {self._database_name}")
        server_url, _, _ = POSTGRES.rpartition("/")
        user_and_host, _, port = server_url.rpartition(":")
        self._postgres = Gate("127.0.0.1", int(port))
        redis_port, redis_database = REDIS.rpartition(":")[2].split("/")
        self._redis = Gate("127.0.0.1", int(redis_port))
        self._redis_client = Redis.from_url(REDIS)
        self.database = f"{server_url}/{self._database_name}".replace("postgresql://", "postgresql+psycopg://")
        self.settings = {
            "RDW_DATABASE_URL": f"{user_and_host}:{self._postgres.port}/{self._database_name}",
            "RDW_BROKER_URL": f"redis://127.0.0.1:{self._redis.port}/{redis_database}",
        }
        outage = f"for {outage_seconds:.0f} s"
        self.faults = {
            "Redis flushed": lambda: self._redis_client.flushdb() and None,
            f"Redis unavailable {outage}": lambda: self._interrupt(self._redis, self._redis.shut),
            f"Redis silent {outage}": lambda: self._interrupt(self._redis, self._redis.silence),
            "connections to PostgreSQL dropped": self._postgres.drop,
            f"PostgreSQL unavailable {outage}": lambda: self._interrupt(self._postgres, self._postgres.shut),
            f"PostgreSQL silent {outage}": lambda: self._interrupt(self._postgres, self._postgres.silence),
        }
        if restart:
            self.faults["PostgreSQL restarted"] = lambda: subprocess.run(shlex.split(restart), check=True) and None

    def poison_broker(self) -> None:
        self._redis_client.lpush(QUEUE, _GARBAGE)

    def _interrupt(self, gate: Gate, begin: Callable[[], None]) -> None:
        begin()
        time.sleep(self._outage_seconds)
        gate.open()

    def close(self) -> None:
        self._postgres.close()
        self._redis.close()
        self._redis_client.flushdb()
        self._redis_client.close()
        with psycopg.connect(POSTGRES, autocommit=True) as server:
            server.execute(f"DROP DATABASE {self._database_name} WITH (FORCE)")


# A mount namespace in which /dev/shm is small and nobody else's.
_OWN_SHARED_MEMORY = (
    "unshare", "--mount", "sh", "-c",
    f'mount -t tmpfs -o size={_SHARED_MEMORY_BYTES} tmpfs /dev/shm && exec "$0" "$@"',
)  # fmt: skip


def _can_mount() -> bool:
    return subprocess.run([*_OWN_SHARED_MEMORY, "true"], capture_output=True).returncode == 0


class ServiceUnderTest:
    """A running service into which faults are injected, and its rows in the database."""

    def __init__(self, setup: EmbeddedSetup, replicas: int, seed: int) -> None:
        self._setup, self._random = setup, random.Random(seed)
        self._engine = create_engine(setup.database, pool_pre_ping=True)
        self._settings = {
            **setup.settings,
            "RDW_WORKERS": str(WORKERS),
            "RDW_LEASE_SECONDS": str(LEASE_SECONDS),
            "RDW_MAX_ATTEMPTS": "100",
        }
        self._prefix = _OWN_SHARED_MEMORY if _can_mount() else ()
        self._service = self._start_service()
        self._ports = [find_free_port() for _ in range(replicas - 1)]
        self._replicas: list[subprocess.Popen[bytes]] = []
        self.faults: list[Fault] = []
        self._actions: dict[str, Callable[[Fault], None]] = {
            "worker killed": self._kill_worker,
            "worker paused past its lease": self._pause_worker,
            "worker paused in its export, which is late": self._pause_export,
            "checkpoint and caches poisoned, then killed": self._poison_caches,
            "worker stopped": self._stop_worker,
            "API killed": self._kill_api,
            "supervisor killed": self._kill_supervisor,
            "messages delivered twice": self._send_messages_twice,
            "clock moved by an hour": self._move_clock,
            **{kind: lambda _, inject=inject: inject() for kind, inject in setup.faults.items()},  # type: ignore[misc]
        }
        if self._prefix:
            self._actions[f"shared memory full for {_FILL_SECONDS:.0f} s, worker killed"] = self._fill_shared_memory

    def start(self) -> None:
        """Wait until the service has migrated the database and is ready, then start the other API replicas."""
        self._service.wait_until_ready()
        self._replicas = [self._start_replica(port) for port in self._ports]

    def inject_fault(self) -> Fault:
        """Inject a random fault, of a kind that was injected least often so far."""
        counts = Counter(fault.kind for fault in self.faults)
        fewest = min(counts[kind] for kind in self._actions)
        fault = Fault(self._random.choice([kind for kind in self._actions if counts[kind] == fewest]))
        self.faults.append(fault)
        self._actions[fault.kind](fault)
        return fault

    def urls(self) -> list[str]:
        """Return the URLs of the API replicas."""
        return [str(self._service.client.base_url), *(f"http://127.0.0.1:{port}" for port in self._ports)]

    def query(self, statement: str, **parameters: Any) -> list[Any]:
        """Return the rows."""
        return self._in_transaction(lambda connection: list(connection.execute(text(statement), parameters)))

    def count_unfinished(self) -> int:
        return int(self.query("SELECT count(*) FROM trials WHERE state IN ('queued', 'running')")[0][0])

    def stop(self) -> None:
        for replica in self._replicas:
            replica.terminate()
            replica.wait(20)
        self._service.stop()
        self._engine.dispose()

    def _in_transaction(self, work: Callable[[Connection], Result]) -> Result:
        """Retry after a deadlock with a process of the service, and while the database server restarts."""
        deadline = time.monotonic() + 60
        while True:
            try:
                with self._engine.begin() as connection:
                    return work(connection)
            except OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def _start_replica(self, port: int) -> subprocess.Popen[bytes]:
        environment = {**os.environ, **self._settings, "RDW_DATA_DIR": str(self._setup.folder), "RDW_PORT": str(port)}
        with (self._setup.folder / "replica.log").open("ab") as log:
            return subprocess.Popen([sys.executable, "-m", "app.cli", "api"], env=environment, stdout=log, stderr=log)

    def _start_service(self) -> Service:
        return Service(self._setup.folder, prefix=self._prefix, **self._settings)

    def count_wrong_files(self) -> int:
        """Count the artifacts whose content is not what the completed trial recorded."""
        wrong = 0
        for (trial,) in self.query("SELECT id FROM trials WHERE state = 'completed'"):
            for name in artifacts.Artifact:
                response = httpx.get(f"{self.urls()[0]}/v1/trials/{trial}/artifacts/{name.value}", timeout=60)
                recorded = response.headers.get("etag", "").strip('"')
                wrong += not response.is_success or hashlib.sha256(response.content).hexdigest() != recorded
        return wrong

    def _choose_worker(self, fault: Fault) -> int | None:
        """Return the pid of a worker, preferably one that trains; its trial is stored in `fault`."""
        pids = self._service.children("celery")
        if not pids:
            return None
        running = self.query("SELECT lease_owner, id FROM trials WHERE state = 'running'")
        trials = {int(owner.rpartition(":")[2]): trial for owner, trial in running if owner}
        pid = self._random.choice([pid for pid in pids if pid in trials] or pids)
        fault.trial = trials.get(pid)
        return pid

    def _signal_worker(self, fault: Fault, number: int) -> int | None:
        pid = self._choose_worker(fault)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return pid

    def _kill_worker(self, fault: Fault) -> None:
        self._signal_worker(fault, signal.SIGKILL)

    def _stop_worker(self, fault: Fault) -> None:
        self._signal_worker(fault, signal.SIGTERM)

    def _pause_worker(self, fault: Fault) -> None:
        pid = self._choose_worker(fault)
        if pid is not None:
            self._pause(pid)

    def _pause(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            time.sleep(2.5 * LEASE_SECONDS)
            os.kill(pid, signal.SIGCONT)

    def _pause_export(self, fault: Fault) -> None:
        """Pause a worker while it exports, past its lease: another one completes the trial before it goes on."""
        deadline = time.monotonic() + _EXPORT_WAIT_SECONDS
        while time.monotonic() < deadline:
            for trial, owner in self.query("SELECT id, lease_owner FROM trials WHERE state = 'running'"):
                attempts = (artifacts.trial_folder(self._setup.folder, trial) / "artifacts").glob("*/weights.pt")
                if owner and any(attempts):  # the training has left its weights to the export
                    fault.trial = trial
                    self._pause(int(owner.rpartition(":")[2]))
                    return
            time.sleep(0.02)
        fault.injected = False

    def _poison_caches(self, fault: Fault) -> None:
        """Overwrite the latest checkpoint of a trial, all caches of data sets and a message, then kill the worker."""
        pid = self._choose_worker(fault)
        files = list((self._setup.folder / "datasets").rglob("*.npz"))
        if fault.trial is not None:
            files.append(artifacts.trial_folder(self._setup.folder, fault.trial) / "checkpoint.pt")
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for file in files:
            if file.exists():
                file.write_bytes(_GARBAGE)
        self._setup.poison_broker()

    def _fill_shared_memory(self, fault: Fault) -> None:
        filler = Path(f"/proc/{self._service.process.pid}/root/dev/shm/filler")
        with contextlib.suppress(OSError):
            filler.write_bytes(bytes(2 * _SHARED_MEMORY_BYTES))
        self._signal_worker(fault, signal.SIGKILL)
        time.sleep(_FILL_SECONDS)
        filler.unlink(missing_ok=True)

    def _kill_api(self, _: Fault) -> None:
        for pid in self._service.children("app.cli api"):
            os.kill(pid, signal.SIGKILL)
        for n, replica in enumerate(self._replicas):
            replica.kill()
            replica.wait()
            self._replicas[n] = self._start_replica(self._ports[n])

    def _kill_supervisor(self, _: Fault) -> None:
        self._service.process.kill()
        self._service.process.wait()
        self._service.stop()
        self._service = self._start_service()

    def _move_clock(self, _: Fault) -> None:
        """Move all times of the database's clock by an hour, which is as if the clock itself had been moved."""
        hour = {"hour": self._random.choice([-3600.0, 3600.0])}

        def move(connection: Connection) -> None:
            for table, columns in _DATABASE_TIMES.items():
                changes = ", ".join(f"{column} = {column} + :hour" for column in columns)
                connection.execute(text(f"UPDATE {table} SET {changes}"), hour)  # noqa: S608 (constants)

        self._in_transaction(move)

    def _send_messages_twice(self, _: Fault) -> None:
        settings = Settings(
            data_dir=self._setup.folder,
            database_url=self._settings["RDW_DATABASE_URL"],
            broker_url=self._settings["RDW_BROKER_URL"],
        )
        JobQueue(settings).send([row[0] for row in self.query("SELECT id FROM trials WHERE state <> 'completed'")])


def request_trials(service: ServiceUnderTest, count: int, report: Report, ended: threading.Event) -> None:
    """Request the trials one after the other, and retry on another replica if there is no response.

    At most `_MAX_QUEUED` wait at a time, so that a run can end early.
    """
    urls = itertools.chain.from_iterable(service.urls() for _ in itertools.count())
    for seed in range(count):
        while not ended.is_set() and service.count_unfinished() >= _MAX_QUEUED:
            time.sleep(0.5)
        while not ended.is_set():
            trial = _request_trial(next(urls), seed, report)
            if trial is not None:
                report.accepted.add(trial)
                break
            time.sleep(0.5)


def _request_trial(url: str, seed: int, report: Report) -> str | None:
    """Request a trial; return its id if the service accepted it."""
    body = {"architecture": SMALL, "dataset": "digits", "recipe": RECIPE, "seed": seed}
    started = time.monotonic()
    try:
        response = httpx.post(f"{url}/v1/trials", json=body, timeout=30)
    except httpx.TransportError:
        return None
    report.max_post_seconds = max(report.max_post_seconds, time.monotonic() - started)
    if response.status_code == 503 and "retry-after" in response.headers:
        report.unavailable_responses += 1
        return None
    assert response.status_code in (200, 202), response.text
    return str(response.json()["id"])


def run(
    setup: EmbeddedSetup,
    trials: int,
    *,
    pause: float,
    replicas: int = 1,
    seed: int = 0,
    max_faults: int | None = None,
    max_seconds: float = 3600,
) -> Report:
    """Inject faults, one after the other, until all trials have ended or there were `max_faults`; return the counts.

    After `max_seconds` no more trials are requested and no more faults are injected.
    """
    started = time.monotonic()
    service = ServiceUnderTest(setup, replicas, seed)
    report = Report(setup.name)
    ended = threading.Event()
    client = threading.Thread(target=request_trials, args=(service, trials, report, ended))
    try:
        service.start()
        client.start()
        while client.is_alive() or service.count_unfinished():
            elapsed = time.monotonic() - started
            if elapsed > max_seconds + _MAX_EXTRA_SECONDS:
                break
            if elapsed > max_seconds:
                ended.set()
                time.sleep(0.5)
                continue
            if max_faults is not None and len(service.faults) >= max_faults:
                time.sleep(0.5)
                continue
            fault = service.inject_fault()
            injected = time.monotonic()
            fault.recovery_seconds = _wait_for_recovery(service, fault)
            print(f"{setup.name}: {fault}", file=sys.stderr, flush=True)
            time.sleep(max(0.0, pause - (time.monotonic() - injected)))
        ended.set()
        client.join()
        report.seconds = time.monotonic() - started
        report.faults = service.faults
        _count_rows(service, report)
    finally:
        ended.set()
        if client.is_alive():
            client.join()
        service.stop()
        setup.close()
    return report


def _wait_for_recovery(service: ServiceUnderTest, fault: Fault) -> float | None:
    """Return the seconds from now until the next event: of the interrupted trial, if there is one, else of any."""
    started = time.monotonic()
    condition = "AND trial_id = :trial" if fault.trial else ""
    latest = f"SELECT coalesce(max(id), 0) FROM trial_events WHERE kind <> 'superseded' {condition}"  # noqa: S608 (a constant)
    parameters = {"trial": fault.trial} if fault.trial else {}
    before = service.query(latest, **parameters)[0][0]
    while time.monotonic() - started < _MAX_RECOVERY_SECONDS:
        if service.query(latest, **parameters)[0][0] > before:
            return time.monotonic() - started
        if not service.count_unfinished():
            return None
        time.sleep(0.1)
    return _MAX_RECOVERY_SECONDS


def _count_rows(service: ServiceUnderTest, report: Report) -> None:
    report.states = dict(service.query("SELECT state, count(*) FROM trials GROUP BY state"))
    report.attempts = int(service.query("SELECT coalesce(sum(attempt), 0) FROM trials")[0][0])
    observations = dict(service.query("SELECT trial_id, count(*) FROM observations GROUP BY trial_id"))
    completed = [row[0] for row in service.query("SELECT id FROM trials WHERE state = 'completed'")]
    report.lost = len(report.accepted - (set(completed) & set(observations)))
    report.duplicates = sum(n - 1 for n in observations.values()) + len(set(observations) - set(completed))
    report.superseded = int(service.query("SELECT count(*) FROM trial_events WHERE kind = 'superseded'")[0][0])
    report.repeated_epochs = _count_repeated_epochs(service)
    report.wrong_files = service.count_wrong_files()


def _count_repeated_epochs(service: ServiceUnderTest) -> int:
    """Count the reports of whole epochs that had been reported before."""
    reports: Counter[tuple[str, int]] = Counter()
    for trial, data in service.query("SELECT trial_id, data FROM trial_events WHERE kind = 'progress'"):
        progress = json.loads(data) if isinstance(data, str) else data
        if progress.get("validation_accuracy") is not None:
            reports[trial, progress["epoch"]] += 1
    return sum(n - 1 for n in reports.values())


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.failures.chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=200, help="trainings of each run (default: 200)")
    parser.add_argument("--pause", type=float, default=4.0, help="seconds between two faults (default: 4)")
    parser.add_argument("--outage", type=float, default=10.0, help="seconds that a server is unavailable (default: 10)")
    parser.add_argument("--replicas", type=int, default=2, help="API processes (default: 2)")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32, help="of the faults (default: the time)")
    parser.add_argument("--seconds", type=float, default=3600.0, help="then wait for what is queued (default: 3600)")
    parser.add_argument("--restart-postgres", metavar="COMMAND", help="restart the server, which nobody else may use")
    parser.add_argument("--on", choices=["embedded", "servers", "both"], default="both", help="the set-up")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))  # so that child processes are stopped
    results = [
        _run_and_print(name, options) for name in (("embedded", "servers") if options.on == "both" else (options.on,))
    ]
    return 0 if all(results) else 1


def _run_and_print(name: str, options: argparse.Namespace) -> bool:
    """Run one set-up and print the report; return whether it passed. The log of a failed run is kept."""
    with tempfile.TemporaryDirectory(prefix="rdw-chaos-", ignore_cleanup_errors=True) as path:
        folder = Path(path)
        setup = (
            EmbeddedSetup(folder)
            if name == "embedded"
            else ServerSetup(folder, options.outage, options.restart_postgres)
        )
        report = run(
            setup,
            options.trials,
            pause=options.pause,
            replicas=options.replicas,
            seed=options.seed,
            max_seconds=options.seconds,
        )
        print(f"{report}\n", flush=True)
        if not report.passed:
            log = Path(f"chaos-{name}.log")
            log.write_text((folder / "service.log").read_text())
            print(f"the log of the service: {log}")
        return report.passed


if __name__ == "__main__":
    sys.exit(main())
