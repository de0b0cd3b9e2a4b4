"""The report's sections, in the order of the paper's steps."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from app import figures
from app.figures import Drawing, Member
from app.report import words
from app.report.differences import differences
from app.report.html import facts, figure, heading, items, page, paragraph, section, table
from app.report.results import Results
from app.scaling.published import published_predictor

_PAPER = "Model Rubik's Cube: Twisting Resolution, Depth and Width for TinyNets (NeurIPS 2020, arXiv 2010.14819)"
_MULTIPLY_ADDS = (
    "FLOPs are multiply-adds of convolutions and linear layers for one image, as the paper counts them; twice that is "
    "another convention."
)
_CORRELATION_COLUMNS = ("multiplier", "Pearson", "90 % interval", "Spearman", "90 % interval")
_FAMILY_COLUMNS = (
    "budget", "rule", "recipe", "accuracy %", "seeds", "multiply-adds", "r", "d", "w", "px", "parameters",
    "latency ms", "predicted",
)  # fmt: skip


def drawings(results: Results) -> dict[str, Drawing]:
    """The report's figures by name; one for which nothing was measured says so."""
    observations, front = results.at_all_costs, results.front
    found = {
        "one-budget": figures.accuracy_against_multipliers(results.at_one_budget),
        "accuracy-against-multipliers": figures.accuracy_against_multipliers(observations),
        "accuracy-against-flops": figures.accuracy_against_flops(observations, front),
        "accuracy-against-latency": figures.accuracy_against_latency(observations, front),
        "hypervolume": figures.hypervolume({"random": results.finished}),
        "multipliers-against-flops": figures.multipliers_against_flops(front, _correlations(results) or None),
    }
    if results.curve is not None:
        found["predictor-curve"] = figures.predictor_curve(results.curve, published_predictor().points)
    found["family"] = figures.family(results.members)
    found["predicted-against-measured"] = figures.predicted_against_measured(results.pairs)
    return found


def write(results: Results) -> str:
    """The HTML file: styles, pictures and data are in it, nothing is asked of a network and no script runs."""
    drawn = drawings(results)
    title = f"{results.settings['architecture']} on {results.settings['dataset']}: the paper's method, step by step"
    return page(
        title,
        heading(title),
        paragraph(f"After {_PAPER}.", kind="lead"),
        _summary(results),
        _one_budget(results, drawn),
        _over_range(results, drawn),
        _front(results, drawn),
        _formula(results, drawn),
        _family(results, drawn),
        _predictions(results, drawn),
        _provenance(results),
        _limits(results),
    )


def _summary(results: Results) -> str:
    s, b = results.settings, results.baseline
    whole = f" ({words.millions(b['flops'])} multiply-adds, {b['resolution']} px)" if "flops" in b else ""
    missing = items(results.missing) if results.missing else ""
    budgets = ", ".join(f"{c:g}" for c in s["budgets"])
    return section(
        "done",
        "What was done",
        paragraph(
            f"Networks were drawn at random around the baseline {b['name']}{whole}, trained on {s['dataset']}, and "
            "the best of them selected; r and d were fitted over their cost; the networks that this and other rules "
            "give at a few budgets were trained with several seeds. All of it went through the HTTP API.",
            _MULTIPLY_ADDS,
        ),
        f'<div class="note">{paragraph("Not finished when this was written:")}{missing}</div>' if missing else "",
        facts(
            {
                "at one budget": f"{s['at_one_budget']} random networks, and compound shrinking",
                "over a range": f"{s['networks']} random networks, {s['compound']} compound-shrunk ones",
                "the baseline itself": ", ".join(map(words.percent, b.get("accuracies") or ())),
                "family": f"{s['seeds']} seeds a network, at {budgets} of the baseline's multiply-adds",
                "recipe": _recipe(s["recipe"]),
                "wall time allowed": words.duration(60 * s["minutes"]) if s.get("minutes") else "unbounded",
            }
        ),
    )


def _one_budget(results: Results, drawn: dict[str, Drawing]) -> str:
    observations = results.at_one_budget
    return section(
        "one",
        "1. Random networks at one budget",
        paragraph("Networks of about half the baseline's multiply-adds; r, d and w at random."),
        figure("one-budget", drawn["one-budget"], "Accuracy against r, d and w; compound shrinking is marked."),
        paragraph(*words.of_one_budget(observations)) if observations else "",
    )


def _over_range(results: Results, drawn: dict[str, Drawing]) -> str:
    return section(
        "two",
        "2. Random networks over a range of FLOPs",
        figure(
            "accuracy-against-flops",
            drawn["accuracy-against-flops"],
            "Accuracy against multiply-adds, with the front and the compound-shrunk networks.",
        ),
        paragraph(words.of_compound(results.at_all_costs)),
        figure("accuracy-against-multipliers", drawn["accuracy-against-multipliers"], "The same, by multiplier."),
        figure(
            "accuracy-against-latency",
            drawn["accuracy-against-latency"],
            "Against latency, measured while other trainings ran on the machine: low FLOPs are not low latency.",
        ),
        figure("hypervolume", drawn["hypervolume"], "How the front grew while networks were trained."),
    )


def _front(results: Results, drawn: dict[str, Drawing]) -> str:
    found = _correlations(results)
    return section(
        "three",
        "3. The networks that NSGA-III selects, and what r, d and w do along them",
        table(
            "Selected networks, by rising multiply-adds",
            ("multiply-adds", "c", "r", "d", "w", "parameters", "accuracy"),
            [
                (
                    words.millions(o.flops),
                    f"{o.c:.3f}",
                    f"{o.r:.3f}",
                    f"{o.d:.3f}",
                    f"{o.w:.3f}",
                    f"{o.params:,}",
                    words.percent(o.accuracy),
                )
                for o in results.front
            ],
        ),
        figure("multipliers-against-flops", drawn["multipliers-against-flops"], "r, d and w of the selected networks."),
        table(
            "Correlation with FLOPs, with bootstrap intervals",
            _CORRELATION_COLUMNS,
            [
                (
                    name,
                    _signed(c.get("pearson")),
                    words.interval(c.get("pearson_interval")),
                    _signed(c.get("spearman")),
                    words.interval(c.get("spearman_interval")),
                )
                for name, c in found.items()
            ],
        ),
        paragraph(*words.of_correlations(found)),
        paragraph("The paper finds r to rise strongly with FLOPs on its front, d fairly, w weakly.") if found else "",
    )


def _formula(results: Results, drawn: dict[str, Drawing]) -> str:
    p = results.predictor
    if p is None:
        return section("four", "4. The tiny formula: r(c) and d(c)", paragraph("Nothing was fitted yet."))
    gate = p.get("gate")
    checks = [
        (c["name"], "passed" if c["passed"] else "failed", c.get("detail") or "")
        for c in (gate or {}).get("checks", [])
    ]
    return section(
        "four",
        "4. The tiny formula: r(c) and d(c)",
        paragraph(
            f"Gaussian processes over log c on {len(p['points'])} networks. The published TinyNets stand beside: they "
            "are EfficientNet-B0's on ImageNet, another baseline and other images."
        ),
        figure("predictor-curve", drawn["predictor-curve"], "Fitted curves with 90 % bands; squares are published."),
        table(
            "Leave-one-out over the selected networks",
            ("of", "root mean square error", "within the 90 % band"),
            [(name, f"{q['rmse']:.3f}", f"{q['coverage_90']:.0%}") for name, q in _qualities(p)],
        ),
        paragraph(words.of_gate(gate)),
        table("The gate's checks", ("check", "outcome", "detail"), checks, words=3),
    )


def _family(results: Results, drawn: dict[str, Drawing]) -> str:
    trained = [(i, m) for i in results.family for m in [_member(i)] if m is not None]
    unanswered = [
        f"At {words.millions(i['target_flops'])} {words.rule(i['rule'])} has no answer: {_problem(i['problem'])}"
        for i in results.family
        if i.get("problem")
    ]
    rows = sorted(trained, key=lambda pair: (pair[1].target_flops, pair[1].recipe != "same", pair[1].rule))
    return section(
        "five",
        "5. The family",
        table("Accuracy (mean ± standard deviation over seeds) by budget, rule and recipe", _FAMILY_COLUMNS,
              [_family_row(i, m) for i, m in rows], words=3),
        items(list(dict.fromkeys(unanswered))) if unanswered else "",
        figure("family", drawn["family"], "Filled marks: the study's recipe. Hollow ones: RandAugment added."),
        items(words.of_differences(differences(results.members))),
    )  # fmt: skip


def _predictions(results: Results, drawn: dict[str, Drawing]) -> str:
    c = (results.over_range or {}).get("calibration") or {}
    share = [
        (f"{level} %", f"{c[f'inside_{level}']:.0%}")
        for level in (50, 90)
        if c.get(f"inside_{level}") is not None
    ]  # fmt: skip
    return section(
        "six",
        "6. Predicted against measured",
        figure(
            "predicted-against-measured",
            drawn["predicted-against-measured"],
            "What was predicted before a training, with its 90 % band, against what came out.",
        ),
        table(f"Share of {c.get('trials', 0)} trainings within the predicted interval", ("interval", "inside"), share),
    )


def _provenance(results: Results) -> str:
    p, d = results.provenance, results.dataset
    versions = p.get("environment", {})
    known = {name: versions[name] for name in ("rdw", "torch", "timm", "numpy", "python") if versions.get(name)}
    return section(
        "provenance",
        "Provenance",
        facts(
            {
                "date": p.get("date"),
                "versions": ", ".join(f"{name} {version}" for name, version in known.items()),
                "trained on": f"{versions.get('device', 'unknown')} ({versions.get('processor', 'unknown')}), "
                f"{versions.get('precision', 'unknown')}",
                "processors of the machine": p.get("cpus"),
                "workers × threads": f"{p.get('workers')} × {versions.get('threads', 'unknown')}",
                "wall time": words.duration(p["seconds"]) if p.get("seconds") is not None else None,
                "trainings": f"{p['trainings']}, {words.duration(p['training_seconds'])} of training in all",
                "data": d.get("description"),
                "data digest": f"SHA-256 {d.get('digest')}",
                "images": ", ".join(f"{n} {part}" for part, n in (versions.get("images") or {}).items()),
                "split digest": versions.get("split_digest"),
                "recipe": json.dumps(results.settings["recipe"], sort_keys=True),
                "seeds": p.get("seeds"),
                "accuracy": "top-1 on the validation part, which no network is trained on; selection looks at it alone",
                "FLOPs": _MULTIPLY_ADDS,
            }
        ),
    )


def _limits(results: Results) -> str:
    s, recipe = results.settings, results.settings["recipe"]
    images = f"{recipe['train_images']:,} training images" if recipe.get("train_images") else "all training images"
    told = differences(results.members)
    chance = (
        f"Of {len(told)} comparisons of two rules {sum(d.told for d in told)} are more than the seeds account for "
        f"(Student's t at 95 %, spread pooled at each budget); about {0.05 * len(told):.1f} would be by chance."
    )
    said = [
        "It says nothing of ImageNet: these are other images, another baseline and other recipes.",
        f"{results.dataset['name']}: {results.dataset.get('description') or 'no description'}",
        f"The recipe is short: {recipe['epochs']} epochs of {images} against the paper's 450 epochs of ImageNet. "
        "What is best after a short training need not be best after a long one.",
        f"{_random(results.at_all_costs)} random networks over the range and {_random(results.at_one_budget)} at one "
        f"budget; {len(results.front)} were selected, where the paper selects 20. r and d along a front of "
        "few networks are noisy.",
        f"Random networks were trained with one seed, the family with {s['seeds']}: a difference within the seeds' "
        f"spread is no difference. {chance if told else ''}".strip(),
        "Latencies were measured beside other trainings on the same processors: compare them with each other only.",
        "The paper's last step, its networks as backbones of a detector, is not part of this.",
    ]
    return section("limits", "What this does not show", items(said))


def _family_row(item: dict[str, Any], member: Member) -> tuple[str, ...]:
    m = item.get("multipliers") or {}
    latency, predicted = item.get("latency_ms"), item.get("predicted_accuracy")
    mean = predicted.get("mean") if isinstance(predicted, dict) else predicted
    return (
        words.millions(member.target_flops),
        words.rule(member.rule),
        words.recipe(member.recipe),
        words.mean_and_sd(member),
        str(len(member.accuracies)),
        words.millions(member.flops),
        *(_multiplier(m.get(name)) for name in "rdw"),
        str((item.get("config") or {}).get("resolution", "–")),
        f"{item['params']:,}" if item.get("params") is not None else "–",
        f"{latency:.3g}" if latency is not None else "–",
        words.percent(mean),
    )


def _member(item: dict[str, Any]) -> Member | None:
    accuracies = tuple(item.get("accuracies") or ())
    if not accuracies:
        return None
    return Member(item["target_flops"], item["rule"], item["recipe"], item["flops"], accuracies)


def _multiplier(value: float | list[float] | None) -> str:
    """A width a stage, where they differ, is told by its range."""
    if isinstance(value, list):
        return f"{min(value):.3f}–{max(value):.3f}" if value else "–"
    return "–" if value is None else f"{value:.3f}"


def _problem(problem: Any) -> str:
    return str(problem.get("detail") or problem.get("title")) if isinstance(problem, dict) else str(problem)


def _qualities(predictor: dict[str, Any]) -> list[tuple[str, dict[str, float]]]:
    names = {"r": "r(c)", "d": "d(c)", "accuracy": "accuracy(c), from 0 to 1"}
    return [(names[n], q) for n, q in (predictor.get("quality") or {}).items() if n in names]


def _correlations(results: Results) -> dict[str, dict[str, Any]]:
    found = (results.over_range or {}).get("correlations") or {}
    return {name: found[name] for name in "rdw" if name in found}


def _signed(value: float | None) -> str:
    return "not defined" if value is None else f"{value:+.2f}"


def _recipe(recipe: dict[str, Any]) -> str:
    images = f"{recipe['train_images']:,} images" if recipe.get("train_images") else "all images"
    return f"{recipe['epochs']} epochs of {images}, batches of {recipe['batch_size']}, {recipe['optimizer']}"


def _random(observations: list[Any]) -> int:
    return Counter(o.role for o in observations)["random"]
