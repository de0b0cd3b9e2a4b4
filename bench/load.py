"""64 clients for a minute, while two workers train: errors, how long answers take, and memory.

`rdw serve` as it comes, on SQLite and files, or on PostgreSQL and Redis (`--on servers`). Each client sends its next
request as soon as it has its answer: half of them scale to targets never seen before, the others list, read and ask
for trainings, under keys. First the service is asked alone by one client, and by all of them, while nothing is trained.
The clients run on the same machine, and take their share of it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
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

SERVER = os.environ.get("RDW_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
REDIS = os.environ.get("RDW_TEST_REDIS", "redis://127.0.0.1:6379/9")
STARTS_WITHIN = 120  # seconds
# A network that takes some minutes to train, so that both workers have work for the whole of it.
# Clients ask for two hundred different ones, so that after a while the queue grows no more.
LONG = {"dataset": "digits", "recipe": {"epochs": 1000, "batch_size": 64}}
SMALL = {"architecture": "tinynet_e", "multipliers": {"r": 0.3, "d": 0.5, "w": 0.2}}

Send = Callable[[str, str, dict[str, Any] | None], Any]


class Measured:
    """Seconds by kind of request, and what went wrong."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.errors: list[str] = []

    def table(self, title: str, lasted: float) -> None:
        count = sum(map(len, self.seconds.values()))
        rate, errors = count / lasted, len(self.errors)
        print(f"\n{title}: {count:,} requests in {lasted:.0f} s, {rate:,.0f} a second, {errors} errors")
        for kind, seconds in sorted(self.seconds.items()):
            print(f"  {kind:<8}{len(seconds):>8,}   p50 {at(seconds, 0.5):>7}   p99 {at(seconds, 0.99):>7}")
        for error in self.errors[:5]:
            print(f"  {error}")


def at(seconds: list[float], share: float) -> str:
    ordered = sorted(seconds)
    return f"{1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]:.1f} ms"


class Client:
    """One connection, kept."""

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
        answer = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(answer.partition("content-length:")[2].split("\r\n", 1)[0] or 0)
        return int(answer.split(" ", 2)[1]), await self._reader.readexactly(length)


class Mix:
    """What clients ask for."""

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


async def load(port: int, clients: int, seconds: float, mix: Mix) -> Measured:
    """Each client sends as soon as it has its answer, until the time is over."""
    measured, until = Measured(), time.monotonic() + seconds

    async def client() -> None:
        connection = Client(port)
        while time.monotonic() < until:
            kind, *request = mix.next()
            began = time.perf_counter()
            try:
                status, body = await connection.send(*request)
            except (OSError, asyncio.IncompleteReadError) as error:
                measured.errors.append(f"{kind}: {error!r}")
                connection = Client(port)
                continue
            measured.seconds[kind].append(time.perf_counter() - began)
            if status >= 400:
                measured.errors.append(f"{kind}: {status} {body[:200].decode()}")

    await asyncio.gather(*(client() for _ in range(clients)))
    return measured


class Memory:
    """Resident memory of the API's process, now and then while something is done, in MB."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.seen: list[float] = []

    def now(self) -> float:
        pages = int(Path(f"/proc/{self._pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    async def watch(self) -> None:
        while True:
            self.seen.append(self.now())
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
def service(args: argparse.Namespace) -> Iterator[int]:
    """`rdw serve`; gives the pid of its API."""
    with tempfile.TemporaryDirectory() as folder, databases(args.on) as urls:
        environment = {**os.environ, **urls, "RDW_DATA_DIR": folder, "RDW_PORT": str(args.port), "RDW_WORKERS": "2"}
        command = [sys.executable, "-m", "app.cli", "serve"]
        with Path(folder, "service.log").open("wb") as log:
            serving = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + STARTS_WITHIN
            while not ready(args.port):
                if time.monotonic() > deadline or serving.poll() is not None:
                    raise SystemExit(f"the service did not start:\n{Path(folder, 'service.log').read_text()[-2000:]}")
                time.sleep(0.5)
            listed = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
            rows = [line.split(None, 2) for line in listed.splitlines()[1:]]
            yield next(int(pid) for pid, parent, what in rows if int(parent) == serving.pid and what.endswith(" api"))
        finally:
            serving.send_signal(signal.SIGTERM)
            serving.wait()


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


def ready(port: int) -> bool:
    try:
        return bool(call(port, "/readyz")["ready"])
    except OSError:
        return False


def prepared(port: int) -> tuple[list[str], str]:
    """A study with results, and trials that have ended: something to list and read."""
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
    trials, study = prepared(args.port)
    await load(args.port, 4, 3, Mix(0, trials, study, {"scale": 1, "list": 1, "read": 1}))  # what is made once is made
    alone = await load(args.port, 1, args.seconds / 6, Mix(1, trials, study, {"scale": 1}))
    alone.table("one client, nothing is trained", args.seconds / 6)
    idle = await load(
        args.port, args.clients, args.seconds / 3, Mix(2, trials, study, {"scale": 5, "list": 2, "read": 3})
    )
    idle.table(f"{args.clients} clients, nothing is trained", args.seconds / 3)

    for seed in (100, 101):
        call(args.port, "/v1/trials", {**SMALL, **LONG, "seed": seed, "priority": 10})
    while sum(worker["trial"] is not None for worker in call(args.port, "/v1/workers")["items"]) < 2:
        time.sleep(0.5)
    memory = Memory(api)
    watching = asyncio.create_task(memory.watch())
    mix = Mix(3, trials, study, {"scale": 10, "list": 4, "read": 5, "train": 1})
    loaded = await load(args.port, args.clients, args.seconds, mix)
    watching.cancel()
    loaded.table(f"{args.clients} clients, two workers train", args.seconds)
    third = len(memory.seen) // 3
    first, last = (sorted(part)[len(part) // 2] for part in (memory.seen[third : 2 * third], memory.seen[2 * third :]))
    print(f"\nmemory of the API: {first:.0f} MB in its second third, {last:.0f} MB in the last ({last - first:+.1f})")
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
    with service(args) as api:
        return asyncio.run(measure(args, api))


if __name__ == "__main__":
    sys.exit(main())
