"""Whether two rules differ by more than their seeds do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from scipy.stats import t

from app.figures import Member

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """Two rules at one budget under one recipe: how much the better one is ahead, accuracies from 0 to 1.

    `by_seeds` is what seeds alone account for in 95 of 100 such comparisons; none where no rule has two seeds.
    """

    target_flops: int
    recipe: str
    better: str
    worse: str
    ahead: float
    by_seeds: float | None

    @property
    def told(self) -> bool:
        """Whether the difference is more than the seeds account for."""
        return self.by_seeds is not None and self.ahead > self.by_seeds


def differences(members: Sequence[Member]) -> list[Difference]:
    """All pairs of rules at each budget and recipe.

    Student's t with the spread pooled over the rules there, since two or three seeds say little about one rule's own.
    """
    groups: dict[tuple[int, str], list[Member]] = {}
    for m in members:
        if m.accuracies:
            groups.setdefault((m.target_flops, m.recipe), []).append(m)
    found = []
    for (target, recipe), those in sorted(groups.items(), key=lambda group: (group[0][0], group[0][1] != "same")):
        freedom = sum(len(m.accuracies) - 1 for m in those)
        squares = sum((a - m.mean) ** 2 for m in those for a in m.accuracies)
        for pair in combinations(those, 2):
            better, worse = sorted(pair, key=lambda m: -m.mean)
            by_seeds = None
            if freedom:
                share = 1 / len(better.accuracies) + 1 / len(worse.accuracies)
                by_seeds = float(t.ppf((1 + _CONFIDENCE) / 2, freedom)) * math.sqrt(squares / freedom * share)
            found.append(Difference(target, recipe, better.rule, worse.rule, better.mean - worse.mean, by_seeds))
    return found
