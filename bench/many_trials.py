"""List, read, claim, complete and recommend with 10,000 and with 1,000,000 completed trials in PostgreSQL.

Two databases are filled in bulk with copies of a trial that has completed, its events and its observation, spread over
architectures and studies. Then each operation is timed on both in turns, in the application itself. `--plans` shows the
query plans of the large one. Finally, 1,000 and 10,000 trials are queued, listed, cancelled in bulk and drained, to
show that no time grows worse than linearly.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from fastapi.testclient import TestClient
from sqlalchemy import event, text

from app.core.settings import Settings
from app.core.studies import StudyState
from app.core.trials import TrainingProgress, TrialResult, TrialState
from app.data.builtin_datasets import DIGITS
from app.data.recipes import PRESETS
from app.db.migrate import upgrade
from app.db.session import engine_for
from app.db.tables import EventRow, ObservationRow, StudyRow, StudyTrialRow, TrialRow
from app.db.unit_of_work import UnitOfWork
from app.http.app import create_app
from app.scaling.families import baseline
from app.services.predictors.store import store_built_in
from app.services.trials import lifecycle, reconciliation, requests

SERVER = os.environ.get("RDW_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
NETWORK = "tinynet_e"
TRIALS_PER_STUDY = 200
MAX_SLOWDOWN = 1.5  # of the 99th percentile
ARCHITECTURES = 50
SPACE = {"r": [0.2, 1.2], "d": [0.3, 1.5], "w": [0.2, 1.5], "ratio": [0.1, 1.5]}
RESULT = TrialResult(
    accuracy=0.8,
    seconds=12.5,
    environment={"torch": "2", "threads": 1},
    metric="top1",
    images_per_second=1500.0,
    history=[{"epoch": n, "train_loss": 1 / n, "validation_accuracy": 0.8} for n in range(1, 9)],
)


@contextmanager
def temporary_database(folder: Path) -> Iterator[Settings]:
    """Create an empty PostgreSQL database, yield its settings, and drop it."""
    name = f"rdw_bench_{uuid.uuid4().hex[:10]}"
    with psycopg.connect(SERVER, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        settings = Settings(data_dir=folder / name, database_url=f"{SERVER.rpartition('/')[0]}/{name}", broker_url="")
        upgrade(settings.database)
        with UnitOfWork(settings.database) as work:
            store_built_in(work)
        yield settings
        engine_for(settings.database).dispose()
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def request_trial(settings: Settings, seed: int) -> str:
    config = baseline(NETWORK).adapt(DIGITS.num_classes).baseline
    with UnitOfWork(settings.database) as work:
        trial = requests.get_or_create(work, requests.TrialPlan(NETWORK, config, DIGITS, PRESETS["digits-smoke"], seed))
        work.commit()
        return trial.id


def complete_one(settings: Settings) -> None:
    """Run the queries of a worker for one trial: claim, report an epoch, complete."""
    with UnitOfWork(settings.database) as work:
        claim = lifecycle.claim(work, "bench", settings)
    assert claim is not None
    with UnitOfWork(settings.database) as work:
        lifecycle.report(work, claim, TrainingProgress(1, 1, validation_accuracy=0.8))
    with UnitOfWork(settings.database) as work:
        assert lifecycle.complete(work, claim, RESULT)


def fill(settings: Settings, n: int) -> str:
    """Complete a trial and copy it n - 1 times into studies; return the id of a copy in the middle."""
    template = request_trial(settings, 0)
    complete_one(settings)
    trial, architecture, timestamp = "md5(n::text)", f"'a' || n % {ARCHITECTURES}", "now() - n * interval '1 second'"
    study = {
        **dict.fromkeys(("name", "architecture", "dataset"), "'bench'"),
        **dict.fromkeys(("recipe", "space"), "'{}'"),
        "spec": f"'{json.dumps(baseline(NETWORK).to_json())}'",
        "id": "md5('study' || n)",
        "size": str(TRIALS_PER_STUDY),
        "seed": "0",
        "state": f"'{StudyState.STARTED}'",
        "created_at": timestamp,
    }
    of_trial = {"architecture": architecture, "created_at": timestamp, "finished_at": timestamp}
    with engine_for(settings.database).begin() as connection:

        def insert(table: Any, copies: int, values: dict[str, str], key: str | None = None) -> None:
            """Insert rows with these values; with a `key`, other columns are those of the row of the template trial."""
            columns = [c.name for c in table.__table__.columns if key or c.name in values]
            selected = ", ".join(values.get(name, f"t.{name}") for name in columns)
            source = f"{table.__tablename__} t, " * (key is not None) + f"generate_series(1, {copies}) AS n"
            where = f"WHERE t.{key} = '{template}'" if key else ""
            target = f"{table.__tablename__} ({', '.join(columns)})"
            connection.execute(text(f"INSERT INTO {target} SELECT {selected} FROM {source} {where}"))

        insert(StudyRow, 1 + n // TRIALS_PER_STUDY, study)
        insert(TrialRow, n - 1, {"id": trial, "fingerprint": "md5('a' || n) || md5('b' || n)", **of_trial}, "id")
        insert(EventRow, n - 1, {"id": "nextval('trial_events_id_seq')", "trial_id": trial}, "trial_id")
        observation = {"id": "nextval('observations_id_seq')", "trial_id": trial, "architecture": architecture}
        insert(ObservationRow, n - 1, observation, "trial_id")
        insert(StudyTrialRow, n - 1, {"study_id": f"md5('study' || 1 + n / {TRIALS_PER_STUDY})", "trial_id": trial})
    with psycopg.connect(settings.database.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
    return md5(str(n // 2))


def md5(value: str) -> str:
    """Return the same digest as PostgreSQL's md5."""
    return hashlib.md5(value.encode()).hexdigest()


def local_client(settings: Settings) -> TestClient:
    """Return a client on the machine of the service, which needs no key."""
    return TestClient(create_app(settings), base_url="http://127.0.0.1", client=("127.0.0.1", 50_000))


class Application:
    """The application with a filled database."""

    def __init__(self, settings: Settings, n: int) -> None:
        self.settings = settings
        started = time.monotonic()
        self.middle = fill(settings, n)
        print(f"{n:>9,} completed trials, loaded in {time.monotonic() - started:.0f} s", flush=True)
        self.study = md5("study1")
        self.client = local_client(settings)
        self.cursor = self.client.get("/v1/trials", params={"limit": 50}).json()["next"]
        self._seed = 1

    def get(self, path: str, **query: Any) -> None:
        response = self.client.get(path, params=query)
        assert response.status_code == 200, response.text

    def operations(self) -> dict[str, Callable[[], None]]:
        return {
            "list": lambda: self.get("/v1/trials", limit=50),
            "list, next page": lambda: self.get("/v1/trials", limit=50, cursor=self.cursor),
            "list a common state": lambda: self.get("/v1/trials", limit=50, state=TrialState.COMPLETED),
            "list a rare state": lambda: self.get("/v1/trials", limit=50, state=TrialState.FAILED),
            "list an architecture": lambda: self.get("/v1/trials", limit=50, architecture="a7"),
            "list an architecture without trials": lambda: self.get("/v1/trials", limit=50, architecture="none"),
            "list a study": lambda: self.get("/v1/trials", limit=50, study=self.study),
            "read": lambda: self.get(f"/v1/trials/{self.middle}"),
            "queue": lambda: self.get("/v1/workers"),
            "request": self._request,
            "claim, report, complete": lambda: complete_one(self.settings),
            "reconcile": self._reconcile,
            "recommend": self._recommend,
        }

    def _request(self) -> None:
        self._seed += 1
        request_trial(self.settings, self._seed)

    def _reconcile(self) -> None:
        with UnitOfWork(self.settings.database) as work:
            reconciliation.reconcile(work, self.settings)

    def _recommend(self) -> None:
        response = self.client.post("/v1/scale", json={"architecture": "efficientnet_b0", "target": {"ratio": 0.3}})
        assert response.status_code == 200


def compare(applications: list[Application], times: int) -> bool:
    """Print the times of each operation on both; return whether none is much slower on the larger one."""
    is_fast = True
    print(f"{'':<42}{'p50 ms':>16}{'p99 ms':>18}{'p50':>8}{'p99':>7}")
    for name in applications[0].operations():
        milliseconds: list[list[float]] = [[], []]
        for _ in range(times):
            for application, samples in zip(applications, milliseconds, strict=True):
                started = time.perf_counter()
                application.operations()[name]()
                samples.append(1e3 * (time.perf_counter() - started))
        quantiles = [(statistics.median(samples), statistics.quantiles(samples, n=100)[98]) for samples in milliseconds]
        (p50, p99), (large50, large99) = quantiles
        ratios = f"{large50 / p50:>8.2f}{large99 / p99:>7.2f}"
        is_fast = is_fast and large99 <= MAX_SLOWDOWN * p99
        print(f"{name:<42}{p50:>8.2f}{large50:>8.2f}{p99:>10.2f}{large99:>8.2f}{ratios}", flush=True)
    return is_fast


def print_plans(application: Application) -> None:
    """Print each query of the operations once, with PostgreSQL's plan."""
    queries: dict[str, Any] = {}
    engine = engine_for(application.settings.database)

    def record(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "UPDATE")):
            queries.setdefault(statement, parameters)

    event.listen(engine, "before_cursor_execute", record)
    for operation in application.operations().values():
        operation()
    event.remove(engine, "before_cursor_execute", record)
    with engine.begin() as connection:
        for statement, parameters in queries.items():
            print(f"\n{' '.join(statement.split())[:300]}")
            for (line,) in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters):
                print(f"    {line}")


def time_queue(settings: Settings, studies: int) -> dict[str, float]:
    """Return the seconds to queue, list, cancel in bulk, and drain the trials of studies of 1,000 each."""
    client = local_client(settings)

    def start_study(seed: int) -> str:
        body = {"name": "bench", "architecture": NETWORK, "dataset": "digits", "recipe": "digits-smoke", "seed": seed}
        study = client.post("/v1/studies", json={**body, "trials": 1000, "space": SPACE}).json()["id"]
        assert client.post(f"/v1/studies/{study}/start").status_code < 300
        return str(study)

    seconds: dict[str, float] = {}

    def measure(name: str, call: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        result = call()
        seconds[name] = time.perf_counter() - started
        return result

    ids = measure("queue", lambda: [start_study(seed) for seed in range(studies)])
    measure("list all", lambda: _list_all(client))
    measure("cancel in bulk", lambda: [client.post(f"/v1/studies/{study}/cancel") for study in ids])
    for seed in range(studies):
        start_study(100 + seed)
    measure("drain", lambda: [complete_one(settings) for _ in range(1000 * studies)])
    return seconds


def _list_all(client: TestClient) -> int:
    cursor, count = None, 0
    while True:
        page = client.get("/v1/trials", params={"limit": 200, **({"cursor": cursor} if cursor else {})}).json()
        count, cursor = count + len(page["items"]), page["next"]
        if cursor is None:
            return count


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", type=int, default=10_000, help="trials (default: %(default)s)")
    parser.add_argument("--many", type=int, default=1_000_000, help="trials (default: %(default)s)")
    parser.add_argument("--times", type=int, default=300, help="runs of each operation on each (default: %(default)s)")
    parser.add_argument("--plans", action="store_true", help="print the query plans with many trials")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    with (
        tempfile.TemporaryDirectory() as folder,
        temporary_database(Path(folder)) as few,
        temporary_database(Path(folder)) as many,
    ):
        applications = [Application(few, args.few), Application(many, args.many)]
        is_fast = compare(applications, args.times)
        if args.plans:
            print_plans(applications[1])
    with (
        tempfile.TemporaryDirectory() as folder,
        temporary_database(Path(folder)) as first,
        temporary_database(Path(folder)) as second,
    ):
        short, long = time_queue(first, 1), time_queue(second, 10)
        print(f"\n{'':<24}{'1,000':>10}{'10,000 trials':>15}{'factor':>8}")
        for name, seconds in short.items():
            print(f"{name:<24}{seconds:>8.1f} s{long[name]:>13.1f} s{long[name] / seconds:>7.1f}x")
    return 0 if is_fast else 1


if __name__ == "__main__":
    sys.exit(main())
