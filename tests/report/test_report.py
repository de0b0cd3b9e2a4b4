from __future__ import annotations

import base64
import csv
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from app import report
from app.figures import Member
from app.report.differences import differences
from app.report.results import Results
from app.report.words import of_differences
from tests.reproduce.fake_service import RECORDED, family_item, found_correlations, front, predictor

_VOID = {"meta", "img", "br", "link", "input", "hr"}

FAMILY = (
    family_item(780_000, "tiny_formula", "same", [0.741, 0.744, 0.739]),
    family_item(780_000, "compound", "same", [0.701, 0.704, 0.706]),
    family_item(780_000, "surrogate", "same", [0.742, 0.740, 0.743]),
    family_item(780_000, "surrogate", "randaugment", [0.752]),
    {"target_flops": 200_000, "rule": "tiny_formula", "recipe": "same", "problem": {"detail": "Not <reachable>."}},
)
STUDY = {"study": RECORDED["study"], "observations": RECORDED["observations"]}
SETTINGS: dict[str, Any] = {
    "dataset": "typefaces",
    "architecture": "small <mbconv>",
    "recipe": RECORDED["study"]["recipe"],
    "budgets": [0.52, 0.258],
    "minutes": 20,
    "at_one_budget": 10,
    "networks": 120,
    "compound": 8,
    "seeds": 3,
}
PROVENANCE = {
    "environment": RECORDED["environment"],
    "cpus": 2,
    "workers": 2,
    "seconds": 1200.0,
    "trainings": 58,
    "training_seconds": 2400.0,
    "date": "2026-11-24 21:40 UTC",
    "seeds": "0, 1, 2",
}
BASELINE = {"name": "small <mbconv>", "resolution": 32, "flops": 3_011_776, "params": 1, "accuracies": [0.75, 0.76]}
WHOLE = Results(
    settings=SETTINGS,
    dataset=RECORDED["dataset"],
    baseline=BASELINE,
    provenance=PROVENANCE,
    one_budget=STUDY,
    over_range={
        **STUDY,
        "front": front(),
        "correlations": found_correlations(),
        "calibration": {
            "trials": 1,
            "inside_50": 0.0,
            "inside_90": 1.0,
            "items": [{"trial": "a", "mean": 0.70, "sd": 0.01, "measured": 0.71}],
        },
    },
    predictor=predictor(),
    family=FAMILY,
    missing=("The family: 3 of 4 trainings had finished.",),
)
NOTHING = Results(
    settings=SETTINGS,
    dataset=RECORDED["dataset"],
    baseline={"name": "small"},
    provenance={"trainings": 0, "training_seconds": 0.0},
    missing=("Everything.",),
)
CASES = pytest.mark.parametrize("results", [WHOLE, NOTHING], ids=["whole", "nothing"])


class Page(HTMLParser):
    """Reads a page, sure that every tag is closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.said: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.said.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.said)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page() -> Page:
    """Of all the results."""
    return Page(report.write(WHOLE))


@CASES
def test_the_page_is_balanced_and_asks_for_nothing(results: Results) -> None:
    written = report.write(results)
    page = Page(written)

    assert not re.search(r"https?:|url\(|@import|<script|<link|<iframe", written)
    for _, attributes in page.tags:
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:").startswith("data:")
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


@CASES
def test_all_sections_are_there(results: Results) -> None:
    page = Page(report.write(results))
    wanted = ["done", "one", "two", "three", "four", "five", "six", "provenance", "limits"]

    assert [attributes["id"] for attributes in page.all("h2")] == wanted
    assert [attributes["aria-labelledby"] for attributes in page.all("section")] == wanted
    for sentence in results.missing:
        assert sentence in page.text


def test_every_figure_has_a_text_and_its_own_data(page: Page) -> None:
    drawn = report.drawings(WHOLE)
    links = {str(a["download"]): str(a["href"]) for a in page.all("a")}

    assert links.keys() == {f"{name}.csv" for name in drawn}
    for name, drawing in drawn.items():
        assert base64.b64decode(links[f"{name}.csv"].partition(",")[2]) == drawing.csv()
    assert sorted(str(i["alt"]) for i in page.all("img")) == sorted(d.says for d in drawn.values())


def test_the_data_are_what_was_recorded() -> None:
    rows = list(csv.DictReader(io.StringIO(report.drawings(WHOLE)["accuracy-against-multipliers"].csv().decode())))

    assert [float(row["accuracy"]) for row in rows] == [o["accuracy"] for o in RECORDED["observations"]]
    assert [row["trial"] for row in rows] == [o["trial_id"] for o in RECORDED["observations"]]


def test_the_family_is_not_among_the_networks_over_the_range() -> None:
    member = {**RECORDED["observations"][0], "trial_id": FAMILY[1]["trials"][0]["id"], "role": "compound"}
    beside = {**RECORDED["observations"][0], "trial_id": "another", "role": "compound"}
    assert WHOLE.over_range is not None
    over_range = {**WHOLE.over_range, "observations": [*RECORDED["observations"], member, beside]}
    rows = csv.DictReader(
        io.StringIO(
            report.drawings(replace(WHOLE, over_range=over_range))["accuracy-against-multipliers"].csv().decode()
        )
    )

    assert [row["trial"] for row in rows if row["role"] == "compound"] == ["another"]


def test_tables_name_their_columns_and_rows(page: Page) -> None:
    assert len(page.all("caption")) == len(page.all("table")) >= 6
    assert all(cell["scope"] in ("col", "row") for cell in page.all("th"))


def test_the_table_of_the_family_has_mean_and_spread_of_the_seeds(page: Page) -> None:
    assert "74.1 ± 0.3" in page.text
    assert "with RandAugment 75.2 1" in page.text  # one seed has no spread
    assert "At 0.2M tiny formula has no answer: Not <reachable>." in page.text


def test_a_gate_that_said_no_is_told_with_its_checks(page: Page) -> None:
    assert "The gate kept the predictor that was in use. One check failed." in page.text
    assert "enough networks failed too few of them <&>" in page.text


def test_where_it_comes_from_is_said(page: Page) -> None:
    for said in ("rdw 0.1.0", RECORDED["dataset"]["digest"], "2 × 1", "rendered, not photographed", "20 min"):
        assert said in page.text


def test_the_same_results_give_the_same_page() -> None:
    assert report.write(WHOLE) == report.write(WHOLE)


def member(rule: str, *accuracies: float) -> Member:
    return Member(780_000, rule, "same", 780_000, accuracies)


def test_rules_that_differ_by_more_than_their_seeds_are_told() -> None:
    found = differences([member("surrogate", 0.742, 0.744, 0.740), member("compound", 0.702, 0.704, 0.700)])

    assert [(d.better, d.worse, d.told) for d in found] == [("surrogate", "compound", True)]
    assert found[0].ahead == pytest.approx(0.04)
    # Student's t at 95 % with 4 degrees of freedom, spread .002, three seeds each.
    assert found[0].by_seeds == pytest.approx(2.776 * 0.002 * (2 / 3) ** 0.5, rel=1e-3)
    assert "surrogate is ahead of compound by 4.0 points" in of_differences(found)[0]


def test_rules_within_their_seeds_are_said_to_be_alike() -> None:
    found = differences([member("surrogate", 0.73, 0.75), member("compound", 0.72, 0.74)])

    assert not found[0].told
    assert of_differences(found) == ["At 0.78M, as studied: no two rules differ by more than their seeds do."]


def test_of_one_seed_each_nothing_can_be_told() -> None:
    found = differences([member("surrogate", 0.8), member("compound", 0.5)])

    assert found[0].by_seeds is None and not found[0].told
    assert of_differences(found) == ["At 0.78M, as studied: one seed each: no difference can be told."]
