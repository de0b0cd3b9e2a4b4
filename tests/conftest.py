"""Fixtures: both databases and both brokers for real; where a server is absent the test skips and says so."""

from __future__ import annotations

import os
import socket
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
from app.services.predictors import install_published
from app.settings import Settings

POSTGRES = os.environ.get("RDW_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
REDIS = os.environ.get("RDW_TEST_REDIS", "redis://127.0.0.1:6379/15")
FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


def absent(what: str) -> None:
    """Skip, loudly; fail where absence is an error (CI)."""
    if os.environ.get("RDW_TEST_REQUIRE_SERVICES"):
        pytest.fail(f"{what} is needed here and absent")
    pytest.skip(f"NOT TESTED: {what} is absent on this machine")


def listening(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without tables, on each kind."""
    if request.param == "postgresql":
        yield request.getfixturevalue("postgres")
        return
    url = f"sqlite:///{tmp_path / 'rdw.sqlite3'}"
    yield url
    engine_for(url).dispose()


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


SMALL = {
    "name": "small",
    "baseline": {
        "family": "efficientnet",
        "resolution": 16,
        "in_chans": 1,
        "num_classes": 10,
        "stem": {"channels": 8},
        "stages": [
            {"block": "ds", "repeats": 1, "channels": 8},
            {"block": "ir", "repeats": 2, "channels": 16, "stride": 2, "expansion": 3, "se_ratio": 0.25},
        ],
        "head": {"channels": 32},
        "activation": "relu",
    },
    "rules": {"divisor": 4},
}
