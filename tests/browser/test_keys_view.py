"""API keys are managed in the dashboard."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.db.session import engine_for
from tests.browser.support import Page, Service

ROOT_KEY = "the key of the settings"


@pytest.fixture
def guarded(tmp_path: Path, browser: Page) -> Iterator[Service]:
    """A service with a key of its settings."""
    running = Service(tmp_path, api_keys=hashlib.sha256(ROOT_KEY.encode()).hexdigest())
    running.client.headers["Authorization"] = f"Bearer {ROOT_KEY}"
    yield running
    browser.leave()
    running.close()
    engine_for(running.settings.database).dispose()


def status_with(service: Service, key: str) -> int:
    return httpx.get(f"{service.url}/v1/queue", headers={"Authorization": f"Bearer {key}"}).status_code


def open_with(page: Page, service: Service, key: str) -> None:
    page.open(service, "#/keys")
    page.type("#key-input", key)
    page.press("Use this key")


def create(page: Page, name: str, scope: str) -> str:
    """Fill in the form; return the secret that is shown."""
    page.type("#new-key-name", name)
    page.choose("#new-key-scope", scope)
    page.press("Create the key")
    page.wait_for_text(f"The key {name}", ".new-secret")
    assert page.run("return document.activeElement.textContent") == f"The key {name}"
    return page.text(".new-secret code")


def test_a_key_is_created_used_and_revoked(page: Page, guarded: Service) -> None:
    open_with(page, guarded, ROOT_KEY)
    page.find("#new-key-days").send_keys("30")

    secret = create(page, "ci", "train")

    assert status_with(guarded, secret) == 200
    page.wait_for_text("live", "tbody")
    (key,) = guarded.get("/v1/keys")["items"]
    assert (key["name"], key["scope"]) == ("ci", "train") and key["expires_at"] is not None
    page.press("I have stored it")
    assert secret not in page.text("body")

    page.press("Revoke ci")
    page.press("Revoke the key")

    page.wait_for_text("revoked", "tbody")
    assert status_with(guarded, secret) == 401
    assert not page.find_all("tbody button")


def test_the_first_key_locks_the_service_and_the_tab_stays_in(page: Page, alone: Service) -> None:
    page.open(alone, "#/keys")
    page.wait_for_text("This service has no keys")
    scopes = page.find_all("#new-key-scope option")
    assert [option.get_attribute("value") for option in scopes] == ["admin"]

    secret = create(page, "ada", "admin")

    assert alone.client.get("/v1/queue").status_code == 401
    assert status_with(alone, secret) == 200
    page.wait_for_text("This tab uses it", ".new-secret")
    page.wait_for_text("this tab’s key", "tbody")
    assert not page.find_all("dialog")
    page.driver.refresh()
    page.wait_for_text("this tab’s key", "tbody")
    assert secret not in page.text("body")


def test_a_key_without_the_scope_is_told_so(page: Page, guarded: Service) -> None:
    reader = guarded.post("/v1/keys", {"name": "reader", "scope": "read"})

    open_with(page, guarded, reader["secret"])

    page.wait_for_text("needs a key of scope `admin`")
    assert not page.find_all("#new-key-name")
    page.press("Forget the key")
    page.type("#key-input", ROOT_KEY)
    page.press("Use this key")
    page.wait_for_text("reader", "tbody")


def test_a_refused_key_is_said_and_nothing_is_lost(page: Page, guarded: Service) -> None:
    guarded.post("/v1/keys", {"name": "ci", "scope": "read"})
    open_with(page, guarded, ROOT_KEY)
    page.type("#new-key-name", "ci")
    page.press("Create the key")

    page.wait_for_text("There is a key named 'ci' already.", ".problem")
    assert page.find("#new-key-name").get_property("value") == "ci"
