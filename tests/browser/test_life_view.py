"""Studies, trials, predictors, data sets and baselines are renamed, archived and deleted in the dashboard."""

from __future__ import annotations

import pytest
from PIL import Image

from tests.browser.support import Page, Service
from tests.browser.test_scale_view import shown, shows
from tests.browser.test_studies_view import trained_elsewhere
from tests.support import SMALL

TRIAL = {"architecture": "small", "multipliers": {"r": 1, "d": 1, "w": 1}, "dataset": "pets"}


@pytest.fixture
def filled(alone: Service) -> Service:
    """A service with a registered data set and baseline."""
    for split in ("train", "test"):
        for name in ("a", "b"):
            folder = alone.settings.data_dir / "datasets" / "pets" / split / name
            folder.mkdir(parents=True)
            for i in range(8):
                Image.new("RGB", (16, 16), (20 * i, 60 if name == "a" else 200, 7)).save(folder / f"{i}.png")
    alone.post("/v1/datasets", {"name": "pets", "folder": "pets", "native_px": 16})
    alone.post("/v1/architectures", SMALL)
    return alone


def rename(page: Page, button: str, name: str) -> None:
    page.press(button)
    page.type("dialog input[name=name]", name)
    page.press("Save")


def test_study_and_its_predictor_are_managed(page: Page, filled: Service) -> None:
    body = {"name": "first", "architecture": "small", "dataset": "pets", "trials": 1, "space": {"ratio": [0.05, 2]}}
    study = filled.post("/v1/studies", body)["id"]
    filled.post(f"/v1/studies/{study}/observations", {"observations": trained_elsewhere(6)})
    predictor = filled.post(f"/v1/studies/{study}/predictors", {"activate": True})["id"]

    page.open(filled, f"#/studies/{study}")
    rename(page, "Rename", "<b>second</b>")
    page.wait_for_text("<b>second</b>", "h1")
    page.press("Archive")
    page.press("Archive the study")
    page.wait_for_text("Archived.", ".bar")
    page.open(filled, "#/studies")
    page.wait_for_text("There are no such studies yet.")
    page.find("input[type=checkbox]").click()
    page.wait_for_text("<b>second</b>", "tbody")

    page.open(filled, "#/predictors")
    page.press("Deactivate version 1 of small on pets")
    page.press("Deactivate this version")
    page.wait_for_text("is not active any more")
    assert not filled.get(f"/v1/predictors/{predictor}")["active"]
    page.open(filled, f"#/predictors/{predictor}")
    page.press("Delete")
    page.wait_for_text("Nothing depends on it.", "dialog")
    page.press("Close")
    rename(page, "Rename", "the best")
    page.wait_for_text("the best", "h1")

    page.open(filled, f"#/studies/{study}")
    page.press("Delete")
    page.wait_for_text(f"1 predictors ({predictor}); 6 observations", "dialog")
    page.press("Delete the study")
    page.until(lambda: page.driver.current_url.endswith("#/studies"), "the list of studies")
    assert filled.client.get(f"/v1/studies/{study}").status_code == 404


def test_trial_is_managed(page: Page, filled: Service) -> None:
    trial = filled.post("/v1/trials", TRIAL)["id"]
    page.open(filled, f"#/trials/{trial}")
    page.press("Delete")
    page.wait_for_text("cancel it first", ".problem")
    page.press("Cancel")
    rename(page, "Rename", "a try")
    page.wait_for_text("a try", "h1")
    page.press("Archive")
    page.press("Archive the trial")
    page.button("Unarchive")
    page.press("Retry")
    page.wait_for_text("archived", ".problem")
    page.press("Delete")
    page.press("Delete the trial")
    page.until(lambda: page.driver.current_url.endswith("#/trials"), "the list of trials")
    page.wait_for_text("There are no trials.")


def test_data_sets_and_baselines_are_managed(page: Page, filled: Service) -> None:
    trial = filled.post("/v1/trials", TRIAL)["id"]
    page.open(filled, "#/baselines/small")
    rename(page, "Rename small", "tiny")
    page.wait_for_text("Registered baseline tiny")
    assert page.driver.current_url.endswith("#/baselines/tiny")
    page.open(filled, "#/datasets")
    page.wait_for_text("built-in", "tbody")
    page.press("Rename pets")
    filled.client.patch("/v1/datasets/pets", json={"description": "by another client"}).raise_for_status()
    page.type("dialog input[name=name]", "animals")
    page.press("Save")
    page.wait_for_text("has changed since you read it", ".problem")
    page.press("Refresh pets")
    page.wait_for_text("pets has not changed.")
    page.press("Delete pets")
    page.wait_for_text("is in use (trials:", ".problem")
    filled.post(f"/v1/trials/{trial}/cancel")
    page.press("Archive pets")
    page.press("Archive the data set")
    page.wait_for_text("pets is changed.")
    page.until(lambda: "pets" not in page.text("tbody"), "it is not listed")
    page.find("input[type=checkbox]").click()
    page.press("Delete pets")
    page.press("Delete the data set")
    page.wait_for_text("pets is deleted.")
    assert filled.get(f"/v1/trials/{trial}")["architecture"] == "tiny"


def test_data_set_has_a_page_with_sample_images(page: Page, filled: Service) -> None:
    page.open(filled, "#/datasets")
    page.find("a[href='#/datasets/pets']").click()
    page.wait_for_text("as they enter a network")
    page.wait_for_text("ready", ".facts")
    image = page.find("#samples")
    page.until(lambda: image.get_property("naturalWidth") > 300, "the image is shown")
    assert image.get_attribute("alt") == "16 training images of pets with their labels: a, b"


def test_landing_page_is_the_same_after_a_study_imported_results(page: Page, alone: Service) -> None:
    page.open(alone)
    before = shows(page, alone)
    body = {"name": "imported", "architecture": "efficientnet_b0", "dataset": "digits", "trials": 1}
    study = alone.post("/v1/studies", body)["id"]
    alone.post(f"/v1/studies/{study}/observations", {"observations": trained_elsewhere(8)})
    predictor = alone.post(f"/v1/studies/{study}/predictors", {"activate": True})["id"]

    page.open(alone)
    page.until(lambda: shown(page) == before, f"the numbers are {before} still")
    assert predictor not in page.text("main")
