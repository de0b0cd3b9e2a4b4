"""A primary that vanishes without closing its connections, and another one that takes its address."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select

from app.db.migrate import upgrade
from app.db.session import DatabaseUnavailable, engine_for
from app.db.tables import ObservationRow
from app.db.unit_of_work import UnitOfWork
from tests.failures.service import Service, gate_before, running, start_trial, wait_for

LEASE = 20
BOUND = 60  # seconds for a response; the limits of the service itself add up to less than 20
IMPATIENT = "?options=-c%20idle_in_transaction_session_timeout%3D200ms"
SHORT = "?options=-c%20statement_timeout%3D1s"


@pytest.mark.exhaustive
def test_trial_and_requests_survive_a_vanished_primary(tmp_path: Path, postgres: str) -> None:
    with (
        gate_before(postgres) as (gate, url),
        running(
            tmp_path, RDW_DATABASE_URL=url, RDW_BROKER_URL="", RDW_WORKERS="1", RDW_LEASE_SECONDS=str(LEASE)
        ) as service,
    ):
        trial = start_trial(service)

        gate.strand()
        with ThreadPoolExecutor(40) as clients:
            answers = list(clients.map(lambda _: service.client.get("/v1/queue", timeout=BOUND), range(40)))

        assert {answer.status_code for answer in answers} <= {200, 503}
        assert {a.json()["type"] for a in answers if a.status_code == 503} <= {"/problems/database-unavailable"}
        ended = service.wait_for_trial(trial)
        # A transaction that was under way may lock the trial on the server until after the lease.
        assert ended["state"] == "completed" and ended["attempt"] <= 2, service.log()
        with UnitOfWork(postgres, writes=False) as work:
            counted = work.session.scalars(select(func.count()).where(ObservationRow.trial_id == trial)).one()
        engine_for(postgres).dispose()
        assert counted == 1


@pytest.mark.exhaustive
def test_requests_are_refused_in_time_while_no_primary_answers(tmp_path: Path, postgres: str) -> None:
    upgrade(postgres)
    engine_for(postgres).dispose()
    with gate_before(postgres) as (gate, url):
        api = Service(tmp_path, "api", RDW_DATABASE_URL=url, RDW_BROKER_URL="")
        try:
            wait_for(lambda: _can_scale(api), api.log)
            gate.silence()
            with ThreadPoolExecutor(60) as clients:
                answers = list(clients.map(lambda _: api.client.get("/v1/queue", timeout=BOUND), range(60)))

            assert {(a.status_code, a.json()["type"]) for a in answers} == {(503, "/problems/database-unavailable")}
            gate.drop()
            gate.open()
            wait_for(lambda: _can_scale(api), api.log)
        finally:
            api.stop()


def _can_scale(service: Service) -> bool:
    try:
        return service.client.get("/readyz?needs=database").is_success
    except httpx.TransportError:
        return False


def test_silence_is_bounded_by_the_timeout_in_the_url(postgres: str) -> None:
    upgrade(postgres)
    engine_for(postgres).dispose()
    with gate_before(postgres) as (gate, url):
        limited = url + SHORT
        with UnitOfWork(limited, writes=False) as work:
            assert work.workers.list_alive(1) == []
        gate.strand()
        with pytest.raises(DatabaseUnavailable), UnitOfWork(limited, writes=False) as work:
            work.workers.list_alive(1)
        with UnitOfWork(limited, writes=False) as work:
            assert work.workers.list_alive(1) == []
        assert engine_for(limited).pool.checkedout() == 0
        engine_for(limited).dispose()


def test_closed_connections_are_replaced_before_they_are_used(postgres: str) -> None:
    upgrade(postgres)
    engine_for(postgres).dispose()
    with gate_before(postgres) as (gate, url):
        for _ in range(2):
            with UnitOfWork(url, writes=False) as one, UnitOfWork(url, writes=False) as other:
                assert one.workers.list_alive(1) == other.workers.list_alive(1) == []
            gate.drop()
            time.sleep(0.1)  # until the kernel has the reset
        engine_for(url).dispose()


def test_slow_statement_is_an_unavailable_database(postgres: str) -> None:
    with pytest.raises(DatabaseUnavailable), UnitOfWork(postgres + SHORT) as work:
        work.session.connection().exec_driver_sql("SELECT pg_sleep(60)")
    engine_for(postgres + SHORT).dispose()


def test_transaction_of_a_process_that_hangs_is_ended_by_the_server(postgres: str) -> None:
    with UnitOfWork(postgres) as work:
        limit = work.session.connection().exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar()
    engine_for(postgres).dispose()

    with pytest.raises(DatabaseUnavailable), UnitOfWork(postgres + IMPATIENT) as work:
        work.session.connection().exec_driver_sql("SELECT 1")
        time.sleep(1)  # as one that was stopped
        work.session.connection().exec_driver_sql("SELECT 1")
    with UnitOfWork(postgres + IMPATIENT) as work:
        assert work.session.connection().exec_driver_sql("SELECT 1").scalar() == 1
    engine_for(postgres + IMPATIENT).dispose()

    assert limit == "30s"
