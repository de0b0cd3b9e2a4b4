"""Short real trainings while processes and servers are killed at random; then the rows in SQL are counted.

`make chaos` runs it at length on both set-ups: embedded (SQLite, files), and PostgreSQL with Redis. Each trial must
end completed with one observation, and no epoch may be trained again but the one that a kill interrupted.

With `--restart-postgres 'pg_ctlcluster 15 main restart -m immediate'` the server itself goes down and comes back.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import random
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
from redis import Redis
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from app.jobs import JobQueue
from app.settings import Settings
from tests.failures.gate import Gate
from tests.failures.service import Service
from tests.support import POSTGRES, REDIS, SMALL, free_port

RECIPE = {"epochs": 6, "batch_size": 32, "lr": 0.004}
LEASE_SECONDS = 3.0
_BY_THE_DATABASES_CLOCK = {
    "trials": ("lease_expires_at", "heartbeat_at", "sent_at", "queued_at"),
    "workers": ("heartbeat_at",),
}
WORKERS = 2


@dataclass
class Harm:
    """One fault: what was done, the trial that it hit, where it hit one, and the seconds until work went on."""

    what: str
    trial: str | None = None
    recovered: float | None = None


@dataclass
class Report:
    """What a run ended with. `repeated` counts epochs that were trained again after they had been reported."""

    setup: str
    seconds: float
    harms: list[Harm] = field(default_factory=list)
    trials: int = 0
    states: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    duplicated: int = 0
    superseded: int = 0
    repeated: int = 0
    attempts: int = 0
    slowest_post: float = 0.0
    refused: int = 0

    @property
    def sound(self) -> bool:
        """Whether every trial was completed and counted once."""
        return self.states == {"completed": self.trials} and not self.lost and not self.duplicated

    def __str__(self) -> str:
        lines = [f"{self.setup}: {self.trials} trials in {self.seconds:.0f} s"]
        for what, harms in itertools.groupby(sorted(self.harms, key=lambda h: h.what), key=lambda h: h.what):
            found = list(harms)
            after = [h.recovered for h in found if h.recovered is not None]
            took = f"{statistics.median(after):5.1f} s median, {max(after):5.1f} s at most" if after else "-"
            lines.append(f"  {what:<42}{len(found):>4}   work went on after {took}")
        lines += [
            f"  {'states':<42}{', '.join(f'{n} {state}' for state, n in self.states.items()):>4}",
            f"  {'lost':<42}{self.lost:>4}",
            f"  {'counted twice':<42}{self.duplicated:>4}",
            f"  {'late results, kept as superseded':<42}{self.superseded:>4}",
            f"  {'attempts':<42}{self.attempts:>4}",
            f"  {'whole epochs trained again':<42}{self.repeated:>4}",
            f"  {'slowest answer to a POST':<42}{self.slowest_post:>7.2f} s",
            f"  {'POSTs answered 503 (sent again)':<42}{self.refused:>4}",
            f"  {'sound' if self.sound else 'NOT SOUND'}",
        ]
        return "\n".join(lines)


class Ground:
    """Where a run takes place: settings of the service, and how to hurt what it stands on."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.database = f"sqlite:///{place / 'rdw.sqlite3'}"
        self.settings = {"RDW_DATABASE_URL": "", "RDW_BROKER_URL": ""}
        self.faults: dict[str, Callable[[], None]] = {"the broker's messages deleted": self._forget}

    def _forget(self) -> None:
        for message in (self.place / "broker" / "messages").glob("*.msg"):
            message.unlink(missing_ok=True)

    def end(self) -> None:
        """Nothing to take down."""


class Servers(Ground):
    """PostgreSQL and Redis, each behind a gate; `restart` is the command that restarts PostgreSQL, if it may be."""

    def __init__(self, place: Path, outage: float, restart: str | None = None) -> None:
        super().__init__(place)
        self._name, self._outage = f"rdw_chaos_{uuid.uuid4().hex[:10]}", outage
        with psycopg.connect(POSTGRES, autocommit=True) as server:
            server.execute(f"CREATE DATABASE {self._name}")
        of_server, _, _ = POSTGRES.rpartition("/")
        user_and_host, _, port = of_server.rpartition(":")
        self._postgres = Gate("127.0.0.1", int(port))
        redis_port, self._redis_database = REDIS.rpartition(":")[2].split("/")
        self._redis = Gate("127.0.0.1", int(redis_port))
        self._direct = Redis.from_url(REDIS)
        self.database = f"{of_server}/{self._name}".replace("postgresql://", "postgresql+psycopg://")
        self.settings = {
            "RDW_DATABASE_URL": f"{user_and_host}:{self._postgres.port}/{self._name}",
            "RDW_BROKER_URL": f"redis://127.0.0.1:{self._redis.port}/{self._redis_database}",
        }
        self.faults = {
            "Redis flushed": lambda: self._direct.flushdb() and None,
            f"Redis away for {outage:.0f} s": lambda: self._without(self._redis.shut, self._redis),
            f"Redis silent for {outage:.0f} s": lambda: self._without(self._redis.silence, self._redis),
            "PostgreSQL's connections dropped": self._postgres.drop,
            f"PostgreSQL away for {outage:.0f} s": lambda: self._without(self._postgres.shut, self._postgres),
        }
        if restart:
            self.faults["PostgreSQL restarted"] = lambda: subprocess.run(shlex.split(restart), check=True) and None

    def _without(self, away: Callable[[], None], gate: Gate) -> None:
        away()
        time.sleep(self._outage)
        gate.open()

    def end(self) -> None:
        self._postgres.end()
        self._redis.end()
        self._direct.flushdb()
        with psycopg.connect(POSTGRES, autocommit=True) as server:
            server.execute(f"DROP DATABASE {self._name} WITH (FORCE)")


class Chaos:
    """A service, the faults done to it, and what SQL says of it."""

    def __init__(self, ground: Ground, replicas: int, seed: int) -> None:
        self._ground, self._random = ground, random.Random(seed)
        self._engine = create_engine(ground.database, pool_pre_ping=True)
        self._settings = {
            **ground.settings,
            "RDW_WORKERS": str(WORKERS),
            "RDW_LEASE_SECONDS": str(LEASE_SECONDS),
            "RDW_MAX_ATTEMPTS": "100",
        }
        self.service = Service(ground.place, **self._settings)
        self.service.wait_until_ready()
        self._ports = [free_port() for _ in range(replicas - 1)]
        self._replicas = [self._replica(port) for port in self._ports]
        self.harms: list[Harm] = []
        self._faults: dict[str, Callable[[Harm], None]] = {
            "worker killed": self._kill_worker,
            "worker paused past its lease": self._pause_worker,
            "worker told to stop": self._stop_worker,
            "API killed": self._kill_api,
            "supervisor killed": self._kill_supervisor,
            "messages delivered twice": self._send_twice,
            "clock put an hour forward or back": self._step_clock,
            **{what: lambda harm, do=do: do() for what, do in ground.faults.items()},  # type: ignore[misc]
        }

    def harm(self) -> Harm:
        """Do one of the faults, each as often as the others."""
        done = Counter(harm.what for harm in self.harms)
        fewest = min(done[what] for what in self._faults)
        what = self._random.choice([what for what in self._faults if done[what] == fewest])
        harm = Harm(what)
        self.harms.append(harm)
        self._faults[what](harm)
        return harm

    def bases(self) -> list[str]:
        """Where the API answers."""
        return [str(self.service.client.base_url), *(f"http://127.0.0.1:{port}" for port in self._ports)]

    def sql(self, query: str, **given: Any) -> list[Any]:
        """The rows; waits for a server that is being restarted."""
        deadline = time.monotonic() + 60
        while True:
            try:
                return self._rows(query, given)
            except OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def _rows(self, query: str, given: dict[str, Any]) -> list[Any]:
        with self._engine.connect() as connection:
            return list(connection.execute(text(query), given))

    def unfinished(self) -> int:
        return int(self.sql("SELECT count(*) FROM trials WHERE state IN ('queued', 'running')")[0][0])

    def end(self) -> None:
        for replica in self._replicas:
            replica.terminate()
            replica.wait(20)
        self.service.stop()
        self._engine.dispose()

    def _replica(self, port: int) -> subprocess.Popen[bytes]:
        environment = {**os.environ, **self._settings, "RDW_DATA_DIR": str(self._ground.place), "RDW_PORT": str(port)}
        with (self._ground.place / "replica.log").open("ab") as log:
            return subprocess.Popen([sys.executable, "-m", "app.cli", "api"], env=environment, stdout=log, stderr=log)

    def _a_worker(self, harm: Harm) -> int | None:
        """The pid of a worker, by choice of one that holds a trial."""
        pids = self.service.children("celery")
        if not pids:
            return None
        held = self.sql("SELECT lease_owner, id FROM trials WHERE state = 'running'")
        busy = {int(owner.rpartition(":")[2]): trial for owner, trial in held if owner}
        pid = self._random.choice([pid for pid in pids if pid in busy] or pids)
        harm.trial = busy.get(pid)
        return pid

    def _signal_worker(self, harm: Harm, number: int) -> int | None:
        pid = self._a_worker(harm)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return pid

    def _kill_worker(self, harm: Harm) -> None:
        self._signal_worker(harm, signal.SIGKILL)

    def _stop_worker(self, harm: Harm) -> None:
        self._signal_worker(harm, signal.SIGTERM)

    def _pause_worker(self, harm: Harm) -> None:
        pid = self._signal_worker(harm, signal.SIGSTOP)
        time.sleep(2.5 * LEASE_SECONDS)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def _kill_api(self, harm: Harm) -> None:
        for pid in self.service.children("app.cli api"):
            os.kill(pid, signal.SIGKILL)
        for n, replica in enumerate(self._replicas):
            replica.kill()
            replica.wait()
            self._replicas[n] = self._replica(self._ports[n])

    def _kill_supervisor(self, harm: Harm) -> None:
        self.service.process.kill()
        self.service.process.wait()
        self.service.stop()
        self.service = Service(self._ground.place, **self._settings)

    def _step_clock(self, harm: Harm) -> None:
        """What the database's clock said so far, an hour later or sooner: to all who ask, its clock has been put."""
        hour = {"hour": self._random.choice([-3600.0, 3600.0])}
        with self._engine.begin() as connection:
            for table, columns in _BY_THE_DATABASES_CLOCK.items():
                moved = ", ".join(f"{column} = {column} + :hour" for column in columns)
                connection.execute(text(f"UPDATE {table} SET {moved}"), hour)

    def _send_twice(self, harm: Harm) -> None:
        settings = Settings(
            data_dir=self._ground.place,
            database_url=self._settings["RDW_DATABASE_URL"],
            broker_url=self._settings["RDW_BROKER_URL"],
        )
        JobQueue(settings).send([row[0] for row in self.sql("SELECT id FROM trials WHERE state <> 'completed'")])


def submit(chaos: Chaos, trials: int, report: Report, ended: threading.Event) -> None:
    """A client that wants its trainings, and asks again where it got no answer."""
    seeds = iter(range(trials))
    seed = next(seeds, None)
    while seed is not None and not ended.is_set():
        for base in chaos.bases():
            body = {"architecture": SMALL, "dataset": "digits", "recipe": RECIPE, "seed": seed}
            began = time.monotonic()
            try:
                answer = httpx.post(f"{base}/v1/trials", json=body, timeout=30)
            except httpx.TransportError:
                time.sleep(0.2)
                continue
            report.slowest_post = max(report.slowest_post, time.monotonic() - began)
            if answer.status_code == 503 and "retry-after" in answer.headers:
                report.refused += 1
                time.sleep(0.5)
                continue
            assert answer.status_code in (200, 202), answer.text
            seed = next(seeds, None)
            if seed is None:
                return
        time.sleep(0.05)


def run(
    ground: Ground,
    trials: int,
    *,
    pause: float,
    replicas: int = 1,
    seed: int = 0,
    faults: int | None = None,
    longest: float = 3600,
) -> Report:
    """Faults, one after the other, until all trials have ended or there were so many; then the rows are counted."""
    began = time.monotonic()
    chaos = Chaos(ground, replicas, seed)
    report = Report(type(ground).__name__.lower(), 0.0, trials=trials)
    ended = threading.Event()
    client = threading.Thread(target=submit, args=(chaos, trials, report, ended))
    client.start()
    try:
        while client.is_alive() or chaos.unfinished():
            if time.monotonic() - began > longest:
                break
            if faults is not None and len(chaos.harms) >= faults:
                time.sleep(0.5)
                continue
            harm = chaos.harm()
            over = time.monotonic()
            harm.recovered = _recovered(chaos, harm)
            time.sleep(max(0.0, pause - (time.monotonic() - over)))
    finally:
        ended.set()
        client.join(60)
        report.seconds = time.monotonic() - began
        report.harms = chaos.harms
        _count(chaos, report)
        chaos.end()
        ground.end()
    return report


def _recovered(chaos: Chaos, harm: Harm) -> float | None:
    """Seconds from now, the fault's end, until work goes on: on the trial that it hit, or on any."""
    began = time.monotonic()
    of_trial = "AND trial_id = :trial" if harm.trial else ""
    latest = f"SELECT coalesce(max(id), 0) FROM trial_events WHERE kind <> 'superseded' {of_trial}"
    given = {"trial": harm.trial} if harm.trial else {}
    before = chaos.sql(latest, **given)[0][0]
    while time.monotonic() - began < 60:
        if chaos.sql(latest, **given)[0][0] > before:
            return time.monotonic() - began
        if not chaos.unfinished():
            return None
        time.sleep(0.1)
    return 60.0


def _count(chaos: Chaos, report: Report) -> None:
    report.states = dict(chaos.sql("SELECT state, count(*) FROM trials GROUP BY state"))
    report.attempts = int(chaos.sql("SELECT coalesce(sum(attempt), 0) FROM trials")[0][0])
    counted = dict(chaos.sql("SELECT trial_id, count(*) FROM observations GROUP BY trial_id"))
    completed = [row[0] for row in chaos.sql("SELECT id FROM trials WHERE state = 'completed'")]
    report.lost = report.trials - sum(1 for trial in completed if counted.get(trial))
    report.duplicated = sum(n - 1 for n in counted.values()) + len(set(counted) - set(completed))
    report.superseded = int(chaos.sql("SELECT count(*) FROM trial_events WHERE kind = 'superseded'")[0][0])
    report.repeated = _repeated(chaos)


def _repeated(chaos: Chaos) -> int:
    """Whole epochs that were reported more than once."""
    seen: Counter[tuple[str, int]] = Counter()
    for trial, data in chaos.sql("SELECT trial_id, data FROM trial_events WHERE kind = 'progress'"):
        progress = json.loads(data) if isinstance(data, str) else data
        if progress.get("validation_accuracy") is not None:
            seen[trial, progress["epoch"]] += 1
    return sum(n - 1 for n in seen.values())


@contextlib.contextmanager
def _place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="rdw-chaos-", ignore_cleanup_errors=True) as place:
        yield Path(place)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.failures.chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=200, help="trainings of each run (default: 200)")
    parser.add_argument("--pause", type=float, default=4.0, help="seconds between two faults (default: 4)")
    parser.add_argument("--outage", type=float, default=10.0, help="seconds that a server is away (default: 10)")
    parser.add_argument("--replicas", type=int, default=2, help="API processes (default: 2)")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32, help="of the faults (default: the time)")
    parser.add_argument("--restart-postgres", metavar="COMMAND", help="restarts the server: nobody else may need it")
    parser.add_argument("--on", choices=["embedded", "servers", "both"], default="both")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))  # what it started goes with it
    sound = True
    for on in ("embedded", "servers") if given.on == "both" else (given.on,):
        with _place() as place:
            ground = Ground(place) if on == "embedded" else Servers(place, given.outage, given.restart_postgres)
            report = run(ground, given.trials, pause=given.pause, replicas=given.replicas, seed=given.seed)
            report.setup = on
            print(f"{report}\n", flush=True)
            if not report.sound:
                kept = Path(f"chaos-{on}.log")
                kept.write_text((place / "service.log").read_text())
                print(f"the service's log: {kept}")
            sound = sound and report.sound
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
