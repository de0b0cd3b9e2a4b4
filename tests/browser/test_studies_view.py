"""A study is created, started, followed and stopped; an older predictor is activated again."""

from __future__ import annotations

import pytest
from selenium.webdriver import Keys

from tests.browser.support import Page, Service, percent

HOSTILE = '<img src=x onerror="window.owned=1"><script>window.owned=2</script>'

SPACE = {"r-min": "0.2", "r-max": "0.4", "w-min": "0.1", "w-max": "0.6", "c-min": "0.01", "c-max": "0.1"}


def trained_elsewhere(n: int, better: float = 0.0) -> list[dict[str, float]]:
    """Networks of rising cost and accuracy, as another tool would bring them."""
    return [
        {"r": 0.2 + 0.02 * i, "d": 0.5 + 0.05 * i, "w": 0.2 + 0.02 * i, "accuracy": 0.5 + 0.03 * i + better}
        for i in range(n)
    ]


def test_a_study_from_the_form_to_its_figures(page: Page, alone: Service) -> None:
    page.open(alone, "#/studies")
    page.find("#new-study summary").click()
    page.choose("#study-architecture", "tinynet_e")
    page.choose("#study-dataset", "digits")
    page.choose("#study-recipe", "digits-smoke")
    page.type("#study-name", HOSTILE)
    page.type("#study-trials", "2")
    for field, value in SPACE.items():
        page.type(f"#{field}", value)
    page.press("Estimate")
    page.wait_for_text("All trainings on one worker.", "#new-study")
    page.press("Create")

    page.until(lambda: page.text("h1") == HOSTILE, "the study's own page")
    assert page.driver.title == f"{HOSTILE} · rdw"
    page.wait_for_text("No training has completed yet.")
    page.find("#figures summary").click()
    page.wait_for_text("different costs or more", "#figure-predictor-curve")
    study = page.driver.current_url.rpartition("/")[2]
    page.press("Start")
    page.until(lambda: alone.get(f"/v1/studies/{study}")["state"] == "running", "it runs")
    page.press("Pause")
    page.press("Resume")
    alone.post(f"/v1/studies/{study}/observations", {"observations": trained_elsewhere(8)})

    drawn = "return document.querySelector('#figure-accuracy-against-flops img').naturalWidth"
    page.until(lambda: page.run(drawn) > 100, "the figure is there, without a reload")
    titles = {
        "Front: accuracy against multiply-adds",
        "Hypervolume of the front, in decades of multiply-adds × accuracy",
    }
    page.until(lambda: {t.text for t in page.find_all("figcaption > span:first-child")} >= titles, "charts")
    page.find(".plot").send_keys(Keys.END)
    page.wait_for_text("71.0 % at", ".chart .readout-line")
    hypervolume = alone.get(f"/v1/studies/{study}/front")["hypervolume"]
    growth = "figure:has([aria-label^='Hypervolume'])"
    page.find(f"{growth} .plot").send_keys(Keys.END)
    page.wait_for_text(f"Hypervolume {hypervolume:.3f}", f"{growth} .readout-line")
    page.wait_for_text("1.00")  # the correlation of r
    page.wait_for_text("8, 8 of them imported", "#count-observations")
    page.find(".tabs a[href$='/predictor']").click()
    page.press("Refit the predictor")
    page.wait_for_text("Version 1 is fitted and not active")
    page.wait_for_text("tinynet_e on digits, version 1", "tbody")
    page.press("Cancel")
    page.press("Cancel the study")
    page.until(lambda: "cancelled" in page.text(".bar .state"), "it is cancelled")
    page.open(alone, "#/studies")
    page.wait_for_text(HOSTILE, "tbody")
    assert page.run("return window.owned") is None
    assert page.find_all("img[src=x]") == []


def test_a_predictor_is_rolled_back(page: Page, service: Service) -> None:
    body = {"name": "two versions", "architecture": "tinynet_d", "dataset": "digits", "trials": 1}
    study = service.post("/v1/studies", body)["id"]
    versions = []
    for better in (0.0, 0.1):
        service.post(f"/v1/studies/{study}/observations", {"observations": trained_elsewhere(6, better)})
        versions.append(service.post(f"/v1/studies/{study}/predictors", {"activate": True})["id"])

    page.open(service, "#/predictors")
    page.press("Activate version 1 of tinynet_d on digits")
    page.press("Close")
    assert service.get(f"/v1/predictors/{versions[1]}")["active"]
    page.press("Activate version 1 of tinynet_d on digits")
    page.press("Activate this version")

    page.wait_for_text("Version 1 for tinynet_d on digits is active.")
    assert service.get(f"/v1/predictors/{versions[0]}")["active"]
    page.button("Activate version 2 of tinynet_d on digits")
    page.open(service, f"#/predictors/{versions[0]}")
    page.wait_for_text("Active.")
    page.until(lambda: len(page.find_all(".plot canvas")) == 3, "its curves are drawn")


@pytest.mark.parametrize(
    ("route", "problem"),
    [
        ("#/trials/" + "0" * 32, "The resource was not found"),
        ("#/studies/" + "0" * 32, "The resource was not found"),
        ("#/predictors/none", "The resource was not found"),
        ("#/datasets/none", "none"),
        ("#/baselines/none", "none"),
    ],
)
def test_missing_resource_is_reported(page: Page, service: Service, route: str, problem: str) -> None:
    page.open(service, route)

    page.wait_for_text(problem, ".problem")


def test_predictions_are_charted_against_measurements(page: Page, service: Service) -> None:
    body = {"name": "asked", "architecture": "tinynet_c", "dataset": "digits", "sampler": "active"}
    study = service.post("/v1/studies", body)["id"]
    service.post(f"/v1/studies/{study}/observations", {"observations": trained_elsewhere(8)})
    service.post(f"/v1/studies/{study}/predictors", {"activate": True})
    for suggestion in service.post(f"/v1/studies/{study}/ask", {"n": 2})["items"]:
        service.post(f"/v1/studies/{study}/tell", {"suggestion": suggestion["id"], "accuracy": 0.61})
    [first, *_] = service.get(f"/v1/studies/{study}/calibration")["items"]

    page.open(service, f"#/studies/{study}/predictor")
    chart = "figure:has([aria-label^='Predicted against measured accuracy'])"
    page.find(f"{chart} canvas")
    page.find(f"{chart} .plot").send_keys(Keys.HOME)

    page.wait_for_text(f"predicted {percent(first['mean'])} ± {percent(first['sd'])}, measured 61.0 %", chart)
