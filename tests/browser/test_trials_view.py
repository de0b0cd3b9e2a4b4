"""Trials are started, followed live, cancelled and retried."""

from __future__ import annotations

from typing import Any

import pytest
from selenium.webdriver import ActionChains, Keys

from tests.browser.support import Page, Service, percent

SMALL: dict[str, Any] = {
    "architecture": "tinynet_e",
    "multipliers": {"r": 0.3, "d": 0.5, "w": 0.2},
    "dataset": "digits",
    "recipe": "digits-smoke",
}

RECORD = """
window.seen = [];
const record = () => seen.push(Number(document.querySelector("[role=progressbar]").ariaValueNow));
new MutationObserver(record).observe(document.querySelector("[role=progressbar]"), { attributes: true });
"""


def state(page: Page) -> str:
    return page.text(".bar .state")


@pytest.mark.exhaustive
def test_progress_as_it_happens(page: Page, service: Service, worker: None) -> None:
    study = service.post("/v1/studies", {"name": "one", "architecture": "tinynet_e", "dataset": "digits"})["id"]
    trial = service.post("/v1/trials", {**SMALL, "study": study})["id"]
    page.open(service, f"#/trials/{trial}")
    page.find("[role=progressbar]")
    page.run(RECORD)

    page.until(lambda: state(page) == "completed", "the trial has completed")
    seen = page.run("return seen")
    assert seen == sorted(seen)
    assert any(0 < share < 100 for share in seen)
    assert seen[-1] == 100
    result = service.get(f"/v1/trials/{trial}")["result"]
    page.wait_for_text(percent(result["accuracy"]), "#fact-accuracy")
    page.find(".plot").send_keys(Keys.HOME)
    page.wait_for_text(
        f"validation: Epoch 1, Accuracy, % {percent(result['history'][0]['validation_accuracy'])}", ".chart"
    )
    log = page.find("a[download='log.csv']").get_property("href")
    assert service.client.get(log).text.startswith("epoch")
    page.open(service, "#/workers")
    page.wait_for_text("idle", "tbody")

    page.open(service, f"#/studies/{study}")
    page.find(".plot canvas")
    point = page.find(".plot .u-over")
    page.find(".plot").send_keys(Keys.END)
    page.wait_for_text("click or Enter opens it", ".chart .readout-line")
    x, y = page.run(
        "const [a, b] = ['.chart-dot', '.u-over'].map((s) => document.querySelector(s).getBoundingClientRect());"
        "return [a.x + a.width / 2 - b.x - b.width / 2, a.y + a.height / 2 - b.y - b.height / 2]"
    )
    ActionChains(page.driver).move_to_element_with_offset(point, round(x), round(y)).click().perform()
    page.until(lambda: page.driver.current_url.endswith(f"#/trials/{trial}"), "a click on the point opens its trial")


def test_train_this_then_cancel_and_retry(page: Page, alone: Service) -> None:
    page.open(alone, "#/scale?architecture=tinynet_e&ratio=0.3")
    page.until(lambda: page.text("#value-px") not in ("", "–"), "there is a network")
    px = page.text("#value-px")
    page.find("#train summary").click()
    page.choose("#train-dataset", "digits")
    page.choose("#train-recipe", "digits-smoke")
    page.wait_for_text("Nothing was trained here yet", "#train")
    page.press("Train")

    page.until(lambda: "#/trials/" in page.driver.current_url, "the trial's own page")
    trial = page.driver.current_url.rpartition("/")[2]
    page.wait_for_text("Waiting for a worker.", "#now")
    assert alone.get(f"/v1/trials/{trial}")["config"]["resolution"] == int(px)
    page.press("Cancel")
    page.until(lambda: state(page) == "cancelled", "it is cancelled")
    page.press("Retry")
    page.until(lambda: state(page) == "queued", "it waits again")
    assert alone.get(f"/v1/trials/{trial}")["state"] == "queued"
    page.open(alone, "#/trials?state=cancelled")
    page.wait_for_text("There are no trials.")
    page.choose("#state", "queued")
    page.wait_for_text(trial[:8], "tbody")


def test_view_catches_up_after_an_outage(page: Page, alone: Service) -> None:
    page.ignored_messages = (
        "ERR_CONNECTION_REFUSED",
        "ERR_INCOMPLETE_CHUNKED_ENCODING",
        "ERR_CONNECTION_RESET",
        "ERR_EMPTY_RESPONSE",
    )
    trial = alone.post("/v1/trials", SMALL)["id"]
    page.open(alone, f"#/trials/{trial}")
    page.until(lambda: state(page) == "queued", "the trial waits")

    alone.stop()
    page.wait_for_text("The service does not respond. Retrying", "#banner")
    alone.start()

    page.until(lambda: not page.find("#banner").is_displayed(), "the banner is gone")
    alone.post(f"/v1/trials/{trial}/cancel")
    page.until(lambda: state(page) == "cancelled", "the event was read")


def test_more_is_read_by_the_cursor(page: Page, alone: Service) -> None:
    for seed in range(27):
        alone.post("/v1/trials", {**SMALL, "seed": seed})
    page.open(alone, "#/trials")
    page.until(lambda: len(page.find_all("tbody tr")) == 25, "the first page")

    page.press("More")

    page.until(lambda: len(page.find_all("tbody tr")) == 27, "all of them")
    page.until(lambda: not page.run("return document.querySelector('.actions button').offsetParent"), "no more")
