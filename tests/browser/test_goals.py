"""Goals of users in the dashboard that cross several of its parts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import ActionChains

from app.db.session import engine_for
from app.db.unit_of_work import UnitOfWork
from app.services.auth import keys
from tests.browser.support import Page, Service


def test_scale_and_train_exactly_that(page: Page, alone: Service) -> None:
    page.open(alone, "#/scale?architecture=tinynet_e&ratio=0.5&dataset=digits")
    page.until(lambda: page.text("#value-px") not in ("", "–"), "there is a network")
    slider = page.find("#budget")
    drag = ActionChains(page.driver, duration=20).move_to_element(slider).click_and_hold()
    for _ in range(20):
        drag.move_by_offset(-4, 0)
    drag.release().perform()
    page.find("#train summary").click()
    page.choose("#train-recipe", "digits-smoke")
    page.until(lambda: page.text("#announcement") and not page.find_all(".stale"), "the answer has settled")
    shown = json.loads(page.run("return document.querySelector('[aria-label=\"Config as JSON\"]').textContent"))
    multipliers = {name: page.text(f"#value-{name}") for name in "rdw"}
    assert page.find("#train-dataset").get_property("value") == "digits"

    page.press("Train")
    page.until(lambda: "#/trials/" in page.driver.current_url, "the trial's own page")

    trial = alone.get(f"/v1/trials/{page.driver.current_url.rpartition('/')[2]}")
    assert {name: f"{trial['multipliers'][name]:.3f}" for name in "rdw"} == multipliers
    assert trial["config"] == shown
    page.driver.back()
    page.until(lambda: {n: page.text(f"#value-{n}") for n in "rdw"} == multipliers, "back at the same answer")


@pytest.fixture
def guarded(tmp_path: Path, browser: Page) -> Iterator[tuple[Service, str]]:
    """A service that requires a key, and a key that may only read."""
    running = Service(tmp_path)
    with UnitOfWork(running.settings.database) as work:
        _, key = keys.create(work, "reader", "read", None)
    running.stop()
    running.start()
    yield running, key
    browser.leave()
    running.close()
    engine_for(running.settings.database).dispose()


def test_key_that_may_not_train_is_refused_and_nothing_is_lost(page: Page, guarded: tuple[Service, str]) -> None:
    service, key = guarded
    page.open(service, "#/scale?architecture=tinynet_e&ratio=0.3")
    page.type("#key-input", key)
    page.press("Use this key")
    page.until(lambda: page.text("#value-px") not in ("", "–"), "reading is allowed")
    page.find("#train summary").click()
    page.choose("#train-dataset", "digits")
    page.choose("#train-recipe", "digits-smoke")
    before = page.text("#value-px")
    page.press("Train")

    page.wait_for_text("train", "#train .problem")
    assert page.text("#value-px") == before
    assert "#/scale" in page.driver.current_url
    page.until(lambda: page.button("Train").is_enabled(), "it can be tried again")
