"""Errors, response times and memory with 64 clients for a minute, while two workers train.

It runs `rdw serve` with its defaults, on SQLite and files, or on PostgreSQL and Redis (`--on servers`). Each client
sends its next request as soon as it has the response: half of the requests scale to new targets, the others list, read
and request trainings, with idempotency keys. Before that, first one client and then all of them run while nothing is
trained. The clients run on the same machine and take their share of it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from app.reproduce.local_service import ServiceNotReady, run_service

SERVER = os.environ.get("RDW_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
REDIS = os.environ.get("RDW_TEST_REDIS", "redis://127.0.0.1:6379/9")
# Trainings that take minutes, so that both workers are busy throughout. Clients request two hundred different ones, so
# that the queue stops growing after a while.
LONG = {"dataset": "digits", "recipe": {"epochs": 1000, "batch_size": 64}}
SMALL = {"architecture": "tinynet_e", "multipliers": {"r": 0.3, "d": 0.5, "w": 0.2}}

Send = Callable[[str, str, dict[str, Any] | None], Any]


class Measurements:
    """The seconds of each kind of request, and the errors."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.errors: list[str] = []

    def print_table(self, title: str, duration: float) -> None:
        count = sum(map(len, self.seconds.values()))
        rate, errors = count / duration, len(self.errors)
        print(f"\n{title}: {count:,} requests in {duration:.0f} s, {rate:,.0f} per second, {errors} errors")
        for kind, seconds in sorted(self.seconds.items()):
            p50, p99 = percentile(seconds, 0.5), percentile(seconds, 0.99)
            print(f"  {kind:<8}{len(seconds):>8,}   p50 {p50:>7}   p99 {p99:>7}")
        for error in self.errors[:5]:
            print(f"  {error}")


def percentile(seconds: list[float], share: float) -> str:
    ordered = sorted(seconds)
    return f"{1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]:.1f} ms"


class Connection:
    """A connection that stays open."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writer: asyncio.StreamWriter | None = None

    async def send(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, bytes]:
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        raw = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(raw)}\r\n"
        if body is not None:
            head += f"Content-Type: application/json\r\nIdempotency-Key: {uuid.uuid4()}\r\n"
        self._writer.write(head.encode() + b"\r\n" + raw)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(head.partition("content-length:")[2].split("\r\n", 1)[0] or 0)
        return int(head.split(" ", 2)[1]), await self._reader.readexactly(length)


class RequestMix:
    """Random requests; `kinds` are their relative frequencies."""

    def __init__(self, seed: int, trials: list[str], study: str, kinds: dict[str, float]) -> None:
        self._random = random.Random(seed)
        self._trials, self._study, self._kinds = trials, study, kinds

    def next(self) -> tuple[str, str, str, dict[str, Any] | None]:
        kind = self._random.choices([*self._kinds], [*self._kinds.values()])[0]
        return kind, *getattr(self, f"_{kind}")()

    def _scale(self) -> tuple[str, str, dict[str, Any]]:
        target = {"ratio": self._random.uniform(0.05, 1.0)}
        return "POST", "/v1/scale", {"architecture": "efficientnet_b0", "target": target}

    def _list(self) -> tuple[str, str, None]:
        paths = ("/v1/trials?limit=20", "/v1/trials?state=queued", "/v1/studies", "/v1/predictors", "/v1/architectures")
        return "GET", self._random.choice(paths), None

    def _read(self) -> tuple[str, str, None]:
        paths = (
            f"/v1/trials/{self._random.choice(self._trials)}",
            f"/v1/studies/{self._study}",
            f"/v1/studies/{self._study}/front",
            "/v1/predictors/published-tinynets/curve",
            "/v1/queue",
        )
        return "GET", self._random.choice(paths), None

    def _train(self) -> tuple[str, str, dict[str, Any]]:
        body = {**SMALL, **LONG, "seed": self._random.randrange(1000, 1200), "priority": -10}
        return "POST", "/v1/trials", body


async def run_clients(port: int, clients: int, seconds: float, mix: RequestMix) -> Measurements:
    """Let each client send its next request as soon as it has the response, until the time is over."""
    measurements, deadline = Measurements(), time.monotonic() + seconds

    async def client() -> None:
        connection = Connection(port)
        while time.monotonic() < deadline:
            kind, *request = mix.next()
            started = time.perf_counter()
            try:
                status, body = await connection.send(*request)
            except (OSError, asyncio.IncompleteReadError) as error:
                measurements.errors.append(f"{kind}: {error!r}")
                connection = Connection(port)
                continue
            measurements.seconds[kind].append(time.perf_counter() - started)
            if status >= 400:
                measurements.errors.append(f"{kind}: {status} {body[:200].decode()}")

    await asyncio.gather(*(client() for _ in range(clients)))
    return measurements


class Memory:
    """The resident memory of a process over time, in MB."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.samples: list[float] = []

    def measure(self) -> float:
        pages = int(Path(f"/proc/{self._pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    async def sample(self) -> None:
        while True:
            self.samples.append(self.measure())
            await asyncio.sleep(1)


def call(port: int, path: str, body: dict[str, Any] | None = None) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        None if body is None else json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


@contextmanager
def run_server(args: argparse.Namespace) -> Iterator[int]:
    """Run `rdw serve`, and yield the id of its API's process."""
    with tempfile.TemporaryDirectory() as folder, databases(args.on) as urls:
        environment = {**urls, "RDW_WORKERS": "2"}
        with run_service(Path(folder), port=args.port, environment=environment) as service:
            rows = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
            processes = (row.split(None, 2) for row in rows.splitlines()[1:])
            yield next(
                int(pid)
                for pid, parent, command in processes
                if int(parent) == service.pid and command.endswith(" api")
            )


@contextmanager
def databases(on: str) -> Iterator[dict[str, str]]:
    if on == "embedded":
        yield {"RDW_DATABASE_URL": "", "RDW_BROKER_URL": ""}
        return
    name = f"rdw_load_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(SERVER, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            yield {"RDW_DATABASE_URL": f"{SERVER.rpartition('/')[0]}/{name}", "RDW_BROKER_URL": REDIS}
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def create_content(port: int) -> tuple[list[str], str]:
    """Create cancelled trials and a study with results, to list and read; return their ids."""
    study = call(port, "/v1/studies", {"name": "load", "architecture": "tinynet_e", "dataset": "digits"})["id"]
    rows = [{"r": 0.5 + i / 40, "d": 0.5 + i / 30, "w": 0.4 + i / 25, "accuracy": 0.6 + i / 100} for i in range(20)]
    call(port, f"/v1/studies/{study}/observations", {"source": "load", "observations": rows})
    trials = []
    for seed in range(10):
        trial = call(port, "/v1/trials", {**SMALL, **LONG, "seed": seed})["id"]
        call(port, f"/v1/trials/{trial}/cancel", {})
        trials.append(trial)
    return trials, study


async def measure(args: argparse.Namespace, api: int) -> int:
    trials, study = create_content(args.port)
    await run_clients(
        args.port, 4, 3, RequestMix(0, trials, study, {"scale": 1, "list": 1, "read": 1})
    )  # fill the caches
    alone = await run_clients(args.port, 1, args.seconds / 6, RequestMix(1, trials, study, {"scale": 1}))
    alone.print_table("one client, no training", args.seconds / 6)
    idle = await run_clients(
        args.port, args.clients, args.seconds / 3, RequestMix(2, trials, study, {"scale": 5, "list": 2, "read": 3})
    )
    idle.print_table(f"{args.clients} clients, no training", args.seconds / 3)

    for seed in (100, 101):
        call(args.port, "/v1/trials", {**SMALL, **LONG, "seed": seed, "priority": 10})
    while sum(worker["trial"] is not None for worker in call(args.port, "/v1/workers")["items"]) < 2:
        time.sleep(0.5)
    memory = Memory(api)
    sampling = asyncio.create_task(memory.sample())
    mix = RequestMix(3, trials, study, {"scale": 10, "list": 4, "read": 5, "train": 1})
    loaded = await run_clients(args.port, args.clients, args.seconds, mix)
    sampling.cancel()
    loaded.print_table(f"{args.clients} clients, two workers train", args.seconds)
    third = len(memory.samples) // 3
    first, last = (
        sorted(part)[len(part) // 2] for part in (memory.samples[third : 2 * third], memory.samples[2 * third :])
    )
    print(f"\nmemory of the API: {first:.0f} MB in the second third, {last:.0f} MB in the last ({last - first:+.1f})")
    training = sum(worker["trial"] is not None for worker in call(args.port, "/v1/workers")["items"])
    print(f"workers training at the end: {training}")
    return 1 if loaded.errors or idle.errors or training < 2 else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--on", choices=("embedded", "servers"), default="embedded")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--port", type=int, default=8768)
    args = parser.parse_args()
    try:
        with run_server(args) as api:
            return asyncio.run(measure(args, api))
    except ServiceNotReady as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
