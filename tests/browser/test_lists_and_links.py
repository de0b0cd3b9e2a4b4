"""Lists are searched, sorted and paged; every state has an address; the trail leads there and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.support import Page, Service
from tests.browser.test_compare_view import completed_trial
from tests.browser.test_studies_view import trained_elsewhere
from tests.browser.test_trials_view import SMALL

LONG = "A name without a gap" + "W" * 180


def rows(page: Page) -> list[str]:
    return [row.text for row in page.find_all(".list tbody tr")]


@pytest.fixture
def many(alone: Service) -> Service:
    """A service with 60 trials, one of them with a long name."""
    for seed in range(60):
        trial = alone.post("/v1/trials", {**SMALL, "seed": seed, "priority": seed % 3})["id"]
    alone.client.patch(f"/v1/trials/{trial}", json={"name": LONG}).raise_for_status()
    return alone


def test_a_list_is_searched_beyond_what_is_shown(page: Page, many: Service) -> None:
    oldest = many.get("/v1/trials", limit=100)["items"][-1]["id"]
    page.open(many, "#/trials")
    page.until(lambda: len(rows(page)) == 25, "the first page")
    page.type(".list input[type=search]", oldest)
    page.until(lambda: len(rows(page)) == 1 and oldest[:8] in rows(page)[0], "it is found")
    page.wait_for_text("1 of 60 in all", ".list-bar")

    page.driver.refresh()
    page.until(lambda: len(rows(page)) == 1, "a reload finds it again")
    page.type(".list input[type=search]", "W" * 50)
    page.until(lambda: LONG[:20] in "".join(rows(page)), "the long name is found")
    page.set_width(360, 740)
    assert page.run("return document.documentElement.scrollWidth") <= 360
    page.type(".list input[type=search]", "nothing like it")
    page.wait_for_text("Nothing matches.")


def test_the_service_sorts_a_long_list(page: Page, many: Service) -> None:
    oldest = many.get("/v1/trials", limit=100)["items"][-1]["id"]
    page.open(many, "#/trials")
    page.find("[data-key='sort Created']").click()

    page.until(lambda: oldest[:8] in rows(page)[0], "the oldest is first")
    assert len(rows(page)) == 25
    requested = page.run(
        "return performance.getEntriesByType('resource').map((e) => e.name).filter((n) => n.includes('v1/trials?'))"
    )
    assert any("sort=created_at" in address for address in requested)
    assert all("limit=25" in address for address in requested), "never the whole list"


def test_a_list_is_sorted_by_its_headers(page: Page, alone: Service) -> None:
    for seed, accuracy in enumerate((0.3, 0.9, 0.6)):
        completed_trial(alone, accuracy, seed=seed)
    alone.post("/v1/trials", {**SMALL, "seed": 9})
    page.open(alone, "#/trials")
    page.find("[data-key='sort Accuracy']").click()
    shown = "return [...document.querySelectorAll('tbody tr')].map((r) => r.cells[10].textContent)"
    page.until(lambda: page.run(shown) == ["90.0 %", "60.0 %", "30.0 %", "–"], "the best is first")
    page.find("[data-key='sort Accuracy']").click()
    page.until(lambda: page.run(shown) == ["30.0 %", "60.0 %", "90.0 %", "–"], "the worst is first")
    assert page.text("th[aria-sort=ascending]").startswith("Accuracy")
    assert page.driver.current_url.endswith("#/trials?sort=accuracy")
    page.open(alone, "#/trials?sort=nothing")
    page.wait_for_text("There is no column nothing to sort by.")


def test_back_and_reload_keep_the_place(page: Page, many: Service) -> None:
    page.open(many, "#/trials")
    page.press("More")
    page.until(lambda: len(rows(page)) == 50, "fifty")
    page.run("document.querySelectorAll('tbody tr a')[40].scrollIntoView()")
    page.run("return new Promise((resolve) => setTimeout(resolve, 200))")
    place = page.run("return scrollY")
    page.run("document.querySelectorAll('tbody tr a')[40].click()")
    page.wait_for_text("Waiting for a worker.")
    assert place > 500
    assert page.run("return scrollY") == 0

    page.driver.back()
    page.until(lambda: page.run("return scrollY") == place, "back at the place")
    page.driver.refresh()
    page.until(lambda: page.run("return scrollY") == place, "still there after a reload")
    assert len(rows(page)) == 50


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("#/nothing", "There is no page at #/nothing."),
        ("#/trials/a/b/c", "There is no page at #/trials/a/b/c."),
        ("#/workers/%zz", "There is no page at #/workers/%zz."),
        ("#/trials?state=lost", "There is no state lost"),
        ("#/scale?predictor=none&ratio=0.5", "The address asks for what is not there: predictor none."),
    ],
)
def test_unknown_address_says_so(page: Page, service: Service, address: str, message: str) -> None:
    page.open(service, address)
    page.wait_for_text(message, "main")


def test_the_trail_from_a_trial_to_its_answer_and_back(page: Page, alone: Service) -> None:
    body = {"name": "trail", "architecture": "tinynet_e", "dataset": "digits", "trials": 1}
    study = alone.post("/v1/studies", body)["id"]
    trial = completed_trial(alone, 0.7, study=study)
    alone.post(f"/v1/studies/{study}/observations", {"observations": trained_elsewhere(8)})
    version = alone.post(f"/v1/studies/{study}/predictors", {"activate": True})["id"]

    page.open(alone, f"#/trials/{trial}")
    page.find(f".trail a[href='#/studies/{study}']").click()
    page.wait_for_text("9, 8 of them imported", "#count-observations")
    page.find(".tabs a[href$='/predictor']").click()
    page.find(f"tbody a[href='#/predictors/{version}']").click()
    page.wait_for_text("Active.", ".lead")
    page.find(".trail a[href^='#/scale']").click()
    page.until(lambda: page.find("#predictor").get_property("value") == version, "the answer is that of the version")

    page.find(f"a[href='#/predictors/{version}']").click()
    page.find(f".trail a[href='#/studies/{study}/predictor']").click()
    page.find(".tabs a[href$='/trials']").click()
    page.find(f"tbody a[href='#/trials/{trial}']").click()
    page.until(lambda: page.driver.current_url.endswith(f"#/trials/{trial}"), "the trial again")
    page.driver.back()
    page.wait_for_text("Trials of the study, newest first")
    page.wait_for_text("Trials (1)", ".tabs [aria-current=page]")


def test_a_part_that_a_study_does_not_have(page: Page, alone: Service) -> None:
    body = {"name": "parts", "architecture": "tinynet_e", "dataset": "digits", "trials": 1}
    study = alone.post("/v1/studies", body)["id"]
    page.open(alone, f"#/studies/{study}/toString")
    page.wait_for_text("A study has no part toString.")
    page.find(".tabs a[href$='/ask']").click()
    page.wait_for_text("There are no such suggestions. Ask for some.", "main")


def test_observations_are_imported_and_retracted(page: Page, alone: Service, tmp_path: Path) -> None:
    body = {"name": "imports", "architecture": "tinynet_e", "dataset": "digits", "sampler": "active", "trials": 1}
    study = alone.post("/v1/studies", body)["id"]
    table = tmp_path / "results.csv"
    table.write_text("r,d,w,accuracy\n0.2,0.5,0.2,0.5\n0.3,0.6,0.3,0.6\n0.4,0.7,0.4,0.65\n")
    page.open(alone, f"#/studies/{study}/observations")
    page.find("#import summary").click()
    page.find("#import-file").send_keys(str(table))
    page.type("#import-source", "a paper")
    page.press("Import")
    page.wait_for_text("3 observations are imported.")
    page.wait_for_text("3 observations: 0 of trials here, 3 imported or reported.")
    page.wait_for_text("a paper", "tbody")
    worst = alone.get(f"/v1/studies/{study}/observations")["items"][0]["id"]
    page.press(f"Retract observation {worst}")
    page.type("dialog input", "wrong labels")
    page.press("Retract it")
    page.wait_for_text("wrong labels", "tbody")
    page.wait_for_text("2, 2 of them imported", "#count-observations")

    page.find(".tabs a[href$='/ask']").click()
    page.press("Ask")
    page.until(lambda: page.find_all(".list tbody tr"), "a suggestion")
    suggestion = alone.post(f"/v1/studies/{study}/ask", {"client": "dashboard"})["items"][0]["id"]
    page.press(f"Tell the accuracy of {suggestion[:8]}")
    page.type("dialog input", "0.7")
    page.press("Tell")
    page.wait_for_text("reported", ".list tbody")
    page.wait_for_text("3, 3 of them imported", "#count-observations")
    assert alone.get(f"/v1/studies/{study}")["best"]["accuracy"] == 0.7


def test_suggestions_of_others_are_seen_and_kept_on_reload(page: Page, alone: Service) -> None:
    body = {"name": "asked", "architecture": "tinynet_e", "dataset": "digits", "sampler": "active", "trials": 1}
    study = alone.post("/v1/studies", body)["id"]
    first, second = alone.post(f"/v1/studies/{study}/ask", {"client": "tuner-7", "n": 2})["items"]
    alone.post(f"/v1/studies/{study}/tell", {"suggestion": first["id"], "accuracy": 0.61})

    page.open(alone, f"#/studies/{study}/ask")

    page.wait_for_text(first["id"][:8], ".list tbody")
    page.wait_for_text("61.0 %", ".list tbody")
    page.wait_for_text("tuner-7", ".list tbody")
    page.choose("#state", "pending")
    page.until(lambda: first["id"][:8] not in page.text(".list tbody"), "only open ones")
    page.press(f"{second['id'][:8]} is infeasible")
    page.type("dialog input", "out of memory")
    page.press("Tell")
    page.wait_for_text("There are no such suggestions.", ".list")
    page.driver.refresh()
    page.wait_for_text("There are no such suggestions.", ".list")
    assert page.find("#state").get_property("value") == "pending"
    page.choose("#state", "infeasible")
    page.wait_for_text(second["id"][:8], ".list tbody")
