"""Clients that ask for networks at the same time until a study's space has no more, for random spaces.

The spaces are tiny, ordinary or of large inputs, some around baselines of 16 px. Every request has to be answered with
suggestions or with the problem `space-exhausted`; no network may be suggested twice. The first suggestions get
results, so that later ones come from the surrogate. CPU is that of the thread of a request, in the API's own process.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import psycopg
import uvicorn

from app.core.settings import Settings
from app.db.migrate import upgrade
from app.http.app import create_app
from app.http.server import options
from app.services.studies import ask_tell
from bench.ask_tell import temporary_database

MAX_CPU = 2.0  # seconds
TOLD = 12  # suggestions of a study that get a result
_seconds: list[float] = []  # of CPU, of the requests so far; in the process of the API


def small_baseline(px: int) -> dict[str, Any]:
    return {
        "name": "small",
        "baseline": {
            "family": "efficientnet", "resolution": px, "in_chans": 1, "num_classes": 10, "stem": {"channels": 8},
            "stages": [
                {"block": "ds", "repeats": 1, "channels": 8},
                {"block": "ir", "repeats": 2, "channels": 16, "stride": 2, "expansion": 3},
            ],
            "head": {"channels": 32},
        },
        "rules": {"divisor": 4},
    }  # fmt: skip


def random_study(rng: random.Random, number: int) -> dict[str, Any]:
    """Return a study of a random space, and the name of its kind."""
    kind = rng.choice(("tiny", "ordinary", "large px", "16 px"))
    low = {name: rng.uniform(0.4, 1.0) for name in "rdw"}
    spread = {"tiny": 0.05, "ordinary": 0.3, "large px": 0.2, "16 px": 1.0}[kind]
    space: dict[str, Any] = {name: [low[name], low[name] + rng.uniform(0.01, spread)] for name in "rdw"}
    space["ratio"] = [0.01, 8.0]
    architecture: Any = rng.choice(("efficientnet_b0", "mobilenetv2_100", "resnet18", "lcnet_100"))
    if kind == "16 px":
        architecture = small_baseline(16)
    elif kind == "large px":
        architecture = rng.choice(("efficientnet_b4", "efficientnet_b7"))
        space["r"] = [1.3, 1.3 + rng.uniform(0.01, 0.1)]
    return {
        "name": f"{number}: {kind}", "architecture": architecture, "dataset": "digits", "space": space, "trials": 1,
        "sampler": "active", "seed": rng.randrange(1000), "refit": {"every": None},
    }  # fmt: skip


class Study:
    """A study whose space is asked for by several clients."""

    def __init__(self, http: httpx.Client, study: str, rng: random.Random, max_asks: int) -> None:
        self._http = http
        self._rng = rng
        self._asks = [rng.choice((1, 5, 20, 100)) for _ in range(max_asks)]
        self.path = f"/v1/studies/{study}"
        self.networks: Counter[str] = Counter()
        self.statuses: Counter[int | str] = Counter()
        self.slowest = 0.0

    def ask(self, client: int) -> None:
        """Ask until the space is exhausted, or as often as is allowed."""
        for number, n in enumerate(self._asks):
            began = time.perf_counter()
            answer = self._http.post(f"{self.path}/ask", json={"client": f"{client}.{number}", "n": n})
            self.slowest = max(self.slowest, time.perf_counter() - began)
            if answer.status_code != 200:
                problem = answer.json()["type"].rpartition("/")[2]
                self.statuses[problem if problem == "space-exhausted" else f"{answer.status_code} {problem}"] += 1
                return
            self.statuses[200] += 1
            for item in answer.json()["items"]:
                self.networks[json.dumps(item["config"], sort_keys=True)] += 1
                if sum(self.networks.values()) <= TOLD:
                    told = {"suggestion": item["id"], "accuracy": self._rng.uniform(0.5, 0.9)}
                    self.statuses[f"tell {self._http.post(f'{self.path}/tell', json=told).status_code}"] += 1


def timed_ask(*arguments: Any) -> Any:
    before = time.thread_time()
    try:
        return _ask(*arguments)
    finally:
        _seconds.append(time.thread_time() - before)


_ask = ask_tell.ask


def serve(folder: Path, port: int, url: str) -> None:
    """Serve the API; the largest CPU seconds of a request since are told at `/cpu`."""
    limits = {"rate_limit": 0, "train_rate_limit": 0}
    ask_tell.ask = timed_ask
    app = create_app(Settings(database_url=url, broker_url="", data_dir=folder, port=port, **limits))

    async def largest() -> float:
        found = max(_seconds, default=0.0)
        _seconds.clear()
        return found

    app.add_api_route("/cpu", largest)
    uvicorn.run(app, **options(app.state.settings))


def run(url: str, folder: Path, args: argparse.Namespace) -> bool:
    """Ask for each space; return whether every request ended as it has to."""
    upgrade(url)
    command = [sys.executable, "-m", "bench.ask_to_exhaustion", "--serve", str(folder), "--url", url]
    server = subprocess.Popen([*command, "--port", str(args.port)], env={**os.environ, "RDW_API_KEYS": ""})
    rng, is_right, largest_cpu = random.Random(args.seed), True, 0.0
    kinds: Counter[str] = Counter()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{args.port}", timeout=600) as http:
            wait_until_ready(http)
            for number in range(args.spaces):
                while (created := http.post("/v1/studies", json=(body := random_study(rng, number)))).is_error:
                    print(f"{body['name']}: {created.json()['detail']}")  # such as a space without any network
                study = Study(http, created.json()["id"], rng, args.max_asks)
                with ThreadPoolExecutor(args.clients) as clients:
                    list(clients.map(study.ask, range(args.clients)))
                cpu = float(http.get("/cpu").text)
                largest_cpu = max(largest_cpu, cpu)
                twice = sum(n > 1 for n in study.networks.values())
                others = {key for key in study.statuses if key not in (200, "space-exhausted", "tell 200")}
                is_right = is_right and not others and not twice and cpu <= MAX_CPU
                kinds["exhausted" if study.statuses["space-exhausted"] else "not exhausted"] += 1
                print(
                    f"{body['name']:<14}{len(study.networks):>6} networks{twice:>3} twice{cpu:>7.2f} s CPU"
                    f"{study.slowest:>7.1f} s  {dict(study.statuses)}",
                    flush=True,
                )
    finally:
        server.terminate()
        server.wait()
    print(f"{url.partition(':')[0]}: {dict(kinds)}, at most {largest_cpu:.2f} s of CPU; {is_right = }")
    return is_right


def wait_until_ready(http: httpx.Client) -> None:
    while True:
        try:
            http.get("/healthz")
            return
        except httpx.TransportError:
            time.sleep(0.2)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spaces", type=int, default=50, help="(default: %(default)s)")
    parser.add_argument("--clients", type=int, default=8, help="(default: %(default)s)")
    parser.add_argument("--max-asks", type=int, default=40, help="of each client and space (default: %(default)s)")
    parser.add_argument("--postgresql", action="store_true", help="instead of SQLite")
    parser.add_argument("--seed", type=int, default=0, help="of the spaces (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8777)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve is not None:
        serve(args.serve, args.port, args.url)
        return 0
    with TemporaryDirectory() as folder:
        if not args.postgresql:
            return 0 if run(f"sqlite:///{folder}/rdw.sqlite3", Path(folder), args) else 1
        with temporary_database() as url:
            return 0 if run(url, Path(folder), args) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except psycopg.OperationalError:
        sys.exit("not measured: no PostgreSQL server is running (RDW_TEST_POSTGRES)")
