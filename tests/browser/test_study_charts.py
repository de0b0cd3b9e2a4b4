"""The charts of a study: parallel coordinates, and zooming by two fingers."""

from __future__ import annotations

from typing import Any

import pytest
from selenium.webdriver import ActionChains, Keys

from tests.browser.support import Page, Service
from tests.browser.test_compare_view import completed_trial
from tests.browser.test_studies_view import trained_elsewhere

PARALLEL = "figure:has([aria-label^='Multipliers, cost and accuracy'])"
FRONT = "figure:has([aria-label^='Front'])"


@pytest.fixture
def studied(alone: Service) -> tuple[str, str]:
    """A study with eight imported results, and a trial that is better than them."""
    body = {"name": "charts", "architecture": "tinynet_e", "dataset": "digits", "trials": 1}
    study = alone.post("/v1/studies", body)["id"]
    alone.post(f"/v1/studies/{study}/observations", {"observations": trained_elsewhere(8)})
    return study, completed_trial(alone, 0.95, study=study)


def test_a_line_of_parallel_coordinates_opens_its_trial(page: Page, alone: Service, studied: tuple[str, str]) -> None:
    study, trial = studied
    page.open(alone, f"#/studies/{study}")
    page.wait_for_text("A drag along an axis chooses a range.", f"{PARALLEL} .readout-line")
    page.find(f"{PARALLEL} .plot").send_keys(Keys.END)
    page.wait_for_text("Accuracy 95.0 % · click or Enter opens it", f"{PARALLEL} .readout-line")
    page.find(f"{PARALLEL} .plot").send_keys(Keys.ARROW_LEFT)
    page.wait_for_text("Accuracy 71.0 %", f"{PARALLEL} .readout-line")
    page.find(f"{PARALLEL} .plot").send_keys(Keys.END, Keys.ENTER)
    page.until(lambda: page.driver.current_url.endswith(f"#/trials/{trial}"), "the trial's page")


def test_a_training_point_of_a_predictor_opens_its_trial(page: Page, alone: Service, studied: tuple[str, str]) -> None:
    study, trial = studied
    predictor = alone.post(f"/v1/studies/{study}/predictors", {"activate": False})["id"]
    (place,) = [point["c"] for point in alone.get(f"/v1/predictors/{predictor}")["points"] if point["trial"] == trial]
    curve = ".curves figure"
    page.open(alone, f"#/predictors/{predictor}")
    page.find(f"{curve} canvas")
    page.wait_for_text(f"trial {trial[:8]}", ".list tbody")

    def reach_the_point() -> bool:
        page.find(f"{curve} .plot").send_keys(Keys.ARROW_LEFT)
        return f"trial {trial[:8]} at ratio {place:.4g}" in page.text(f"{curve} .readout-line")

    page.until(reach_the_point, "the keyboard reaches the trial's point")
    page.wait_for_text("click or Enter opens it", f"{curve} .readout-line")
    page.find(f"{curve} .plot").send_keys(Keys.ENTER)

    page.until(lambda: page.driver.current_url.endswith(f"#/trials/{trial}"), "the trial's page")


def test_a_drag_along_an_axis_chooses_networks(page: Page, alone: Service, studied: tuple[str, str]) -> None:
    page.open(alone, f"#/studies/{studied[0]}")
    page.wait_for_text("A drag along an axis chooses a range.", f"{PARALLEL} .readout-line")
    page.find(f"{FRONT} canvas")
    strip = page.find_all(f"{PARALLEL} .axis-strip")[-1]
    page.run("arguments[0].scrollIntoView({ block: 'center' })", strip)
    half = strip.size["height"] // 2
    drag = ActionChains(page.driver).move_to_element_with_offset(strip, 0, -half + 2).click_and_hold()
    drag.move_by_offset(0, half).release().perform()
    ActionChains(page.driver).move_to_element(page.find(f"{PARALLEL} figcaption")).perform()
    page.wait_for_text("of 9 networks: Accuracy 7", f"{PARALLEL} .readout-line")
    page.press("Multipliers, cost and accuracy of each network: reset the ranges")
    page.wait_for_text("A drag along an axis chooses a range.", f"{PARALLEL} .readout-line")


def touch(page: Page, kind: str, *xs: float, y: float = 0) -> None:
    points: list[dict[str, Any]] = [{"x": x, "y": y, "id": i} for i, x in enumerate(xs)]
    page.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def test_two_fingers_zoom_a_chart(page: Page, alone: Service, studied: tuple[str, str]) -> None:
    page.set_width(390, 844)
    page.open(alone, f"#/studies/{studied[0]}")
    area = page.find(f"{FRONT} .u-over")
    page.run("arguments[0].scrollIntoView({ block: 'center' })", area)
    left, width, y = page.run(
        "const b = arguments[0].getBoundingClientRect(); return [b.x, b.width, b.y + b.height / 2]", area
    )
    middle = left + width / 2
    assert not page.find(f"{FRONT} .chart-tools button").is_displayed()
    touch(page, "touchStart", middle - 30, middle + 30, y=y)
    for spread in (40, 60, 80):
        touch(page, "touchMove", middle - spread, middle + spread, y=y)
    touch(page, "touchEnd")

    page.until(lambda: page.find(f"{FRONT} .chart-tools button").is_displayed(), "it is zoomed")
    page.press("Front: accuracy against multiply-adds: reset the zoom")
    page.until(lambda: not page.find(f"{FRONT} .chart-tools button").is_displayed(), "it is whole again")
