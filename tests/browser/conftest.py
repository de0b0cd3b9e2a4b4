"""One Chromium and one service for all tests of a process, and a worker from the first test that needs one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.db.session import engine_for
from tests.browser.support import Page, Service, chromium


@pytest.fixture(scope="session")
def browser() -> Iterator[Page]:
    with chromium() as page:
        yield page


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = Service(tmp_path_factory.mktemp("browser"))
    yield running
    running.close()
    engine_for(running.settings.database).dispose()


@pytest.fixture(scope="session")
def worker(service: Service) -> Iterator[None]:
    with service.worker():
        yield


@pytest.fixture
def alone(tmp_path: Path, browser: Page) -> Iterator[Service]:
    """A service for this test only, without a worker."""
    running = Service(tmp_path)
    yield running
    browser.leave()
    running.close()
    engine_for(running.settings.database).dispose()


@pytest.fixture
def page(browser: Page) -> Iterator[Page]:
    """The browser, 1280 px wide and light; the test fails if it logged errors or violated the content policy."""
    browser.set_width(1280)
    browser.set_colour_scheme("light")
    browser.ignored_messages = ()
    browser.collect_errors()
    browser.errors.clear()
    yield browser
    browser.leave()
    assert browser.errors == []
