from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.reproduce.fake_service import FakeService


@pytest.fixture
def service() -> Iterator[FakeService]:
    with FakeService() as fake:
        yield fake
