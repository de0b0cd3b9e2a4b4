"""How long a client waits for a suggestion: `POST …/ask` beside Optuna's GPSampler and Ax, on the same observations.

(a) Ask, over HTTP, in a study of 200 and of 2,000 observations; each ask is followed by a tell, so that every one
stands on new data. The others are asked in a process of their own, without HTTP: `study.ask` and the suggest calls of a
multi-objective GPSampler, `Client.get_next_trials` of Ax with the same two objectives. All have the same number of
threads. As they take seconds to minutes with many observations they are asked a few times only, and within a limit of
time.
(b) A refit of the study's predictor at the larger size. (c) An import of 100,000 observations as JSON and as CSV, on
SQLite and, where it listens, on PostgreSQL.

Accuracies are a formula's: what is measured is time.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import logging
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psycopg

from app.scaling.cost_table import cost_table
from app.scaling.families import baseline
from app.scaling.recommend import flops_of

SERVER = os.environ.get("RDW_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
ARCHITECTURE, CLASSES = "efficientnet_b0", 10
SPACE = {"r": [0.5, 1.25], "d": [0.35, 1.5], "w": [0.25, 1.8], "ratio": [0.06, 1.0]}
STARTS_WITHIN = 120  # seconds

Row = dict[str, float]


def rows(n: int, seed: int = 0) -> list[Row]:
    """Networks with their multiply-adds and an accuracy that saturates in them, with noise."""
    rng = np.random.default_rng(seed)
    r, d, w = (rng.uniform(*SPACE[name], n).round(4) for name in ("r", "d", "w"))
    architecture = baseline(ARCHITECTURE).for_classes(CLASSES)
    _, flops, _ = cost_table(architecture).costs(r, d, w)
    reached = accuracy(flops / flops_of(architecture), r, d, rng.normal(0, 0.005, n))
    columns = {"r": r, "d": d, "w": w, "accuracy": reached.round(4), "flops": flops}
    return [
        dict(zip(columns, values, strict=True)) for values in zip(*(c.tolist() for c in columns.values()), strict=True)
    ]


def accuracy(c: Any, r: Any, d: Any, noise: Any = 0.0) -> Any:
    return np.clip(0.8 - 0.08 * c**-0.4 - 0.1 * (r - 0.9) ** 2 - 0.04 * (d - 0.8) ** 2 + noise, 0.05, 0.95)


def plain(found: list[Row]) -> list[Row]:
    return [{name: row[name] for name in ("r", "d", "w", "accuracy")} for row in found]


@contextmanager
def service(place: Path, args: argparse.Namespace, database: str = "") -> Iterator[httpx.Client]:
    """The API without workers: nothing is trained."""
    environment = {**environment_of(args), "RDW_PORT": str(args.port), "RDW_DATA_DIR": str(place)}
    environment |= {"RDW_DATABASE_URL": database, "RDW_BROKER_URL": ""}
    log = place / "service.log"
    rdw = [sys.executable, "-m", "app.cli"]
    with log.open("w") as opened:
        subprocess.run([*rdw, "migrate"], env=environment, stdout=opened, stderr=opened, check=True)
        process = subprocess.Popen([*rdw, "api"], env=environment, stdout=opened, stderr=opened)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{args.port}", timeout=600) as client:
            deadline = time.monotonic() + STARTS_WITHIN
            while not ready(client):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"The service did not start:\n{log.read_text()}")
                time.sleep(0.2)
            yield client
    finally:
        process.terminate()
        process.wait(60)


def ready(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


def environment_of(args: argparse.Namespace) -> dict[str, str]:
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(args.threads))
    return {**os.environ, **threads}


def new_study(client: httpx.Client) -> str:
    body = {"name": "bench", "architecture": ARCHITECTURE, "dataset": "digits", "space": SPACE, "sampler": "active"}
    return str(answered(client.post("/v1/studies", json=body))["id"])


def answered(response: httpx.Response) -> dict[str, Any]:
    if response.is_error:
        raise SystemExit(f"{response.request.method} {response.request.url.path}: {response.text}")
    return response.json()


def bring_in(client: httpx.Client, study: str, found: list[Row]) -> None:
    path = f"/v1/studies/{study}/observations"
    answered(client.post(path, json={"source": "bench", "observations": plain(found)}))


def asked_of_rdw(client: httpx.Client, n: int, asks: int) -> tuple[list[float], str]:
    """Seconds of each ask, and the study."""
    study = new_study(client)
    bring_in(client, study, rows(n))
    noise, taken = random.Random(1), []
    for _ in range(asks):
        began = time.perf_counter()
        suggestion = answered(client.post(f"/v1/studies/{study}/ask", json={"n": 1}))["items"][0]
        taken.append(time.perf_counter() - began)
        m = suggestion["multipliers"]
        reached = float(accuracy(suggestion["ratio"], m["r"], m["d"], noise.gauss(0, 0.005)))
        tell = {"suggestion": suggestion["id"], "accuracy": reached}
        answered(client.post(f"/v1/studies/{study}/tell", json=tell))
    return taken, study


def asked_of_other(name: str, n: int, asks: int, args: argparse.Namespace) -> tuple[list[float], bool]:
    """Seconds of each ask in a process of its own; whether it was ended for taking too long."""
    command = [sys.executable, __file__, "--side", name, "--side-size", str(n), "--asks", str(asks)]
    with subprocess.Popen(
        [*command, "--threads", str(args.threads)],
        env=environment_of(args), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            said, over = process.communicate(timeout=args.limit)[0], False
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            said, over = process.communicate()[0], True
    if not over and process.returncode != 0:
        raise SystemExit(f"{name} could not be asked: {' '.join(command)} says why.")
    return [float(line) for line in said.splitlines()], over


def optuna_side(known: list[Row], asks: int) -> Iterator[float]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        directions=["maximize", "minimize"], sampler=optuna.samplers.GPSampler(seed=0, deterministic_objective=False)
    )
    ranges = {name: optuna.distributions.FloatDistribution(*SPACE[name]) for name in ("r", "d", "w")}
    for row in known:
        params, values = {name: row[name] for name in ranges}, [row["accuracy"], float(np.log10(row["flops"]))]
        study.add_trial(optuna.trial.create_trial(params=params, distributions=ranges, values=values))
    for row in rows(asks, seed=2):
        began = time.perf_counter()
        trial = study.ask()
        for name in ranges:
            trial.suggest_float(name, *SPACE[name])
        yield time.perf_counter() - began
        study.tell(trial, [row["accuracy"], float(np.log10(row["flops"]))])


def ax_side(known: list[Row], asks: int) -> Iterator[float]:
    from ax.api.client import Client
    from ax.api.configs import RangeParameterConfig

    logging.disable(logging.WARNING)
    client = Client(random_seed=0)
    client.configure_experiment(
        [RangeParameterConfig(name=name, bounds=tuple(SPACE[name]), parameter_type="float") for name in ("r", "d", "w")]
    )
    client.configure_optimization("accuracy, -flops")
    client.configure_generation_strategy(initialize_with_center=False)  # its first answer would be the centre, unasked

    def outcome(row: Row) -> dict[str, float]:
        return {"accuracy": row["accuracy"], "flops": float(np.log10(row["flops"]))}

    for row in known:
        index = client.attach_trial({name: row[name] for name in ("r", "d", "w")})
        client.complete_trial(index, raw_data=outcome(row))
    for row in rows(asks, seed=2):
        began = time.perf_counter()
        (index,) = client.get_next_trials(max_trials=1)
        yield time.perf_counter() - began
        client.complete_trial(index, raw_data=outcome(row))


SIDES = {"Optuna GPSampler": optuna_side, "Ax": ax_side}


def side(args: argparse.Namespace) -> None:
    import torch

    warnings.simplefilter("ignore")
    torch.set_num_threads(args.threads)
    for seconds in SIDES[args.side](rows(args.side_size), args.asks):
        print(seconds, flush=True)


def ask_table(client: httpx.Client, args: argparse.Namespace) -> str:
    """Prints (a); the study of the larger size."""
    print(
        f"\nAsk, {args.threads} thread(s){'':<23}{'observations':>14}{'asks':>7}{'median':>12}{'p95':>12}{'rdw is':>16}"
    )
    study = ""
    for n in args.sizes:
        taken, study = asked_of_rdw(client, n, args.asks)
        ours = statistics.median(taken)
        p95 = statistics.quantiles(taken, n=20)[-1]
        print(f"{'rdw, POST …/ask over HTTP':<42}{n:>14,}{len(taken):>7}{_time(ours):>12}{_time(p95):>12}", flush=True)
        for name in SIDES if not args.alone else ():
            others, over = asked_of_other(name, n, args.few, args)
            if others:
                median = statistics.median(others)
                line = (
                    f"{len(others):>7}{_time(median):>12}{_time(max(others)) + ' *':>12}{median / ours:>9,.0f}x as fast"
                )
            else:
                line = f"{0:>7}{'':>12}{'':>12}"
            print(f"{name:<42}{n:>14,}{line}{f'   ended after {args.limit:.0f} s' if over else ''}", flush=True)
    print(f"* the longest of {args.few}: asked no oftener, and for {args.limit:.0f} s at most, loading included")
    return study


def refit_line(client: httpx.Client, study: str, size: int, times: int = 5) -> None:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        answered(client.post(f"/v1/studies/{study}/predictors"))
        taken.append(time.perf_counter() - began)
    print(f"\nRefit at {size:,} observations: median {_time(statistics.median(taken))}, longest {_time(max(taken))}")


def import_table(client: httpx.Client, database: str, found: list[Row]) -> None:
    table = io.StringIO()
    writer = csv.DictWriter(table, ["r", "d", "w", "accuracy"], extrasaction="ignore")
    writer.writeheader()
    writer.writerows(found)
    bodies = {
        "JSON": (json.dumps({"observations": plain(found)}), "application/json"),
        "CSV": (table.getvalue(), "text/csv"),
    }
    for kind, (body, media_type) in bodies.items():
        path = f"/v1/studies/{new_study(client)}/observations"
        began = time.perf_counter()
        answered(client.post(path, content=body.encode(), headers={"Content-Type": media_type}))
        seconds = time.perf_counter() - began
        size, rate = f"{len(body) / 1e6:.1f} MB", f"{len(found) / seconds:,.0f} a second"
        print(f"{database:<12}{kind:<6}{size:>9}{seconds:>8.1f} s{rate:>20}", flush=True)


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of an empty database, dropped afterwards."""
    name = f"rdw_bench_{uuid.uuid4().hex[:10]}"
    with psycopg.connect(SERVER, autocommit=True, connect_timeout=3) as server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            yield f"{SERVER.rpartition('/')[0]}/{name}"
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _time(seconds: float) -> str:
    return f"{1e3 * seconds:.0f} ms" if seconds < 10 else f"{seconds:.0f} s"


def main() -> int:
    args = _arguments()
    if args.side:
        side(args)
        return 0
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    many = rows(args.imported)
    with tempfile.TemporaryDirectory() as place, service(Path(place), args) as client:
        study = ask_table(client, args)
        refit_line(client, study, args.sizes[-1])
        print(f"\nImport of {args.imported:,} observations")
        import_table(client, "SQLite", many)
    try:
        with tempfile.TemporaryDirectory() as place, postgres() as url, service(Path(place), args, url) as client:
            import_table(client, "PostgreSQL", many)
    except psycopg.OperationalError:
        print("PostgreSQL  not measured: no server listens (RDW_TEST_POSTGRES)")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[200, 2000], help="observations (default: %(default)s)")
    parser.add_argument("--asks", type=int, default=40, help="of rdw (default: %(default)s)")
    parser.add_argument("--few", type=int, default=3, help="asks of each of the others (default: %(default)s)")
    parser.add_argument("--limit", type=float, default=300, help="seconds for these (default: %(default)s)")
    parser.add_argument("--alone", action="store_true", help="without the others")
    parser.add_argument("--threads", type=int, default=1, help="of each process (default: %(default)s)")
    parser.add_argument("--imported", type=int, default=100_000, help="observations (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8768)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--side-size", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
