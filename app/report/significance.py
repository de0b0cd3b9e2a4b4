"""Whether two rules differ by more than their seeds do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from scipy.stats import t

from app.figures import Member

CONFIDENCE = 0.95


@dataclass(frozen=True)
class RuleComparison:
    """Two rules at one budget with one recipe; accuracies are from 0 to 1.

    `margin` is the least significant difference: seeds alone cause a larger one in 5 of 100 comparisons. It is None if
    no rule was trained with two seeds.
    """

    target_flops: int
    recipe: str
    better: str
    worse: str
    difference: float
    margin: float | None

    @property
    def is_significant(self) -> bool:
        return self.margin is not None and self.difference > self.margin


def compare_rules(members: Sequence[Member]) -> list[RuleComparison]:
    """Compare all pairs of rules at each budget and recipe.

    Student's t uses the variance pooled over the rules there, since two or three seeds say little about one rule's own.
    """
    groups: dict[tuple[int, str], list[Member]] = {}
    for member in members:
        if member.accuracies:
            groups.setdefault((member.target_flops, member.recipe), []).append(member)
    comparisons = []
    for (target, recipe), group in sorted(groups.items(), key=lambda item: (item[0][0], item[0][1] != "same")):
        degrees_of_freedom = sum(len(m.accuracies) - 1 for m in group)
        squares = sum((accuracy - m.mean) ** 2 for m in group for accuracy in m.accuracies)
        for pair in combinations(group, 2):
            better, worse = sorted(pair, key=lambda m: -m.mean)
            margin = None
            if degrees_of_freedom:
                variance = squares / degrees_of_freedom * (1 / len(better.accuracies) + 1 / len(worse.accuracies))
                margin = float(t.ppf((1 + CONFIDENCE) / 2, degrees_of_freedom)) * math.sqrt(variance)
            difference = better.mean - worse.mean
            comparisons.append(RuleComparison(target, recipe, better.rule, worse.rule, difference, margin))
    return comparisons
