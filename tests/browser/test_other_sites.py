"""A service without keys in the browser of its user, who visits pages of other sites."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.db.session import engine_for
from tests.browser.support import Page, Service, chromium

FETCH = """
const [url, options, done] = arguments;
fetch(url, options).then((response) => done(response.status), (error) => done(String(error)));
"""
TRIAL = {"architecture": "tinynet_e", "dataset": "digits", "recipe": "digits-smoke"}


@pytest.fixture(scope="module")
def visitor() -> Iterator[Page]:
    """A browser for which another site's name has the address of this machine."""
    with chromium("--host-resolver-rules=MAP evil.example 127.0.0.1") as page:
        yield page


@pytest.fixture
def target(tmp_path: Path, visitor: Page) -> Iterator[Service]:
    running = Service(tmp_path)
    yield running
    visitor.driver.get("about:blank")
    running.close()
    engine_for(running.settings.database).dispose()


def fetch(page: Page, url: str, **options: Any) -> int | str:
    return page.driver.execute_async_script(FETCH, url, options)


def test_rebound_name_reads_and_changes_nothing(target: Service, visitor: Page) -> None:
    cancel = f"/v1/trials/{target.post('/v1/trials', TRIAL)['id']}/cancel"
    visitor.driver.get(f"http://evil.example:{target.port}/docs")
    assert visitor.run("return location.host") == f"evil.example:{target.port}"

    assert (fetch(visitor, "/v1/queue"), fetch(visitor, cancel, method="POST")) == (403, 403)

    visitor.driver.get(f"{target.url}/docs")
    assert (fetch(visitor, "/v1/queue"), fetch(visitor, cancel, method="POST")) == (200, 202)


def test_page_of_another_site_changes_nothing(target: Service, visitor: Page) -> None:
    trial = f"/v1/trials/{target.post('/v1/trials', TRIAL)['id']}"
    visitor.driver.execute_cdp_cmd("Page.setBypassCSP", {"enabled": True})
    visitor.driver.get(f"http://evil.example:{target.port}/docs")

    # The page cannot read the answer, whether the request is carried out or not.
    fetch(visitor, f"{target.url}{trial}/cancel", method="POST", mode="no-cors")

    assert target.get(trial)["state"] == "queued"
