"""How much can be trained in the time there is."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from app.reproduce.baseline import RECIPES, RULES

_STEPS = 200


@dataclass(frozen=True)
class Sizes:
    """How many networks: random at one budget, random over the range, compound-shrunk there; seeds of the family."""

    at_one_budget: int = 30
    networks: int = 120
    compound: int = 8
    seeds: int = 3


LEAST = Sizes(at_one_budget=4, networks=8, compound=3, seeds=2)
"""Below this a step says nothing: no front to fit on, no spread of seeds."""


@dataclass(frozen=True)
class Prices:
    """Seconds of one worker: of a training at the one budget, over the range, and at each of the family's budgets."""

    one_budget: float
    over_range: float
    family: tuple[float, ...]


@dataclass(frozen=True)
class Cost:
    """Seconds of one worker by step."""

    one_budget: float
    over_range: float
    family: float

    @property
    def whole(self) -> float:
        return self.one_budget + self.over_range + self.family


def trainings(sizes: Sizes, budgets: int) -> dict[str, int]:
    """How many trainings each step has; a network of the same config and seed in two steps is trained once only."""
    return {
        "one_budget": sizes.at_one_budget + min(1, sizes.compound),
        "over_range": sizes.networks + sizes.compound,
        "family": budgets * len(RULES) * len(RECIPES) * sizes.seeds,
    }


def cost(sizes: Sizes, prices: Prices) -> Cost:
    count = trainings(sizes, len(prices.family))
    return Cost(
        count["one_budget"] * prices.one_budget,
        count["over_range"] * prices.over_range,
        len(RULES) * len(RECIPES) * sizes.seeds * sum(prices.family),
    )


def fitting(wanted: Sizes, prices: Prices, seconds: float, least: Sizes = LEAST) -> Sizes:
    """The wanted sizes, all smaller in proportion until they take at most `seconds` of one worker; never below `least`.

    A size wanted below its least stays as it is.
    """
    floors = Sizes(*(min(w, f) for w, f in zip(astuple(wanted), astuple(least), strict=True)))
    for step in range(_STEPS, 0, -1):
        share = step / _STEPS
        smaller = (round(share * w) for w in astuple(wanted))
        found = Sizes(*(max(s, f) for s, f in zip(smaller, astuple(floors), strict=True)))
        if cost(found, prices).whole <= seconds:
            return found
    return floors
