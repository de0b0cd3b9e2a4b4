from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from app.reproduce.experiment import PRIMARY, SECONDARY
from app.reproduce.experiment_report import Experiment, render_evidence, render_page, summarize, write_report
from app.reproduce.records import Records
from app.reproduce.statistics import compare_rules
from tests.reproduce.simulated_records import simulate_records


def answer(records: Records) -> list[str]:
    return summarize([Experiment.of(records)])


def test_report_has_every_part_and_loads_nothing(tmp_path: Path) -> None:
    page, evidence = write_report(simulate_records(), tmp_path, ["dwr has no network at 0.100."])
    text = page.read_text()

    headings = re.findall(r"<h2[^>]*>([^<]+)", text)
    assert headings[0] == "What was compared" and headings[-1] == "What this does not show"
    assert text.count("<figure") == 3 and text.count("data:text/csv") == 3
    assert "dwr has no network at 0.100." in text
    assert not re.search(r'(src|href)="(?!data:|#)', text) and "<script" not in text
    lines = evidence.read_text().splitlines()
    assert sum(line.startswith("|") for line in lines) == 2 * (2 + len(PRIMARY) + len(SECONDARY))
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize(
    ("effect", "first"),
    [
        (0.04, "The surrogate beats compound scaling."),
        (0.0, "No rule has been shown to beat compound scaling."),
    ],
)
def test_answer_states_wins_and_undecided_results(effect: float, first: str) -> None:
    sentences = answer(simulate_records(effect))

    assert sentences[0] == first
    assert "points of test accuracy, 95 % interval" in sentences[1]
    assert "small-mbconv on typefaces (" in sentences[2]
    assert "3 studies, 24 budgets), trained for 9 epochs at 0.10 to 0.85" in sentences[2]


@pytest.mark.parametrize(
    ("effects", "first"),
    [
        ((0.04, 0.05), "The surrogate beats compound scaling in both experiments."),
        (
            (0.04, 0.0),
            "The surrogate beats compound scaling in 1 of 2 experiments, and is not shown to be worse in the other.",
        ),
        (
            (0.0, 0.04, 0.0),
            "The surrogate beats compound scaling in 1 of 3 experiments, and is not shown to be worse in the others.",
        ),
        ((0.04, -0.04), "No rule has been shown to beat compound scaling in both experiments."),
        ((0.0, 0.0), "No rule has been shown to beat compound scaling in both experiments."),
    ],
)
def test_answer_of_several_experiments_says_in_how_many_a_rule_wins(effects: tuple[float, ...], first: str) -> None:
    experiments = [Experiment.of(simulate_records(effect)) for effect in effects]

    pages = [f"{number}.html" for number, _ in enumerate(effects)]

    assert summarize(experiments)[0] == first
    assert render_evidence(experiments, pages).count("\n## small-mbconv on typefaces") == len(effects)


def test_report_says_which_processors_trained_how_many_networks() -> None:
    items = simulate_records().items
    models = ["New, AVX512"] * 30 + ["Old, AVX2"] * 20 + [""] * (len(items) - 50)
    mixed = tuple(replace(item, processor=model) for item, model in zip(items, models, strict=True))

    evidence = render_evidence([Experiment.of(Records(simulate_records().headers, mixed))], ["page.html"])

    text = f"not recorded ({len(items) - 50} trainings); New, AVX512 (30 trainings); Old, AVX2 (20 trainings)"
    assert text in " ".join(evidence.split())


def test_inferior_rule_is_named_as_plainly() -> None:
    assert "the surrogate is worse than compound scaling" in answer(simulate_records(-0.05))[1].lower()


def test_networks_off_the_curve_do_not_count(tmp_path: Path) -> None:
    records = simulate_records()
    marked = [replace(r, off_curve=r.rule == "compound" and r.budget == 0.1) for r in records.items]
    (contrast, *_) = compare_rules(Records(records.headers, tuple(marked)).scores, PRIMARY)

    assert len(contrast.differences.budgets) == 23


def test_hardly_begun_experiment_is_reported(tmp_path: Path) -> None:
    records = Records(simulate_records().headers, simulate_records().items[:1])

    assert "too few trainings" in answer(records)[1]
    assert "no two rules have been trained" in render_page(Experiment.of(records), [])
