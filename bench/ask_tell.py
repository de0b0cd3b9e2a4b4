"""How long a client waits for a suggestion: `POST …/ask` next to Optuna's GPSampler and Ax, on the same observations.

(a) Ask over HTTP in studies of 200 and of 2,000 observations. A tell follows each ask, so that every ask uses new data.
Optuna and Ax run in a process of their own, without HTTP: `study.ask` and the suggest calls of a multi-objective
GPSampler, and `Client.get_next_trials` of Ax with the same two objectives. All have the same number of threads. They
take seconds to minutes with many observations, and so are asked only a few times, within a time limit.
(b) A refit of the study's predictor at the larger size.
(c) An import of 100,000 observations as JSON and as CSV, on SQLite and, if a server is running, on PostgreSQL.

Accuracies come from a formula, as only time is measured.
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

from app.reproduce.local_service import ServiceNotReady, run_service
from app.scaling.families import baseline, flops_of
from app.scaling.solver.width_grid import get_width_grid

SERVER = os.environ.get("RDW_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
ARCHITECTURE, CLASSES = "efficientnet_b0", 10
SPACE = {"r": [0.5, 1.25], "d": [0.35, 1.5], "w": [0.25, 1.8], "ratio": [0.06, 1.0]}

Row = dict[str, float]


def create_rows(n: int, seed: int = 0) -> list[Row]:
    """Return networks with their multiply-adds and a noisy accuracy that saturates with them."""
    rng = np.random.default_rng(seed)
    r, d, w = (rng.uniform(*SPACE[name], n).round(4) for name in ("r", "d", "w"))
    architecture = baseline(ARCHITECTURE).adapt(CLASSES)
    _, flops, _ = get_width_grid(architecture).costs(r, d, w)
    accuracy = compute_accuracy(flops / flops_of(architecture), r, d, rng.normal(0, 0.005, n))
    columns = {"r": r, "d": d, "w": w, "accuracy": accuracy.round(4), "flops": flops}
    return [
        dict(zip(columns, values, strict=True)) for values in zip(*(c.tolist() for c in columns.values()), strict=True)
    ]


def compute_accuracy(c: Any, r: Any, d: Any, noise: Any = 0.0) -> Any:
    return np.clip(0.8 - 0.08 * c**-0.4 - 0.1 * (r - 0.9) ** 2 - 0.04 * (d - 0.8) ** 2 + noise, 0.05, 0.95)


def drop_flops(rows: list[Row]) -> list[Row]:
    return [{name: row[name] for name in ("r", "d", "w", "accuracy")} for row in rows]


@contextmanager
def run_api(data_dir: Path, args: argparse.Namespace, database: str = "") -> Iterator[httpx.Client]:
    """Run the API without workers, as nothing is trained."""
    environment = {**thread_limits(args), "RDW_DATABASE_URL": database, "RDW_BROKER_URL": ""}
    settings = {**os.environ, **environment, "RDW_DATA_DIR": str(data_dir)}
    subprocess.run([sys.executable, "-m", "app.cli", "migrate"], env=settings, stdout=subprocess.DEVNULL, check=True)
    with (
        run_service(
            data_dir,
            command="api",
            check=lambda client: client.health().status == "ok",
            port=args.port,
            environment=environment,
        ) as service,
        httpx.Client(base_url=service.url, timeout=600) as client,
    ):
        yield client


def thread_limits(args: argparse.Namespace) -> dict[str, str]:
    return dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(args.threads))


def create_study(client: httpx.Client) -> str:
    body = {"name": "bench", "architecture": ARCHITECTURE, "dataset": "digits", "space": SPACE, "sampler": "active"}
    return str(get_json(client.post("/v1/studies", json=body))["id"])


def get_json(response: httpx.Response) -> dict[str, Any]:
    if response.is_error:
        raise SystemExit(f"{response.request.method} {response.request.url.path}: {response.text}")
    return response.json()


def time_rdw(client: httpx.Client, n: int, asks: int) -> tuple[list[float], str]:
    """Return the seconds of each ask in a study of `n` observations, and the study."""
    study = create_study(client)
    observations = {"source": "bench", "observations": drop_flops(create_rows(n))}
    get_json(client.post(f"/v1/studies/{study}/observations", json=observations))
    noise, seconds = random.Random(1), []
    for _ in range(asks):
        started = time.perf_counter()
        suggestion = get_json(client.post(f"/v1/studies/{study}/ask", json={"n": 1}))["items"][0]
        seconds.append(time.perf_counter() - started)
        m = suggestion["multipliers"]
        accuracy = float(compute_accuracy(suggestion["ratio"], m["r"], m["d"], noise.gauss(0, 0.005)))
        tell = {"suggestion": suggestion["id"], "accuracy": accuracy}
        get_json(client.post(f"/v1/studies/{study}/tell", json=tell))
    return seconds, study


def time_peer(name: str, n: int, asks: int, args: argparse.Namespace) -> tuple[list[float], bool]:
    """Return the seconds of each ask in a process of its own, and whether it was killed at the time limit."""
    command = [sys.executable, __file__, "--peer", name, "--peer-size", str(n), "--asks", str(asks)]
    with subprocess.Popen(
        [*command, "--threads", str(args.threads)], env={**os.environ, **thread_limits(args)},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            output, is_killed = process.communicate(timeout=args.limit)[0], False
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, is_killed = process.communicate()[0], True
    if not is_killed and process.returncode != 0:
        raise SystemExit(f"{name} failed. For the reason, run: {' '.join(command)}")
    return [float(line) for line in output.splitlines()], is_killed


def time_optuna(observations: list[Row], asks: int) -> Iterator[float]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        directions=["maximize", "minimize"], sampler=optuna.samplers.GPSampler(seed=0, deterministic_objective=False)
    )
    ranges = {name: optuna.distributions.FloatDistribution(*SPACE[name]) for name in ("r", "d", "w")}
    for row in observations:
        params, values = {name: row[name] for name in ranges}, [row["accuracy"], float(np.log10(row["flops"]))]
        study.add_trial(optuna.trial.create_trial(params=params, distributions=ranges, values=values))
    for row in create_rows(asks, seed=2):
        started = time.perf_counter()
        trial = study.ask()
        for name in ranges:
            trial.suggest_float(name, *SPACE[name])
        yield time.perf_counter() - started
        study.tell(trial, [row["accuracy"], float(np.log10(row["flops"]))])


def time_ax(observations: list[Row], asks: int) -> Iterator[float]:
    from ax.api.client import Client
    from ax.api.configs import RangeParameterConfig

    logging.disable(logging.WARNING)
    client = Client(random_seed=0)
    client.configure_experiment(
        [RangeParameterConfig(name=name, bounds=tuple(SPACE[name]), parameter_type="float") for name in ("r", "d", "w")]
    )
    client.configure_optimization("accuracy, -flops")
    client.configure_generation_strategy(initialize_with_center=False)  # else the first suggestion is the centre

    def outcome(row: Row) -> dict[str, float]:
        return {"accuracy": row["accuracy"], "flops": float(np.log10(row["flops"]))}

    for row in observations:
        index = client.attach_trial({name: row[name] for name in ("r", "d", "w")})
        client.complete_trial(index, raw_data=outcome(row))
    for row in create_rows(asks, seed=2):
        started = time.perf_counter()
        (index,) = client.get_next_trials(max_trials=1)
        yield time.perf_counter() - started
        client.complete_trial(index, raw_data=outcome(row))


PEERS = {"Optuna GPSampler": time_optuna, "Ax": time_ax}


def run_peer(args: argparse.Namespace) -> None:
    import torch

    warnings.simplefilter("ignore")
    torch.set_num_threads(args.threads)
    for seconds in PEERS[args.peer](create_rows(args.peer_size), args.asks):
        print(seconds, flush=True)


def print_asks(client: httpx.Client, args: argparse.Namespace) -> str:
    """Print part (a), and return the study of the larger size."""
    print(
        f"\nAsk, {args.threads} thread(s){'':<23}{'observations':>14}{'asks':>7}{'median':>12}{'p95':>12}{'rdw is':>16}"
    )
    study = ""
    for n in args.sizes:
        seconds, study = time_rdw(client, n, args.asks)
        median = statistics.median(seconds)
        p95 = statistics.quantiles(seconds, n=20)[-1]
        columns = f"{len(seconds):>7}{format_time(median):>12}{format_time(p95):>12}"
        print(f"{'rdw, POST …/ask over HTTP':<42}{n:>14,}{columns}", flush=True)
        for name in PEERS if not args.alone else ():
            peer_seconds, is_killed = time_peer(name, n, args.peer_asks, args)
            columns = f"{len(peer_seconds):>7}"
            if peer_seconds:
                peer_median = statistics.median(peer_seconds)
                columns += f"{format_time(peer_median):>12}{format_time(max(peer_seconds)) + ' *':>12}"
                columns += f"{peer_median / median:>9,.0f}x as fast"
            print(
                f"{name:<42}{n:>14,}{columns}{f'   killed after {args.limit:.0f} s' if is_killed else ''}", flush=True
            )
    print(f"* the maximum of {args.peer_asks} asks, within {args.limit:.0f} s including the import of observations")
    return study


def print_refit(client: httpx.Client, study: str, size: int, times: int = 5) -> None:
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        get_json(client.post(f"/v1/studies/{study}/predictors"))
        seconds.append(time.perf_counter() - started)
    median, maximum = format_time(statistics.median(seconds)), format_time(max(seconds))
    print(f"\nRefit at {size:,} observations: median {median}, maximum {maximum}")


def print_imports(client: httpx.Client, database: str, rows: list[Row]) -> None:
    table = io.StringIO()
    writer = csv.DictWriter(table, ["r", "d", "w", "accuracy"], extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    bodies = {
        "JSON": (json.dumps({"observations": drop_flops(rows)}), "application/json"),
        "CSV": (table.getvalue(), "text/csv"),
    }
    for kind, (body, media_type) in bodies.items():
        path = f"/v1/studies/{create_study(client)}/observations"
        started = time.perf_counter()
        get_json(client.post(path, content=body.encode(), headers={"Content-Type": media_type}))
        seconds = time.perf_counter() - started
        size, rate = f"{len(body) / 1e6:.1f} MB", f"{len(rows) / seconds:,.0f} per second"
        print(f"{database:<12}{kind:<6}{size:>9}{seconds:>8.1f} s{rate:>20}", flush=True)


@contextmanager
def temporary_database() -> Iterator[str]:
    """Create an empty PostgreSQL database, yield its URL, and drop it."""
    name = f"rdw_bench_{uuid.uuid4().hex[:10]}"
    with psycopg.connect(SERVER, autocommit=True, connect_timeout=3) as server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            yield f"{SERVER.rpartition('/')[0]}/{name}"
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def format_time(seconds: float) -> str:
    return f"{1e3 * seconds:.0f} ms" if seconds < 10 else f"{seconds:.0f} s"


def main() -> int:
    args = _arguments()
    if args.peer:
        run_peer(args)
        return 0
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    rows = create_rows(args.imported)
    try:
        with tempfile.TemporaryDirectory() as folder, run_api(Path(folder), args) as client:
            study = print_asks(client, args)
            print_refit(client, study, args.sizes[-1])
            print(f"\nImport of {args.imported:,} observations")
            print_imports(client, "SQLite", rows)
        with (
            tempfile.TemporaryDirectory() as folder,
            temporary_database() as url,
            run_api(Path(folder), args, url) as client,
        ):
            print_imports(client, "PostgreSQL", rows)
    except ServiceNotReady as error:
        print(error, file=sys.stderr)
        return 1
    except psycopg.OperationalError:
        print("PostgreSQL  not measured: no server is running (RDW_TEST_POSTGRES)")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[200, 2000], help="observations (default: %(default)s)")
    parser.add_argument("--asks", type=int, default=40, help="asks of rdw (default: %(default)s)")
    parser.add_argument("--peer-asks", type=int, default=3, help="asks of each peer (default: %(default)s)")
    parser.add_argument("--limit", type=float, default=300, help="seconds for each peer (default: %(default)s)")
    parser.add_argument("--alone", action="store_true", help="without the peers")
    parser.add_argument("--threads", type=int, default=1, help="threads of each process (default: %(default)s)")
    parser.add_argument("--imported", type=int, default=100_000, help="observations (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8768)
    parser.add_argument("--peer", choices=PEERS, help=argparse.SUPPRESS)
    parser.add_argument("--peer-size", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
