"""What follows from the results, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from app.report.formats import interval, millions, percent, points, recipe, rule
from app.report.significance import RuleComparison
from app.scaling.search.observations import Observation, Role

_MULTIPLIERS = {"r": "Resolution r", "d": "Depth d", "w": "Width w"}
_SAME_BUDGET_FACTOR = 1.1
_MIN_NETWORKS = 4
_STRONG, _MODERATE = 0.7, 0.4  # of Spearman's correlation


def describe_one_budget(observations: Sequence[Observation]) -> list[str]:
    """Say where the best quarter of the random networks lies, and how compound scaling compares at that budget."""
    random = sorted((o for o in observations if o.role != Role.COMPOUND), key=lambda o: -o.accuracy)
    if len(random) < _MIN_NETWORKS:
        return ["There are too few networks to tell where the good ones lie."]
    best = random[: len(random) // 4]
    medians = (
        f"{label.lower()} {_median(best, name):.2f} ({_median(random, name):.2f})"
        for name, label in _MULTIPLIERS.items()
    )
    sentences = [
        f"At the same cost, accuracy ranges from {percent(random[-1].accuracy)} to {percent(random[0].accuracy)}.",
        f"Medians of the best quarter (of all networks in brackets): {', '.join(medians)}.",
    ]
    budget = median(o.flops for o in random)
    compound = [
        o.accuracy
        for o in observations
        if o.role == Role.COMPOUND and budget / _SAME_BUDGET_FACTOR < o.flops < budget * _SAME_BUDGET_FACTOR
    ]
    if compound:
        better = sum(o.accuracy > max(compound) for o in random)
        sentences.append(
            f"{better} of the {len(random)} random networks are more accurate than compound scaling is at this budget "
            f"({percent(max(compound))})."
        )
    return sentences


def describe_compound(observations: Sequence[Observation]) -> str:
    """Say how many compound-shrunk networks a random one dominates."""
    compound = [o for o in observations if o.role == Role.COMPOUND]
    others = [o for o in observations if o.role != Role.COMPOUND]
    if not compound or not others:
        return ""
    beaten = sum(any(o.flops <= c.flops and o.accuracy > c.accuracy for o in others) for c in compound)
    return (
        f"For {beaten} of the {len(compound)} compound-shrunk networks there is a more accurate random network with no "
        "more multiply-adds. With one seed each, part of that is luck: the best of many random networks is also the "
        "luckiest."
    )


def describe_correlations(correlations: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Describe the Spearman correlation of each multiplier with FLOPs in a sentence."""
    return [_describe_correlation(label, correlations[name]) for name, label in _MULTIPLIERS.items()
            if name in correlations]  # fmt: skip


def describe_unanswered(family: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say for which budgets a rule has no network."""
    sentences = (
        f"At {millions(item['target_flops'])}, {rule(item['rule'])} has no network: {item['problem']}"
        for item in family
        if item.get("problem")
    )
    return list(dict.fromkeys(sentences))  # recipes share the reason


def describe_comparisons(comparisons: Sequence[RuleComparison]) -> list[str]:
    """Say for each budget and recipe which rules differ significantly."""
    groups: dict[tuple[int, str], list[RuleComparison]] = {}
    for comparison in comparisons:
        groups.setdefault((comparison.target_flops, comparison.recipe), []).append(comparison)
    return [
        f"At {millions(target)}, {recipe(recipe_name)}: {_describe_group(group)}"
        for (target, recipe_name), group in groups.items()
    ]


def _describe_group(comparisons: Sequence[RuleComparison]) -> str:
    significant = [
        f"{rule(c.better)} beats {rule(c.worse)} by {points(c.difference)} points"
        for c in comparisons
        if c.is_significant
    ]
    if significant:
        return f"{'; '.join(significant)}. That is more than the seeds explain."
    if all(c.margin is None for c in comparisons):
        return "with one seed each, no difference can be established."
    return "no two rules differ by more than the seeds explain."


def _describe_correlation(label: str, correlation: Mapping[str, Any]) -> str:
    value, bounds = correlation.get("spearman"), correlation.get("spearman_interval")
    if value is None:
        return f"{label} has no defined correlation with FLOPs."
    strength = "strongly" if abs(value) >= _STRONG else "moderately" if abs(value) >= _MODERATE else "weakly"
    details = f"{value:+.2f}"
    if bounds is not None:
        details += f", 90 % interval {interval(bounds)}"
        if bounds[0] <= 0 <= bounds[1]:
            details += ", which includes zero"
    return f"{label} {'rises' if value > 0 else 'falls'} {strength} with FLOPs ({details})."


def _median(observations: Sequence[Observation], name: str) -> float:
    return float(median(getattr(o, name) for o in observations))
