"""The report's figures and its page, rendered from `templates/`."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from app import figures
from app.figures import Drawing, Member
from app.report import findings, formats
from app.report.results import Results, to_member
from app.report.significance import CONFIDENCE, compare_rules
from app.scaling.predictors.published_tinynets import published_predictor
from app.scaling.search.observations import Observation, Role

_LIBRARIES = ("rdw", "torch", "timm", "numpy", "python")
_FILTERS = (
    formats.percent, formats.share, formats.points, formats.millions, formats.count, formats.px, formats.milliseconds,
    formats.multiplier, formats.mean_and_sd, formats.mean, formats.signed, formats.interval, formats.duration,
    formats.rule, formats.recipe, formats.training_images,
)  # fmt: skip


def draw_figures(results: Results) -> dict[str, Drawing]:
    """Draw the report's figures by name; a figure without data says so."""
    observations, front = results.observations_over_range, results.front
    drawings = {
        "one-budget": figures.accuracy_against_multipliers(results.observations_at_one_budget),
        "accuracy-against-multipliers": figures.accuracy_against_multipliers(observations),
        "accuracy-against-flops": figures.accuracy_against_flops(observations, front),
        "accuracy-against-latency": figures.accuracy_against_latency(observations, front),
        "hypervolume": figures.hypervolume({"random": results.finished_random}),
        "multipliers-against-flops": figures.multipliers_against_flops(front, results.correlations or None),
        "family": figures.family(results.members),
        "predicted-against-measured": figures.predicted_against_measured(results.predictions),
    }
    predictor = results.fitted_predictor
    if predictor is not None:
        drawings["predictor-curve"] = figures.predictor_curve(predictor, published_predictor().points)
    return drawings


def render_html(results: Results, drawings: dict[str, Drawing] | None = None) -> str:
    """Render the HTML file; styles, pictures and data are in it, it loads nothing and runs no script."""
    one_budget, over_range = results.observations_at_one_budget, results.observations_over_range
    comparisons = compare_rules(results.members)
    return _environment().get_template("report.html.jinja").render(
        results=results,
        drawings=draw_figures(results) if drawings is None else drawings,
        libraries=_LIBRARIES,
        one_budget_findings=findings.describe_one_budget(one_budget) if one_budget else [],
        compound_finding=findings.describe_compound(over_range),
        correlation_findings=findings.describe_correlations(results.correlations),
        comparison_findings=findings.describe_comparisons(comparisons),
        comparisons=comparisons,
        chance_level=1 - CONFIDENCE,
        family=_sort_family(results),
        unanswered=findings.describe_unanswered(results.family),
        random_at_one_budget=_count_random(one_budget),
        random_over_range=_count_random(over_range),
    )  # fmt: skip


def render_experiment(values: Mapping[str, Any], drawings: Mapping[str, Drawing]) -> str:
    """Render the report of an experiment; `values` are the text and tables that its template names."""
    return _environment().get_template("experiment.html.jinja").render(**values, drawings=drawings)


def render_evidence(answer: Sequence[str], experiments: Sequence[Mapping[str, Any]]) -> str:
    """Render the answer of experiments and a section for each as Markdown, in lines of at most 100 characters."""
    template = _environment().get_template("evidence.md.jinja")
    return template.render(answer=answer, experiments=experiments)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("app.report"),
        autoescape=select_autoescape(["html.jinja"]),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters.update(
        {function.__name__: function for function in _FILTERS}, data_url=_data_url, wrapped=_wrapped
    )
    return environment


def _data_url(content: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{b64encode(content).decode()}"


def _wrapped(text: str, bullet: str = "") -> str:
    """Return a paragraph of Markdown or, with a bullet, an item of a list, in lines of at most 100 characters."""
    indent = " " * len(bullet)
    return fill(
        text, 100, initial_indent=bullet, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _sort_family(results: Results) -> list[tuple[dict[str, Any], Member]]:
    """Return the trained networks of the family as the API has them and as members, by budget, recipe and rule."""
    trained = [(item, to_member(item)) for item in results.family if item.get("accuracies")]
    return sorted(trained, key=lambda pair: (pair[1].target_flops, pair[1].recipe != "same", pair[1].rule))


def _count_random(observations: list[Observation]) -> int:
    return sum(o.role == Role.RANDOM for o in observations)
