"""Fixtures. Databases and brokers are real; without a server its tests are skipped with a message."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import settings as hypothesis_settings

from app.core.settings import Settings
from app.db.session import engine_for
from app.db.unit_of_work import UnitOfWork
from app.http.app import create_app
from app.services.trials import lifecycle
from tests.databases import PostgresServer, SqliteTemplate
from tests.leaks import check_for_leaks
from tests.support import REDIS, LocalClient, is_listening, skip_without

# `make test-exhaustive` takes the profile "ci". Examples are the same in each run.
hypothesis_settings.register_profile("dev", max_examples=15, deadline=None, database=None, derandomize=True)
hypothesis_settings.register_profile("ci", hypothesis_settings.get_profile("dev"), max_examples=100)
hypothesis_settings.load_profile("dev")


def pytest_collectstart() -> None:
    """Disable garbage collection while the test modules are imported, as it would take seconds."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Exempt the imported objects, nearly a million, from garbage collection."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark property tests, which `make test-exhaustive` runs on many more examples."""
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker(pytest.mark.property)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on the kinds of database in its mark `databases`.

    Without the mark it runs on SQLite, and in `make test-exhaustive` on PostgreSQL as well.
    """
    if "database_kind" in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker("databases")
        kinds = mark.args if mark else ("sqlite", pytest.param("postgresql", marks=pytest.mark.exhaustive))
        metafunc.parametrize("database_kind", kinds, indirect=True)


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """Fail a test that does not close its threads, processes, sockets or files."""
    with check_for_leaks():
        yield


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> SqliteTemplate:
    return SqliteTemplate(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of an empty PostgreSQL database, dropped afterwards."""
    with postgres_server.database(migrated=False) as url:
        yield url


@pytest.fixture(scope="session")
def redis() -> str:
    """The URL of a Redis database that the tests may use."""
    host, _, port = REDIS.split("/")[2].partition(":")
    if not is_listening(host, int(port or 6379)):
        skip_without("Redis (RDW_TEST_REDIS)")
    return REDIS


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[str]:
    """The URL of a SQLite database without tables."""
    url = f"sqlite:///{tmp_path / 'rdw.sqlite3'}"
    yield url
    engine_for(url).dispose()


@pytest.fixture
def database_kind(request: pytest.FixtureRequest) -> str:
    """`sqlite` or `postgresql`; see `pytest_generate_tests`."""
    return str(request.param)


@pytest.fixture
def empty_database(database_kind: str, request: pytest.FixtureRequest) -> str:
    """The URL of a database without tables."""
    return request.getfixturevalue("postgres" if database_kind == "postgresql" else "sqlite")


@pytest.fixture
def database(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a migrated database with the published predictor."""
    if database_kind == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        with server.database(migrated=True) as url:
            yield url
    else:
        template: SqliteTemplate = request.getfixturevalue("sqlite_template")
        url = request.getfixturevalue("sqlite")
        template.copy(tmp_path / "rdw.sqlite3")
        yield url


@pytest.fixture
def settings(database: str, tmp_path: Path) -> Settings:
    """Settings with a migrated database and a data directory for this test."""
    return Settings(data_dir=tmp_path, database_url=database, broker_url="", lease_seconds=300, solvers=0)


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    """A client of the API; no worker runs."""
    with LocalClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def work(settings: Settings) -> Callable[[], UnitOfWork]:
    """A function that opens transactions on the test's database."""
    return lambda: UnitOfWork(settings.database)


@pytest.fixture
def claim_next(work: Callable[[], UnitOfWork], settings: Settings) -> Callable[[], str | None]:
    """A function that claims the next trial as a worker does, and returns its id."""

    def claim_next() -> str | None:
        with work() as unit:
            claim = lifecycle.claim(unit, "a worker", settings)
            return None if claim is None else claim.trial.id

    return claim_next
