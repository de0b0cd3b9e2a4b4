"""List, read, claim, finish and recommend beside 10,000 and beside 1,000,000 finished trials in PostgreSQL.

Two databases are filled in bulk with copies of a trial that was really finished (its events and observation too),
spread over architectures and studies; then each operation is timed on both in turns, over the application itself. With
`--plans` the query plans of the large one are shown. Then 1,000 and 10,000 trials are enqueued, listed, cancelled in
bulk and drained, to see that nothing grows worse than linearly.
"""

from __future__ import annotations

import argparse
import hashlib
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

from app.datasets import DIGITS
from app.db.migrate import upgrade
from app.db.session import engine_for
from app.db.tables import EventRow, ObservationRow, StudyRow, StudyTrialRow, TrialRow
from app.db.unit_of_work import UnitOfWork
from app.main import create_app
from app.recipes import PRESETS
from app.scaling.families import baseline
from app.services import leases, trials
from app.services.predictors import install_published
from app.settings import Settings

SERVER = os.environ.get("RDW_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
NETWORK = "tinynet_e"
OF_A_STUDY = 200
ARCHITECTURES = 50
SPACE = {"r": [0.2, 1.2], "d": [0.3, 1.5], "w": [0.2, 1.5], "ratio": [0.1, 1.5]}
RESULT = {
    "metric": "top1",
    "accuracy": 0.8,
    "seconds": 12.5,
    "images_per_second": 1500.0,
    "environment": {"torch": "2", "threads": 1},
    "history": [{"epoch": n, "train_loss": 1 / n, "validation_accuracy": 0.8} for n in range(1, 9)],
}


@contextmanager
def database(place: Path) -> Iterator[Settings]:
    """An empty PostgreSQL database, dropped afterwards."""
    name = f"rdw_bench_{uuid.uuid4().hex[:10]}"
    with psycopg.connect(SERVER, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        settings = Settings(data_dir=place / name, database_url=f"{SERVER.rpartition('/')[0]}/{name}", broker_url="")
        upgrade(settings.database)
        with UnitOfWork(settings.database) as work:
            install_published(work)
        yield settings
        engine_for(settings.database).dispose()
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def requested(settings: Settings, seed: int) -> str:
    config = baseline(NETWORK).for_classes(DIGITS.num_classes).baseline
    with UnitOfWork(settings.database) as work:
        trial = trials.request(work, trials.Plan(NETWORK, config, DIGITS, PRESETS["digits-smoke"], seed))
        work.commit()
        return trial.id


def finish_one(settings: Settings) -> None:
    """What a worker does of SQL for a trial: claim, an epoch's report, finish."""
    with UnitOfWork(settings.database) as work:
        claim = leases.claim(work, "bench", settings)
    assert claim is not None
    with UnitOfWork(settings.database) as work:
        leases.report(work, claim, {"epoch": 1, "epochs": 1, "validation_accuracy": 0.8})
    with UnitOfWork(settings.database) as work:
        assert leases.complete(work, claim, RESULT)


def fill(settings: Settings, n: int) -> str:
    """A finished trial and n - 1 copies of it, in studies; the id of one in the middle."""
    template = requested(settings, 0)
    finish_one(settings)
    trial, architecture, earlier = "md5(n::text)", f"'a' || n % {ARCHITECTURES}", "now() - n * interval '1 second'"
    study = {
        **dict.fromkeys(("name", "architecture", "dataset"), "'bench'"),
        **dict.fromkeys(("spec", "recipe", "space"), "'{}'"),
        "id": "md5('study' || n)",
        "size": str(OF_A_STUDY),
        "seed": "0",
        "state": "'started'",
        "created_at": earlier,
    }
    of_trial = {"architecture": architecture, "created_at": earlier, "finished_at": earlier}
    with engine_for(settings.database).begin() as connection:

        def insert(table: Any, copies: int, values: dict[str, str], of: str | None = None) -> None:
            """Rows of these values; with `of` they are copies of that row in all others."""
            columns = [c.name for c in table.__table__.columns if of or c.name in values]
            taken = ", ".join(values.get(name, f"t.{name}") for name in columns)
            source = f"{table.__tablename__} t, " * (of is not None) + f"generate_series(1, {copies}) AS n"
            where = f"WHERE t.{of} = '{template}'" if of else ""
            into = f"{table.__tablename__} ({', '.join(columns)})"
            connection.execute(text(f"INSERT INTO {into} SELECT {taken} FROM {source} {where}"))

        insert(StudyRow, 1 + n // OF_A_STUDY, study)
        insert(TrialRow, n - 1, {"id": trial, "fingerprint": "md5('a' || n) || md5('b' || n)", **of_trial}, "id")
        insert(EventRow, n - 1, {"id": "nextval('trial_events_id_seq')", "trial_id": trial}, "trial_id")
        observation = {"id": "nextval('observations_id_seq')", "trial_id": trial, "architecture": architecture}
        insert(ObservationRow, n - 1, observation, "trial_id")
        insert(StudyTrialRow, n - 1, {"study_id": f"md5('study' || 1 + n / {OF_A_STUDY})", "trial_id": trial})
    with psycopg.connect(settings.database.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
    return md5(str(n // 2))


def md5(what: str) -> str:
    """As PostgreSQL has it."""
    return hashlib.md5(what.encode()).hexdigest()


class Side:
    """A filled database with the application on it."""

    def __init__(self, settings: Settings, n: int) -> None:
        self.settings = settings
        began = time.monotonic()
        self.middle = fill(settings, n)
        print(f"{n:>9,} finished trials, loaded in {time.monotonic() - began:.0f} s", flush=True)
        self.study = md5("study1")
        self.client = TestClient(create_app(settings))
        self.cursor = self.client.get("/v1/trials", params={"limit": 50}).json()["next"]
        self._seed = 1

    def get(self, path: str, **query: Any) -> None:
        answer = self.client.get(path, params=query)
        assert answer.status_code == 200, answer.text

    def operations(self) -> dict[str, Callable[[], None]]:
        return {
            "list": lambda: self.get("/v1/trials", limit=50),
            "list, next page": lambda: self.get("/v1/trials", limit=50, cursor=self.cursor),
            "list of a state": lambda: self.get("/v1/trials", limit=50, state="completed"),
            "list of a state that few are in": lambda: self.get("/v1/trials", limit=50, state="failed"),
            "list of an architecture": lambda: self.get("/v1/trials", limit=50, architecture="a7"),
            "list of an architecture that none is of": lambda: self.get("/v1/trials", limit=50, architecture="none"),
            "list of a study": lambda: self.get("/v1/trials", limit=50, study=self.study),
            "read": lambda: self.get(f"/v1/trials/{self.middle}"),
            "queue": lambda: self.get("/v1/workers"),
            "request": self._request,
            "claim, report, finish": lambda: finish_one(self.settings),
            "reconcile": self._reconcile,
            "recommend": self._recommend,
        }

    def _request(self) -> None:
        self._seed += 1
        requested(self.settings, self._seed)

    def _reconcile(self) -> None:
        with UnitOfWork(self.settings.database) as work:
            leases.reconcile(work, self.settings)

    def _recommend(self) -> None:
        answer = self.client.post("/v1/scale", json={"architecture": "efficientnet_b0", "target": {"ratio": 0.3}})
        assert answer.status_code == 200


def compared(sides: list[Side], times: int) -> bool:
    """Prints each operation on both; whether none is more than 1.5 times as slow on the larger one."""
    good = True
    print(f"{'':<42}{'p50 ms':>16}{'p99 ms':>18}{'p50':>8}{'p99':>7}")
    for name in sides[0].operations():
        taken: list[list[float]] = [[], []]
        for _ in range(times):
            for side, into in zip(sides, taken, strict=True):
                began = time.perf_counter()
                side.operations()[name]()
                into.append(1e3 * (time.perf_counter() - began))
        cut = [(statistics.median(of), statistics.quantiles(of, n=100)[98]) for of in taken]
        (p50, p99), (large50, large99) = cut
        ratios = f"{large50 / p50:>8.2f}{large99 / p99:>7.2f}"
        good = good and large99 <= 1.5 * p99
        print(f"{name:<42}{p50:>8.2f}{large50:>8.2f}{p99:>10.2f}{large99:>8.2f}{ratios}", flush=True)
    return good


def plans(side: Side) -> None:
    """Every query that the operations ask, once, with PostgreSQL's plan."""
    seen: dict[str, Any] = {}
    engine = engine_for(side.settings.database)

    def keep(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "UPDATE")):
            seen.setdefault(statement, parameters)

    event.listen(engine, "before_cursor_execute", keep)
    for operation in side.operations().values():
        operation()
    event.remove(engine, "before_cursor_execute", keep)
    with engine.begin() as connection:
        for statement, parameters in seen.items():
            print(f"\n{' '.join(statement.split())[:300]}")
            for (line,) in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters):
                print(f"    {line}")


def queued(settings: Settings, studies: int) -> dict[str, float]:
    """Seconds to enqueue, list whole, cancel in bulk, and drain the trials of studies of 1,000 each."""
    client = TestClient(create_app(settings))

    def started(seed: int) -> str:
        body = {"name": "bench", "architecture": NETWORK, "dataset": "digits", "recipe": "digits-smoke", "seed": seed}
        study = client.post("/v1/studies", json={**body, "trials": 1000, "space": SPACE}).json()["id"]
        assert client.post(f"/v1/studies/{study}/start").status_code < 300
        return str(study)

    taken: dict[str, float] = {}

    def timed(what: str, call: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        result = call()
        taken[what] = time.perf_counter() - began
        return result

    ids = timed("enqueue", lambda: [started(seed) for seed in range(studies)])
    timed("list whole", lambda: _all_pages(client))
    timed("cancel in bulk", lambda: [client.post(f"/v1/studies/{study}/cancel") for study in ids])
    for seed in range(studies):
        started(100 + seed)
    timed("drain", lambda: [finish_one(settings) for _ in range(1000 * studies)])
    return taken


def _all_pages(client: TestClient) -> int:
    cursor, seen = None, 0
    while True:
        page = client.get("/v1/trials", params={"limit": 200, **({"cursor": cursor} if cursor else {})}).json()
        seen, cursor = seen + len(page["items"]), page["next"]
        if cursor is None:
            return seen


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", type=int, default=10_000)
    parser.add_argument("--many", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=300, help="runs of each operation on each side (default: 300)")
    parser.add_argument("--plans", action="store_true", help="show the query plans beside many trials")
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as place, database(Path(place)) as few, database(Path(place)) as many:
        sides = [Side(few, given.few), Side(many, given.many)]
        good = compared(sides, given.times)
        if given.plans:
            plans(sides[1])
    with tempfile.TemporaryDirectory() as place, database(Path(place)) as one, database(Path(place)) as other:
        short, long = queued(one, 1), queued(other, 10)
        print(f"\n{'':<24}{'1,000':>10}{'10,000 trials':>15}{'grows':>8}")
        for what, seconds in short.items():
            print(f"{what:<24}{seconds:>8.1f} s{long[what]:>13.1f} s{long[what] / seconds:>7.1f}x")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
