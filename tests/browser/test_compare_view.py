"""Trials and versions of predictors are compared side by side."""

from __future__ import annotations

from typing import Any

import pytest
from selenium.webdriver import Keys

from app.core.trials import TrialResult
from app.db.unit_of_work import UnitOfWork
from app.services.trials import lifecycle
from tests.browser.support import Page, Service
from tests.browser.test_studies_view import trained_elsewhere
from tests.browser.test_trials_view import SMALL
from tests.support import claim_trial

CLASSES = [{"class": name, "accuracy": 0.5, "images": 6} for name in ("cat", "dog")]


def completed_trial(service: Service, accuracy: float, **body: Any) -> str:
    """A trial with a result, as a worker would leave it."""
    trial = service.post("/v1/trials", {**SMALL, **body})["id"]

    def open_work() -> UnitOfWork:
        return UnitOfWork(service.settings.database)

    claim = claim_trial(open_work, trial, service.settings)
    history = [{"epoch": e, "validation_accuracy": accuracy * e / 2, "train_loss": 1 / e} for e in (1, 2)]
    test = {"accuracy": accuracy, "by_class": CLASSES, "confusion": [[5, 1], [2, 4]], "worst_pairs": []}
    with open_work() as work:
        assert lifecycle.complete(work, claim, TrialResult(accuracy, 3.0, {}, "top1", test=test, history=history))
    return str(trial)


def test_two_trials_are_compared(page: Page, alone: Service) -> None:
    first = completed_trial(alone, 0.6, seed=1)
    second = completed_trial(alone, 0.8, seed=2, recipe="quick")
    page.open(alone, "#/trials")

    for trial in (first, second):
        page.find(f"input[aria-label='Compare {trial[:8]}']").click()
    page.press("Compare 2")

    page.wait_for_text("80.0 % (best)")
    assert page.driver.current_url.endswith(f"#/compare?trials={first},{second}")
    page.find("figure:has([aria-label^='Accuracy']) .plot").send_keys(Keys.END)
    page.wait_for_text("Epoch 2, Accuracy, % 80.0 %", "figure:has([aria-label^='Accuracy']) .readout-line")
    rows = page.text("[aria-label='Network and recipe'] tbody")
    assert "seed 1 2" in rows.replace("\n", " ")
    assert "recipe.epochs" in rows
    assert "config.resolution" not in rows
    page.find("label[for^=different]").click()
    page.wait_for_text("config.resolution", "[aria-label='Network and recipe'] tbody")
    assert [c.text for c in page.find_all(".matrix")[0].find_elements("css selector", "td")] == ["5", "1", "2", "4"]
    page.find(f"a[href='#/trials/{second}']").click()
    page.wait_for_text("Accuracy by class, test part")


def test_missing_trial_of_a_comparison_is_reported(page: Page, alone: Service) -> None:
    trial = completed_trial(alone, 0.6)
    page.open(alone, f"#/compare?trials={trial},{'0' * 32}")
    page.wait_for_text(f"Trial {'0' * 32}", ".problem")
    page.wait_for_text("60.0 %", "tbody")


def test_versions_are_compared_with_the_reasons_of_the_gate(page: Page, alone: Service) -> None:
    body = {"name": "two versions", "architecture": "tinynet_d", "dataset": "digits", "trials": 1}
    study = alone.post("/v1/studies", body)["id"]
    alone.post(f"/v1/studies/{study}/observations", {"observations": trained_elsewhere(5)})
    refused = alone.post(f"/v1/studies/{study}/predictors", {"activate": "gate"})
    alone.post(f"/v1/studies/{study}/observations", {"observations": trained_elsewhere(9, 0.1)})
    used = alone.post(f"/v1/studies/{study}/predictors", {"activate": True})
    assert not refused["gate"]["promoted"]

    page.open(alone, "#/predictors?q=tinynet_d")
    page.wait_for_text("refused", "tbody")
    for version in (2, 1):
        page.find(f"input[aria-label='Compare tinynet_d on digits, version {version}']").click()
    page.press("Compare 2")

    page.wait_for_text(refused["gate"]["reason"], ".warning")
    page.until(lambda: len(page.find_all(".plot canvas")) == 3, "the curves of both")
    assert page.find_all(f"a[href='#/predictors/{used['id']}']")


@pytest.mark.parametrize("address", ["#/compare", "#/compare?trials=" + ",".join("abcdefg")])
def test_comparison_of_none_or_too_many_says_what_to_do(page: Page, service: Service, address: str) -> None:
    page.open(service, address)
    page.wait_for_text("Choose at most 6 in the list of trials or of predictors.")
