"""The CPU that each request takes in the API's own process on a large study, and how long it holds up the event loop.

A study with 100,000 imported observations, 20,000 trials and 20,000 suggestions is read by every GET of the spec, and
the heaviest valid bodies are sent to every POST, as well as the largest body that is not valid. The service runs under
uvicorn with the options of `rdw api`. CPU is that of the process, without that of its pool of processes, which is shown
beside it. The pause is the longest time in which the event loop, which looks every 5 ms, did nothing else, as far as
this process used the processor meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import http.client
import io
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import psutil
import psycopg
import uvicorn
from sqlalchemy import insert, select

from app.core.predictions import PredictedAccuracy
from app.core.settings import Settings
from app.core.trials import TrialResult
from app.db.migrate import upgrade
from app.db.tables import StudyTrialRow, SuggestionRow, TrialRow
from app.db.unit_of_work import UnitOfWork
from app.http.app import create_app
from app.http.server import options
from bench.ask_tell import create_rows, temporary_database
from bench.heavy_requests import EXHAUSTIVE, LIMITS, baseline, encode

MAX_CPU, MAX_PAUSE = 2.0, 0.1  # seconds
SPACE = {"ratio": [0.01, 4], "r": [0.3, 2], "d": [0.3, 2], "w": [0.1, 3]}
IMAGES = {"architecture": "efficientnet_b0", "dataset": "digits"}
FIGURES = (
    "accuracy-against-flops", "accuracy-against-multipliers", "accuracy-against-latency", "multipliers-against-flops",
    "predictor-curve", "predicted-against-measured", "family", "hypervolume",
)  # fmt: skip
Request = tuple[Any, ...]  # name, method, path, body, media type


class Gauge:
    """An application that also tells, at `/gauge`, its CPU seconds and the longest pause of its event loop since."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._longest = 0.0
        self._watching: asyncio.Task[None] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())
        if scope.get("path") != "/gauge":
            return await self._app(scope, receive, send)
        body = json.dumps([time.process_time(), self._longest]).encode()
        self._longest = 0.0
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
        return None

    async def _watch(self) -> None:
        while True:
            before, used = time.monotonic(), time.process_time()
            await asyncio.sleep(0.005)
            pause = time.monotonic() - before - 0.005
            self._longest = max(self._longest, min(pause, time.process_time() - used))  # without other processes' load


def serve(folder: Path, port: int, url: str) -> None:
    """Serve the API until the process is stopped."""
    limits = {"rate_limit": 0, "train_rate_limit": 0, "reconcile_seconds": 600}  # the maintenance loop waits
    settings = Settings(database_url=url, broker_url="", data_dir=folder, port=port, **limits)
    uvicorn.run(Gauge(create_app(settings)), **options(settings))


class Client:
    """A client that measures each request."""

    def __init__(self, port: int, server: int) -> None:
        self._port = port
        self._server = psutil.Process(server)
        self.too_heavy: list[str] = []

    def call(self, method: str, path: str, body: Any = None, media_type: str = "application/json") -> tuple[int, bytes]:
        """Send a request; `media_type` is that of the body, or without one that of the response."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=600)
        _, _, content = encode((method, path, body))
        connection.request(method, path, content, {"Accept" if content is None else "Content-Type": media_type})
        response = connection.getresponse()
        return response.status, response.read()

    def get_json(self, method: str, path: str, body: Any = None) -> Any:
        status, content = self.call(method, path, body)
        if status >= 300:
            raise SystemExit(f"{method} {path}: {status} {content[:500]!r}")
        return json.loads(content)

    def measure(
        self, name: str, method: str, path: str, body: Any = None, media_type: str = "application/json"
    ) -> None:
        """Send the request, and print what it took."""
        (before, _), others = self.get_json("GET", "/gauge"), self._cpu_of_pool()
        began = time.perf_counter()
        status, content = self.call(method, path, body, media_type)
        seconds = time.perf_counter() - began
        cpu, pause = self.get_json("GET", "/gauge")
        cpu -= before
        is_heavy = cpu > MAX_CPU or pause > MAX_PAUSE
        if is_heavy or status >= 500:
            self.too_heavy.append(name)
        print(
            f"{name:<58}{status:>4}{len(content) / 1e3:>10.0f} kB{cpu:>8.2f} s{self._cpu_of_pool() - others:>8.2f} s"
            f"{1e3 * pause:>7.0f} ms{seconds:>8.2f} s{'  !' if is_heavy else ''}",
            flush=True,
        )

    def _cpu_of_pool(self) -> float:
        return sum(sum(child.cpu_times()[:2]) for child in self._server.children(recursive=True))


def fill(client: Client, url: str, args: argparse.Namespace) -> dict[str, str]:
    """Make a large study, and return the ids that paths need."""
    body = {"name": "large", **IMAGES, "space": SPACE, "sampler": "active", "trials": 1000, "refit": {"every": None}}
    study = client.get_json("POST", "/v1/studies", body)["id"]
    rows = create_rows(args.observations)
    for begin in range(0, len(rows), 50_000):
        text = io.StringIO()
        writer = csv.DictWriter(text, ["r", "d", "w", "accuracy"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows[begin : begin + 50_000])
        client.call("POST", f"/v1/studies/{study}/observations", text.getvalue().encode(), "text/csv")
    suggestion = client.get_json("POST", f"/v1/studies/{study}/ask", {"client": "first"})["items"][0]["id"]
    told = client.get_json("POST", f"/v1/studies/{study}/ask", {"client": "second"})["items"][0]["id"]
    client.get_json("POST", f"/v1/studies/{study}/tell", {"suggestion": told, "accuracy": 0.5})
    trial = client.get_json("POST", "/v1/trials", {**IMAGES, "study": study, "multipliers": {"r": 1, "d": 1, "w": 1}})
    multiply(url, study, trial["id"], told, args)
    queued = client.get_json("POST", "/v1/studies", {**body, "name": "queued", "sampler": "random", "seeds": 20})["id"]
    client.get_json("POST", f"/v1/studies/{queued}/start")
    with UnitOfWork(url) as work:
        ids = list(work.session.scalars(select(StudyTrialRow.trial_id).where(StudyTrialRow.study_id == queued)))
    multiply_trials(url, queued, ids[0], args.trials, "queued")
    predictor = client.get_json("POST", f"/v1/studies/{study}/predictors", {})["id"]
    return {
        "study": study, "trial": trial["id"], "predictor": predictor, "suggestion": suggestion, "queued": queued,
    }  # fmt: skip


def multiply(url: str, study: str, trial: str, told: str, args: argparse.Namespace) -> None:
    """Add copies of a trial, which have ended, and of a reported suggestion."""
    multiply_trials(url, study, trial, args.trials, "completed")
    with UnitOfWork(url) as work:
        plain = to_plain(work.session.get(SuggestionRow, told))
        copies = [
            {**plain, "id": uuid4().hex, "network": f"{10_000 + i}.{plain['flops']}.{plain['params']}"}
            for i in range(args.suggestions)
        ]
        work.session.execute(insert(SuggestionRow), copies)
        work.commit()


def multiply_trials(url: str, study: str, trial: str, n: int, state: str) -> None:
    with UnitOfWork(url) as work:
        plain, now = to_plain(work.session.get(TrialRow, trial)), datetime.now(UTC)
        copies = [
            {**plain, "id": uuid4().hex, "fingerprint": uuid4().hex, "state": state, "on_demand": False, "flops": i + 1,
             "predicted": PredictedAccuracy(0.5, 0.1, None), "result": TrialResult(0.5, 1.0, {}),
             "created_at": now - timedelta(hours=1, milliseconds=i)}
            for i in range(n)
        ]  # fmt: skip
        work.session.execute(insert(TrialRow), copies)
        links = [{"study_id": study, "trial_id": copy["id"], "role": "random", "r": 1.0, "d": 1.0, "w": 1.0,
                  "ratio": 1.0} for copy in copies]  # fmt: skip
        work.session.execute(insert(StudyTrialRow), links)
        work.commit()


def to_plain(row: Any) -> dict[str, Any]:
    return {column.key: getattr(row, column.key) for column in row.__table__.columns}


def reads(client: Client, ids: dict[str, str]) -> Iterator[Request]:
    """Yield each GET of the spec, as heavy as its parameters allow."""
    named = {"studies": ids["study"], "trials": ids["trial"], "predictors": ids["predictor"]}
    for path, methods in client.get_json("GET", "/openapi.json")["paths"].items():
        if "get" not in methods or "/events" in path or "/artifacts/" in path:
            continue
        noun = path.split("/")[2] if path.startswith("/v1/") else ""
        parameters = {p["name"]: p["schema"] for p in methods["get"].get("parameters", ()) if p["in"] == "query"}
        query = "&".join(f"{name}={parameters[name]['maximum']}" for name in ("limit", "k") if name in parameters)
        known = {"architectures": "efficientnet_b7", "datasets": "digits", "problems": "validation"}
        concrete = path.replace("{id}", named.get(noun, "")).replace("{type}", "validation")
        concrete = concrete.replace("{name}", known.get(noun, "{name}"))
        if "/figures/" in path:
            for figure in FIGURES:
                yield f"{figure}.svg", "GET", concrete.replace("{name}", figure).replace("{format}", "svg")
        else:
            yield path, "GET", f"{concrete}?{query}" if query else concrete
    yield "export of the observations", "GET", f"/v1/studies/{ids['study']}/observations", None, "text/csv"
    yield "trials of the study", "GET", f"/v1/trials?study={ids['study']}&limit=200"
    yield "trials that failed", "GET", "/v1/trials?state=failed&limit=200"


def writes(ids: dict[str, str]) -> Iterator[Request]:
    """Yield the heaviest valid requests, and for each path a body of the largest size that is not valid."""
    study, inline = f"/v1/studies/{ids['study']}", baseline(40)
    ratios = [{"ratio": 0.3 + 0.001 * i} for i in range(100)]
    networks: dict[str, Any] = {"architecture": inline, "dataset": "digits", "space": SPACE, "trials": 1000}
    rows = create_rows(100_000, seed=1)
    observations = [{name: row[name] for name in ("r", "d", "w", "accuracy")} for row in rows]
    family = {"targets": ratios[:20], "rules": ["tiny_formula", "compound", "dwr", "fast"], "seeds": 5}
    yield (
        "estimate of a study",
        "POST",
        "/v1/studies",
        {**networks, "name": "a", "validate_only": True, "compound": 100},
    )
    yield "study of a large baseline", "POST", "/v1/studies", {**networks, "name": "a", "compound": 100}
    yield "study of a named baseline", "POST", "/v1/studies", {**networks, "name": "b", **IMAGES}
    yield "cost", "POST", "/v1/cost", {"architecture": inline}
    yield "family", "POST", "/v1/scale/family", {"architecture": inline, "targets": ratios, "budget": EXHAUSTIVE}
    yield "scale", "POST", "/v1/scale", {"architecture": inline, "target": ratios[0], "budget": EXHAUSTIVE}
    yield "scale within limits", "POST", "/v1/scale/family", {
        "architecture": "efficientnet_b7", "targets": ratios, "constraints": LIMITS
    }  # fmt: skip
    yield "compare", "POST", "/v1/compare", {"architecture": inline, "target": ratios[0], "budget": EXHAUSTIVE}
    yield "architecture", "POST", "/v1/architectures", {"name": "wide", **inline}
    yield "trial", "POST", "/v1/trials", {**IMAGES, "architecture": inline, "multipliers": {"r": 1, "d": 1, "w": 1}}
    yield "scale and train", "POST", "/v1/scale", {
        "architecture": "efficientnet_b0", "target": {"ratio": 0.37},
        "train": {"dataset": "digits", "study": ids["study"]},
    }  # fmt: skip
    for i in range(3):
        yield f"ask {i + 1}", "POST", f"{study}/ask", {"client": str(i), "n": 1}
    yield "ask for 100", "POST", f"{study}/ask", {"client": "many", "n": 100}
    yield "tell", "POST", f"{study}/tell", {"suggestion": ids["suggestion"], "accuracy": 0.5}
    yield "tell an own network", "POST", f"{study}/tell", {"multipliers": {"r": 0.7, "d": 1, "w": 1}, "accuracy": 0.5}
    yield "refit", "POST", f"{study}/predictors", {"k": 200}
    yield "family of the study", "POST", f"{study}/family", family
    yield "import", "POST", f"{study}/observations", {"source": "bench", "observations": observations}
    yield "import again", "POST", f"{study}/observations", {"source": "bench", "observations": observations}
    wrong = {"observations": [{"r": "x", "d": [], "w": {}, "accuracy": 2, "b": 1}] * 100_000}
    yield "import of what is not valid", "POST", f"{study}/observations", wrong
    for name in ("pause", "resume", "cancel"):
        yield f"{name} a study that is queued", "POST", f"/v1/studies/{ids['queued']}/{name}", None
    for path in ("/v1/scale", "/v1/scale/family", "/v1/studies", "/v1/trials", "/v1/architectures", f"{study}/ask"):
        for kind, item in (("objects", '{"a":1},'), ("numbers", "1,"), ("arrays", "[],")):
            n = 250_000 // len(item)
            body = f'{{"targets":[{item * n}1],"architecture":{{"baseline":{{"stages":[{item}1]}}}}}}'.encode()
            yield f"{path[3:23]} with invalid {kind}", "POST", path, body
    unknown = ",".join(f'"x{i}":{i}' for i in range(20_000))
    yield "scale with unknown fields", "POST", "/v1/scale", f"{{{unknown}}}".encode()
    yield "delete a large study", "DELETE", f"{study}?dry_run=true", None
    yield "delete a large study", "DELETE", f"{study}?force=true", None
    yield "delete a queued study", "DELETE", f"/v1/studies/{ids['queued']}?force=true", None


def run(url: str, folder: Path, args: argparse.Namespace) -> list[str]:
    """Print what each request took, and return those that took too much."""
    upgrade(url)
    command = [
        sys.executable,
        "-m",
        "bench.request_cpu",
        "--serve",
        str(folder),
        "--url",
        url,
        "--port",
        str(args.port),
    ]
    server = subprocess.Popen(command, env={**os.environ, "RDW_API_KEYS": ""})
    client = Client(args.port, server.pid)
    try:
        while True:
            try:
                client.call("GET", "/healthz")
                break
            except OSError:
                time.sleep(0.2)
        ids = fill(client, url, args)
        time.sleep(5)  # until the maintenance loop has processed the changes
        print(f"{'request':<58}{'':>4}{'answer':>13}{'API':>10}{'pool':>10}{'pause':>10}{'time':>10}")
        for name, method, path, *body in (*reads(client, ids), *writes(ids)):
            if args.only in name:
                client.measure(name, method, path, *body)
    finally:
        server.terminate()
        server.wait()
    return client.too_heavy


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--observations", type=int, default=100_000, help="of the study (default: %(default)s)")
    parser.add_argument("--trials", type=int, default=20_000, help="of each study (default: %(default)s)")
    parser.add_argument("--suggestions", type=int, default=20_000, help="(default: %(default)s)")
    parser.add_argument("--only", default="", help="requests whose name contains this")
    parser.add_argument("--postgresql", action="store_true", help="instead of SQLite")
    parser.add_argument("--port", type=int, default=8776)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve is not None:
        serve(args.serve, args.port, args.url)
        return 0
    random.seed(0)
    with TemporaryDirectory() as folder:
        if args.postgresql:
            with temporary_database() as url:
                too_heavy = run(url, Path(folder), args)
        else:
            too_heavy = run(f"sqlite:///{folder}/rdw.sqlite3", Path(folder), args)
    print(f"above {MAX_CPU:g} s of CPU or a pause of {1e3 * MAX_PAUSE:g} ms: {', '.join(too_heavy) or 'none'}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except psycopg.OperationalError:
        sys.exit("not measured: no PostgreSQL server is running (RDW_TEST_POSTGRES)")
