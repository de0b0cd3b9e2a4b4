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
from app.report.findings import describe_comparisons
from app.report.results import Results
from app.report.significance import compare_rules
from tests.reproduce.fake_service import RECORDED, family_item, front, front_correlations, predictor

_VOID = {"meta", "img", "br", "link", "input", "hr"}

FAMILY = (
    family_item(780_000, "tiny_formula", "same", [0.741, 0.744, 0.739]),
    family_item(780_000, "compound", "same", [0.701, 0.704, 0.706]),
    family_item(780_000, "surrogate", "same", [0.742, 0.740, 0.743]),
    family_item(780_000, "surrogate", "randaugment", [0.752]),
    {"target_flops": 200_000, "rule": "tiny_formula", "recipe": "same", "problem": "Not <reachable>."},
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
COMPLETE = Results(
    settings=SETTINGS,
    dataset=RECORDED["dataset"],
    baseline=BASELINE,
    provenance=PROVENANCE,
    one_budget=STUDY,
    over_range={
        **STUDY,
        "front": front(),
        "correlations": front_correlations(),
        "calibration": {
            "trials": 1,
            "coverage_50": 0.0,
            "coverage_90": 1.0,
            "items": [{"trial": "a", "mean": 0.70, "sd": 0.01, "measured": 0.71}],
        },
    },
    predictor=predictor(),
    family=FAMILY,
    missing=("The family: 3 of 4 trainings had finished.",),
)
EMPTY = Results(
    settings=SETTINGS,
    dataset=RECORDED["dataset"],
    baseline={"name": "small"},
    provenance={"trainings": 0, "training_seconds": 0.0},
    missing=("Everything.",),
)
CASES = pytest.mark.parametrize("results", [COMPLETE, EMPTY], ids=["complete", "empty"])


class Page(HTMLParser):
    """A parsed page in which every tag is closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
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
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page() -> Page:
    """The report of the complete results."""
    return Page(report.render_html(COMPLETE))


@CASES
def test_page_is_balanced_and_loads_nothing(results: Results) -> None:
    html = report.render_html(results)
    page = Page(html)

    assert not re.search(r"https?:|url\(|@import|<script|<link|<iframe", html)
    for _, attributes in page.tags:
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:").startswith("data:")
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


@CASES
def test_all_sections_are_present(results: Results) -> None:
    page = Page(report.render_html(results))
    sections = ["summary", "one", "two", "three", "four", "five", "six", "provenance", "limits"]

    assert [attributes["id"] for attributes in page.all("h2")] == sections
    assert [attributes["aria-labelledby"] for attributes in page.all("section")] == sections
    for sentence in results.missing:
        assert sentence in page.text


def test_every_figure_has_alternative_text_and_data(page: Page) -> None:
    drawings = report.draw_figures(COMPLETE)
    links = {str(a["download"]): str(a["href"]) for a in page.all("a")}

    assert links.keys() == {f"{name}.csv" for name in drawings}
    for name, drawing in drawings.items():
        assert base64.b64decode(links[f"{name}.csv"].partition(",")[2]) == drawing.csv()
    assert sorted(str(i["alt"]) for i in page.all("img")) == sorted(d.caption for d in drawings.values())


def read_rows(results: Results) -> list[dict[str, str]]:
    """Return the data of the figure of the networks over the range."""
    drawing = report.draw_figures(results)["accuracy-against-multipliers"]
    return list(csv.DictReader(io.StringIO(drawing.csv().decode())))


def test_data_of_a_figure_are_those_recorded() -> None:
    rows = list(
        csv.DictReader(io.StringIO(report.draw_figures(COMPLETE)["accuracy-against-multipliers"].csv().decode()))
    )

    assert [float(row["accuracy"]) for row in rows] == [o["accuracy"] for o in RECORDED["observations"]]
    assert [row["trial"] for row in rows] == [o["trial_id"] for o in RECORDED["observations"]]


def test_family_is_not_among_networks_over_the_range() -> None:
    family_member = {**RECORDED["observations"][0], "trial_id": FAMILY[1]["trials"][0]["id"], "role": "compound"}
    compound = {**RECORDED["observations"][0], "trial_id": "another", "role": "compound"}
    assert COMPLETE.over_range is not None
    over_range = {**COMPLETE.over_range, "observations": [*RECORDED["observations"], family_member, compound]}
    rows = read_rows(replace(COMPLETE, over_range=over_range))

    assert [row["trial"] for row in rows if row["role"] == "compound"] == ["another"]


def test_tables_have_captions_and_scoped_headers(page: Page) -> None:
    assert len(page.all("caption")) == len(page.all("table")) >= 6
    assert all(cell["scope"] in ("col", "row") for cell in page.all("th"))


def test_family_table_has_mean_and_deviation_over_seeds(page: Page) -> None:
    assert "74.1 ± 0.3" in page.text
    assert "with RandAugment 75.2 1" in page.text  # one seed has no deviation
    assert "At 0.2M, tiny formula has no network: Not <reachable>." in page.text


def test_failed_gate_is_shown_with_its_checks(page: Page) -> None:
    assert "The fitted predictor does not pass the promotion gate. One check failed." in page.text
    assert "enough networks failed too few of them <&>" in page.text


def test_provenance_is_shown(page: Page) -> None:
    for text in ("rdw 0.1.0", RECORDED["dataset"]["digest"], "2 × 1", "rendered, not photographed", "20 min"):
        assert text in page.text


def test_same_results_give_the_same_page() -> None:
    assert report.render_html(COMPLETE) == report.render_html(COMPLETE)


def member(rule: str, *accuracies: float) -> Member:
    return Member(780_000, rule, "same", 780_000, accuracies)


def test_rules_that_differ_by_more_than_their_seeds_are_significant() -> None:
    (comparison,) = compare_rules([member("surrogate", 0.742, 0.744, 0.740), member("compound", 0.702, 0.704, 0.700)])

    assert (comparison.better, comparison.worse, comparison.is_significant) == ("surrogate", "compound", True)
    assert comparison.difference == pytest.approx(0.04)
    # Student's t at 95 % with 4 degrees of freedom, standard deviation .002, three seeds each.
    assert comparison.margin == pytest.approx(2.776 * 0.002 * (2 / 3) ** 0.5, rel=1e-3)
    assert "surrogate beats compound by 4.0 points" in describe_comparisons([comparison])[0]


def test_rules_within_their_seeds_are_not_significant() -> None:
    comparisons = compare_rules([member("surrogate", 0.73, 0.75), member("compound", 0.72, 0.74)])

    assert not comparisons[0].is_significant
    assert describe_comparisons(comparisons) == [
        "At 0.78M, as studied: no two rules differ by more than the seeds explain."
    ]


def test_one_seed_each_is_never_significant() -> None:
    comparisons = compare_rules([member("surrogate", 0.8), member("compound", 0.5)])

    assert comparisons[0].margin is None and not comparisons[0].is_significant
    assert describe_comparisons(comparisons) == [
        "At 0.78M, as studied: with one seed each, no difference can be established."
    ]
