"""A study is created, started, watched and stopped; predictors are rolled back."""

from __future__ import annotations

import pytest

from tests.browser.running import Page, Service

HOSTILE = '<img src=x onerror="window.owned=1"><script>window.owned=2</script>'

SPACE = {"r-least": "0.2", "r-most": "0.4", "w-least": "0.1", "w-most": "0.6", "c-least": "0.01", "c-most": "0.1"}


def trained_elsewhere(n: int, better: float = 0.0) -> list[dict[str, float]]:
    """Networks of rising cost and accuracy, as another tool would bring them."""
    return [
        {"r": 0.2 + 0.02 * i, "d": 0.5 + 0.05 * i, "w": 0.2 + 0.02 * i, "accuracy": 0.5 + 0.03 * i + better}
        for i in range(n)
    ]


def test_a_study_from_the_form_to_its_figures(page: Page, alone: Service) -> None:
    page.open(alone, "#/studies")
    page.one("#new-study summary").click()
    page.choose("#study-architecture", "tinynet_e")
    page.choose("#study-dataset", "digits")
    page.choose("#study-recipe", "digits-smoke")
    page.type("#study-name", HOSTILE)
    page.type("#study-trials", "2")
    for field, value in SPACE.items():
        page.type(f"#{field}", value)
    page.press("What would it take?")
    page.says("All its trainings would take one worker about", "#new-study")
    page.press("Create")

    page.until(lambda: page.text("h1") == HOSTILE, "the study's own page")
    assert page.driver.title == f"{HOSTILE} · rdw"
    page.says("different costs or more", "#figure-predictor-curve")
    study = page.driver.current_url.rpartition("/")[2]
    page.press("Start")
    page.until(lambda: alone.get(f"/v1/studies/{study}")["state"] == "running", "it runs")
    page.press("Pause")
    page.press("Resume")
    alone.post(f"/v1/studies/{study}/observations", {"observations": trained_elsewhere(8)})

    drawn = "return document.querySelector('#figure-accuracy-against-flops img').naturalWidth"
    page.until(lambda: page.run(drawn) > 100, "the figure is there, without a reload")
    page.says("Hypervolume")
    page.says("1.00")  # the correlation of r
    page.press("Fit the predictor now")
    page.says("Version 1")
    page.press("Cancel")
    page.press("Stop it")
    page.until(lambda: "cancelled" in page.text(".bar .state"), "it is cancelled")
    page.open(alone, "#/studies")
    page.says(HOSTILE, "tbody")
    assert page.run("return window.owned") is None
    assert page.all("img[src=x]") == []


def test_a_predictor_is_rolled_back(page: Page, service: Service) -> None:
    body = {"name": "two versions", "architecture": "tinynet_d", "dataset": "digits", "trials": 1}
    study = service.post("/v1/studies", body)["id"]
    versions = []
    for better in (0.0, 0.1):
        service.post(f"/v1/studies/{study}/observations", {"observations": trained_elsewhere(6, better)})
        versions.append(service.post(f"/v1/studies/{study}/predictors", {"activate": True})["id"])

    page.open(service, "#/predictors")
    page.press("Use version 1 of tinynet_d on digits")
    page.press("Leave it")
    assert service.get(f"/v1/predictors/{versions[1]}")["active"]
    page.press("Use version 1 of tinynet_d on digits")
    page.press("Use it")

    page.says("Version 1 for tinynet_d on digits is in use.")
    assert service.get(f"/v1/predictors/{versions[0]}")["active"]
    page.button("Use version 2 of tinynet_d on digits")
    page.open(service, f"#/predictors/{versions[0]}")
    page.says("In use.")
    page.until(lambda: page.all("path.line.r"), "its curve is drawn")


@pytest.mark.parametrize("route", ["#/trials/" + "0" * 32, "#/studies/" + "0" * 32, "#/predictors/none"])
def test_what_is_not_there_is_said(page: Page, service: Service, route: str) -> None:
    page.open(service, route)

    page.says("There is no such resource", ".problem")
