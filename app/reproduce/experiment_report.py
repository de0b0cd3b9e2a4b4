"""The report of an experiment, from its records alone: a page of HTML, and its answer as Markdown."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app import report
from app.figures import (
    ContrastMarks,
    Drawing,
    Span,
    accuracy_by_rule,
    differences_by_budget,
    predicted_against_measured,
)
from app.reproduce.design import COMPARED_RULES as RULES
from app.reproduce.experiment import PRIMARY, SECONDARY
from app.reproduce.records import Record, Records
from app.reproduce.statistics import (
    EQUIVALENCE_MARGIN,
    Contrast,
    Noise,
    Verdict,
    calibrate,
    compare_rules,
    estimate_power,
    measure_noise,
)

_NAMES = {"compound": "compound scaling", "tiny_formula": "the tiny formula", "surrogate": "the surrogate",
          "dwr": "dWr scaling", "published": "the published predictor"}  # fmt: skip
_VERDICTS = {  # and the preposition before what a rule is compared with
    Verdict.SUPERIOR: ("better", "than"),
    Verdict.INFERIOR: ("worse", "than"),
    Verdict.EQUIVALENT: ("equivalent", "to"),
    Verdict.UNDECIDED: ("not shown to differ", "from"),
}


@dataclass(frozen=True)
class Experiment:
    """The records of an experiment, and what they show of its contrasts."""

    records: Records
    contrasts: list[Contrast]

    @classmethod
    def of(cls, records: Records) -> Experiment:
        return cls(records, compare_rules(records.scores, PRIMARY, SECONDARY))

    @property
    def name(self) -> str:
        return f"{self.records.header.baseline.get('name')} on {self.records.header.dataset}"

    @property
    def primary(self) -> list[Contrast]:
        return [contrast for contrast in self.contrasts if contrast.is_primary]


def write_report(records: Records, folder: Path, missing: Sequence[str] = ()) -> list[Path]:
    """Write the page and the answer; return their paths."""
    experiment = Experiment.of(records)
    folder.mkdir(parents=True, exist_ok=True)
    page, answer = folder / "experiment.html", folder / "evidence.md"
    page.write_text(render_page(experiment, missing), encoding="utf-8")
    answer.write_text(render_evidence([experiment], [page.name]), encoding="utf-8")
    return [page.resolve(), answer.resolve()]


def render_page(experiment: Experiment, missing: Sequence[str] = ()) -> str:
    """Render the self-contained page."""
    values = {"title": f"Which scaling rule is best? {experiment.name}", **_values(experiment, missing)}
    return report.render_experiment(values, _draw(experiment.records, experiment.contrasts))


def render_evidence(experiments: Sequence[Experiment], pages: Sequence[str]) -> str:
    """Render the answer of one or several experiments in three sentences, and their tables, as Markdown.

    `pages` are the paths of the experiments' pages.
    """
    sections = [
        {"name": experiment.name, "page": page, **_values(experiment)}
        for experiment, page in zip(experiments, pages, strict=True)
    ]
    return report.render_evidence(summarize(experiments), sections)


def _values(experiment: Experiment, missing: Sequence[str] = ()) -> dict[str, Any]:
    records = experiment.records
    return {
        "answer": summarize([experiment]),
        "design": _design(records),
        "missing": [*missing, *_find_missing(records)],
        "contrasts": [_contrast_cells(contrast) for contrast in experiment.contrasts],
        "margin": _points(EQUIVALENCE_MARGIN),
        "power": _power(records),
        "calibration": _calibration(records),
        "provenance": _provenance(records),
        "limits": _limits(records),
    }


def summarize(experiments: Sequence[Experiment]) -> list[str]:
    """Say in three sentences which rule wins, by how much with which interval, and on what."""
    return [
        _sentence(_describe_winners(experiments)),
        _sentence(_describe_differences(experiments)),
        _describe_scope(experiments),
    ]


def _describe_winners(experiments: Sequence[Experiment]) -> str:
    """Say which rules beat compound scaling in every experiment or, if none does, which one does in some of them."""
    count = len(experiments)
    everywhere = {1: "", 2: " in both experiments"}.get(count, f" in all {count} experiments")
    found = _primary_contrasts(experiments)
    winners = [rule for rule, cs in found.items() if all(c.verdict == Verdict.SUPERIOR for c in cs)]
    losers = [rule for rule, cs in found.items() if all(c.verdict == Verdict.INFERIOR for c in cs)]
    if winners:
        names = _join([_NAMES[rule] for rule in winners])
        return f"{names} beat{'s' if len(winners) == 1 else ''} compound scaling{everywhere}"
    if len(losers) == len(PRIMARY):
        return f"compound scaling beats {_join([_NAMES[rule] for rule in losers])}{everywhere}"
    wins = {rule: sum(c.verdict == Verdict.SUPERIOR for c in cs) for rule, cs in found.items()}
    harmless = [rule for rule, cs in found.items() if wins[rule] and all(c.verdict != Verdict.INFERIOR for c in cs)]
    if harmless:
        best = max(harmless, key=wins.__getitem__)
        others = "the other" if count - wins[best] == 1 else "the others"
        return (
            f"{_NAMES[best]} beats compound scaling in {wins[best]} of {count} experiments, and is not shown to be "
            f"worse in {others}"
        )
    return f"no rule has been shown to beat compound scaling{everywhere}"


def _primary_contrasts(experiments: Sequence[Experiment]) -> dict[str, list[Contrast]]:
    """Return the primary contrasts of the rules that have one in every experiment, the largest difference first."""
    found = {}
    for rule, reference in PRIMARY:
        contrasts = [c for e in experiments for c in e.primary if (c.rule, c.reference) == (rule, reference)]
        if len(contrasts) == len(experiments):
            found[rule] = contrasts
    return dict(sorted(found.items(), key=lambda item: -float(np.mean([c.mean for c in item[1]]))))


def _describe_differences(experiments: Sequence[Experiment]) -> str:
    parts, what = [], " of test accuracy, 95 % interval"
    for experiment in experiments:
        clauses, reference = [], ""
        for c in experiment.primary:
            verdict, preposition = _VERDICTS[c.verdict]
            compared = "" if c.reference == reference else f" {preposition} {_NAMES[c.reference]}"
            size = f"{_signed(c.mean)} points{what or ','} {_interval(c.interval)}"
            clauses.append(f"{_NAMES[c.rule]} is {verdict}{compared} ({size})")
            what, reference = "", c.reference  # both are said once
        where = f"with {experiment.name} " if len(experiments) > 1 else ""
        parts.append(where + (", and ".join(clauses) or "there are too few trainings for an interval"))
    return "; ".join(parts)


def _describe_scope(experiments: Sequence[Experiment]) -> str:
    scopes, conditions = [], []
    for experiment in experiments:
        records, header = experiment.records, experiment.records.header
        budgets, seeds = sorted({s.budget for s in records.scores}), len(_family_seeds(records))
        scopes.append(
            f"{experiment.name} ({len(records.items)} trainings, {len(_study_numbers(records))} studies, "
            f"{len(budgets)} budgets)"
        )
        over = f"at {budgets[0]:.2f} to {budgets[-1]:.2f} of the baseline's multiply-adds" if budgets else "so far"
        conditions.append(
            f"trained for {header.recipe.get('epochs')} epochs {over}, {seeds} seed{'' if seeds == 1 else 's'}"
        )
    if len(set(conditions)) == 1:
        return f"This holds for {_join(scopes)}, {conditions[0]}."
    return f"This holds for {_join([f'{s}, {c}' for s, c in zip(scopes, conditions, strict=True)])}."


# Tables


def _contrast_cells(c: Contrast) -> dict[str, Any]:
    return {
        "name": _title(c),
        "is_primary": c.is_primary,
        "verdict": str(c.verdict),
        "difference": _signed(c.mean),
        "interval": _interval(c.interval),
        "equivalence": _interval(c.equivalence_interval),
        "p": _p_value(c.p_value),
        "adjusted_p": _p_value(c.adjusted_p) if c.is_primary else "–",
        "wins": c.wins,
        "grid": f"{len(c.differences.studies)} × {len(c.differences.budgets)}",
        "pairs": c.differences.pairs,
        "thirds": [
            f"{_signed(third.mean)} ± {_points((third.interval[1] - third.interval[0]) / 2)}"
            if third.interval
            else _signed(third.mean)
            for third in c.thirds
        ],
        "study_sd": "–" if c.estimate.study_sd is None else _points(float(c.estimate.study_sd)),
        "budget_sd": _points(float(c.estimate.budget_sd)),
        "interaction_sd": "–" if c.estimate.interaction_sd is None else _points(float(c.estimate.interaction_sd)),
        "degrees_of_freedom": f"{float(c.estimate.degrees_of_freedom):.1f}",
        "bootstrap": _interval(c.bootstrap_interval),
        "these_studies": _interval(c.these_studies_interval),
    }


def _design(records: Records) -> dict[str, str]:
    header, baseline = records.header, records.header.baseline
    budgets = sorted({s.budget for s in records.scores})
    networks: dict[int | None, int] = defaultdict(int)
    for record in records.studies:
        networks[record.study] += 1
    cost = f", {baseline['flops'] / 1e6:.3g}M multiply-adds" if baseline.get("flops") else ""
    return {
        "baseline": f"{baseline.get('name')}{cost}",
        "data set": header.dataset,
        "studies": ", ".join(f"{n}: {count} networks" for n, count in sorted(networks.items(), key=str)),
        "rules": ", ".join(_title_rule(rule) for rule in _rules(records)),
        "budgets": f"{len(budgets)}, from {budgets[0]:.3f} to {budgets[-1]:.3f}" if budgets else "none",
        "seeds": ", ".join(map(str, _family_seeds(records))),
        "trainings": str(len(records.items)),
        "left out": f"{_join(_count_off_curve(records)) or 'no'} trainings, of networks off the curve of their rule",
    }


def _count_off_curve(records: Records) -> list[str]:
    off_curve = Counter(record.rule for record in records.family if record.rule is not None and record.off_curve)
    return [f"{count} {_title_rule(rule)}" for rule, count in sorted(off_curve.items())]


def _find_missing(records: Records) -> list[str]:
    """List the missing trainings of each rule; the rule and study with the most budgets and seeds is complete."""
    cells = {(r.budget, r.seed) for r in records.family}
    trained: dict[tuple[str, int | None], int] = defaultdict(int)
    for record in records.family:
        if record.rule is not None:
            trained[record.rule, record.study] += 1
    return [
        f"{_title_rule(rule)}{f' of study {study}' if study else ''}: {len(cells) - count} of {len(cells)} trainings"
        for (rule, study), count in sorted(trained.items(), key=str)
        if count < len(cells)
    ]


def _power(records: Records) -> list[str]:
    studies = max(1, len(_study_numbers(records)))
    budgets, seeds = len({s.budget for s in records.scores}), len(_family_seeds(records))
    if budgets < 2:
        return []
    measured = measure_noise(records.scores)
    sentences = [_power_sentence("Expected beforehand", Noise(), studies, budgets, seeds)]
    if measured is not None:
        sentences.append(_power_sentence("With the noise measured here", measured, studies, budgets, seeds))
    return sentences


def _power_sentence(when: str, noise: Noise, studies: int, budgets: int, seeds: int) -> str:
    power = estimate_power(studies, budgets, seeds, noise)
    return (
        f"{when} (a network's own scatter {_points(noise.network)}, seeds {_points(noise.seed)}, "
        f"studies {_points(noise.study)} points): a difference of {_points(power.detectable)} points is found in 80 of "
        f"100 such experiments, the interval is about ± {_points(power.half_width)} points, and without any difference "
        f"{power.equivalent:.0%} of them show equivalence."
    )


def _calibration(records: Records) -> list[str]:
    sentences = []
    for rule in _rules(records):
        found = calibrate(_predictions([record for record in records.family if record.rule == rule]))
        if found is not None:
            correlation = "not defined" if found.spearman is None else f"{found.spearman:.2f}"
            sentences.append(
                f"{_title_rule(rule)}: {found.networks} trainings, predicted − measured {_signed(found.bias)} points "
                f"on average, root mean square error {_points(found.rmse)}, predicted deviation "
                f"{_points(found.mean_sd)}; {found.inside_90:.0%} within the 90 % band; rank correlation {correlation}."
            )
    return sentences


def _provenance(records: Records) -> dict[str, str]:
    header = records.header
    seconds = sum({record.trial: record.seconds for record in records.items}.values())
    return {
        "dates": ", ".join(sorted({h.date for h in records.headers if h.date})),
        "device": header.device,
        "processors": _processors(records),
        "threads": ", ".join(sorted({str(h.threads) for h in records.headers if h.threads})),
        "versions": "; ".join(
            sorted({", ".join(f"{name} {version}" for name, version in h.versions.items()) for h in records.headers})
        ),
        "data digest": header.digest,
        "recipe": json.dumps(dict(header.recipe)),
        "training time": f"{seconds / 3600:.1f} hours for {len({r.trial for r in records.items})} different trainings",
        "study seeds": ", ".join(sorted({str(r.seed) for r in records.studies})),
        "family seeds": ", ".join(map(str, _family_seeds(records))),
        "score": "top-1 on the test part; validation selected the networks",
        "FLOPs": "multiply-adds of convolutions and linear layers for one image",
    }


def _processors(records: Records) -> str:
    """Say which processors trained how many of the networks."""
    models = Counter({record.trial: record.processor or "not recorded" for record in records.items}.values())
    return "; ".join(f"{model} ({count} trainings)" for model, count in models.most_common())


def _limits(records: Records) -> list[str]:
    header, studies = records.header, len(_study_numbers(records))
    return [
        f"Other data, baselines or recipes: this is one baseline on {header.dataset} with one recipe.",
        f"Long trainings: {header.recipe.get('epochs')} epochs are few; what is best after them need not stay best.",
        f"Much about other studies: {studies} of them leave the spread between studies uncertain; the interval allows "
        "for that." if studies > 1 else "How much the answer depends on the study: there is only one.",
        "Single budgets: a network deviates by itself from any smooth curve, so one budget proves nothing.",
        "Latency or memory: the budget is multiply-adds.",
        "Other devices: all trainings ran on one kind of device.",
    ]  # fmt: skip


# Figures


def _draw(records: Records, contrasts: Sequence[Contrast]) -> dict[str, Drawing]:
    return {
        "differences": differences_by_budget([_marks(contrast) for contrast in contrasts if contrast.is_primary]),
        "accuracy": accuracy_by_rule(_networks(records)),
        "prediction": predicted_against_measured(_predictions(records.family)),
    }


def _marks(c: Contrast) -> ContrastMarks:
    budgets = c.differences.budgets
    return ContrastMarks(
        _title(c),
        budgets,
        tuple(c.differences.by_budget.tolist()),
        Span(budgets[0], budgets[-1], c.mean, c.interval),
        tuple(Span(third.budgets[0], third.budgets[-1], third.mean, third.interval) for third in c.thirds),
    )


def _networks(records: Records) -> dict[str, list[tuple[int, float]]]:
    """Return the multiply-adds and mean test accuracy of each rule's networks."""
    accuracies: dict[tuple[str, int | None, float, int], list[float]] = defaultdict(list)
    for r in records.family:
        if r.rule is not None and r.budget is not None and not r.off_curve:
            accuracies[r.rule, r.study, r.budget, r.flops].append(r.test_accuracy)
    return {
        rule: [(key[-1], float(np.mean(values))) for key, values in accuracies.items() if key[0] == rule]
        for rule in _rules(records)
    }


def _predictions(family: Sequence[Record]) -> list[tuple[float, float, float]]:
    return [(r.predicted["mean"], r.predicted["sd"], r.accuracy) for r in family if r.predicted]


# Words and numbers


def _rules(records: Records) -> list[str]:
    present = {score.rule for score in records.scores}
    return [*(rule for rule in RULES if rule in present), *sorted(present - set(RULES))]


def _study_numbers(records: Records) -> set[int]:
    return {record.study for record in records.items if record.study is not None}


def _family_seeds(records: Records) -> list[int]:
    return sorted({record.seed for record in records.family})


def _title_rule(rule: str) -> str:
    return rule.replace("_", " ")


def _title(c: Contrast) -> str:
    return f"{_title_rule(c.rule)} − {_title_rule(c.reference)}"


def _points(value: float) -> str:
    return f"{100 * value:.2f}"


def _signed(value: float) -> str:
    return f"{100 * value:+.2f}"


def _interval(bounds: tuple[float, float]) -> str:
    return f"{_signed(bounds[0])} to {_signed(bounds[1])}"


def _p_value(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else "< .001"


def _join(names: Sequence[str]) -> str:
    return " and ".join(names)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
