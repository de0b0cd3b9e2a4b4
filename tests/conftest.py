"""Fixtures: both databases and both brokers for real; where a server is absent the test skips and says so."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from fastapi.testclient import TestClient

from app.db.migrate import upgrade
from app.db.session import engine_for
from app.db.unit_of_work import UnitOfWork
from app.main import create_app
from app.services import leases
from app.services.predictors import install_published
from app.settings import Settings
from tests.support import POSTGRES, REDIS, absent, listening


@pytest.fixture
def postgres() -> Iterator[str]:
    """The URL of an empty PostgreSQL database, dropped afterwards."""
    try:
        server = psycopg.connect(POSTGRES, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError:
        absent("PostgreSQL (RDW_TEST_POSTGRES)")
    name = f"rdw_test_{uuid.uuid4().hex[:12]}"
    server.execute(f"CREATE DATABASE {name}")
    url = f"{POSTGRES.rpartition('/')[0]}/{name}"
    yield url
    engine_for(url).dispose()
    server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    server.close()


@pytest.fixture
def redis() -> str:
    """The URL of a Redis database that the tests may use."""
    host, _, port = REDIS.split("/")[2].partition(":")
    if not listening(host, int(port or 6379)):
        absent("Redis (RDW_TEST_REDIS)")
    return REDIS


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[str]:
    """The URL of a SQLite database without tables."""
    url = f"sqlite:///{tmp_path / 'rdw.sqlite3'}"
    yield url
    engine_for(url).dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a database without tables, on each kind."""
    yield request.getfixturevalue("postgres" if request.param == "postgresql" else "sqlite")


@pytest.fixture
def settings(empty_database: str, tmp_path: Path) -> Settings:
    """Settings on a migrated database of each kind, everything below a folder of the test's own."""
    upgrade(empty_database)
    with UnitOfWork(empty_database) as work:
        install_published(work)
    return Settings(data_dir=tmp_path, database_url=empty_database, broker_url="", lease_seconds=5)


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    """A client of the API; no worker runs."""
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def work(settings: Settings) -> Callable[[], UnitOfWork]:
    """Opens transactions on the test's database."""
    return lambda: UnitOfWork(settings.database)


@pytest.fixture
def take(work: Callable[[], UnitOfWork], settings: Settings) -> Callable[[], str | None]:
    """Claims what is next, as a worker does; the trial's id."""

    def take() -> str | None:
        with work() as unit:
            claim = leases.claim(unit, "a worker", settings)
            return None if claim is None else claim.trial.id

    return take
