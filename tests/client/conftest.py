"""One service for each module of these tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rdw_client import Client
from tests.serving import Served, served


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture
def rdw(service: Served) -> Iterator[Client]:
    with Client(service.url) as client:
        yield client
