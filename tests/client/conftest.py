"""Fixtures: a service per test module, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rdw_client import Client
from tests.serving import RunningService, serve_api


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with serve_api(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture
def rdw(service: RunningService) -> Iterator[Client]:
    with Client(service.url) as client:
        yield client
