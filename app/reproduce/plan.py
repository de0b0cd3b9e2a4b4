"""The number of trainings in each step, and how it shrinks to the time available."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from enum import StrEnum

from app.reproduce.design import BUDGETS, RECIPES, RULES

_SHRINKING_STEPS = 200


class Step(StrEnum):
    """A step of the experiment that trains networks."""

    ONE_BUDGET = "one_budget"
    OVER_RANGE = "over_range"
    FAMILY = "family"

    @property
    def label(self) -> str:
        return {Step.ONE_BUDGET: "at one budget", Step.OVER_RANGE: "over a range", Step.FAMILY: "the family"}[self]

    @property
    def following(self) -> list[Step]:
        """This step and those after it."""
        return list(Step)[list(Step).index(self) :]


@dataclass(frozen=True)
class Sizes:
    """How many networks each step trains.

    `at_one_budget` and `networks` (over the range) are random; `compound` networks over the range are compound-shrunk;
    each network of the family is trained with `seeds` seeds.
    """

    at_one_budget: int = 30
    networks: int = 120
    compound: int = 8
    seeds: int = 3


SIZES_OF_STEP = {
    Step.ONE_BUDGET: ("at_one_budget",),
    Step.OVER_RANGE: ("networks", "compound"),
    Step.FAMILY: ("seeds",),
}

# Smaller steps show nothing: there is no front to fit on, and no spread over seeds.
MIN_SIZES = Sizes(at_one_budget=4, networks=8, compound=3, seeds=2)


@dataclass(frozen=True)
class TrainingSeconds:
    """Seconds of one training at the one budget, over the range, and at each of the family's budgets."""

    one_budget: float
    over_range: float
    family: tuple[float, ...]


def count_trainings(sizes: Sizes) -> dict[Step, int]:
    """Count the trainings of each step; those of one network and seed in two steps run only once."""
    return {
        Step.ONE_BUDGET: sizes.at_one_budget + min(1, sizes.compound),
        Step.OVER_RANGE: sizes.networks + sizes.compound,
        Step.FAMILY: len(BUDGETS) * len(RULES) * len(RECIPES) * sizes.seeds,
    }


def estimate_steps(sizes: Sizes, seconds: TrainingSeconds) -> dict[Step, float]:
    """Estimate the seconds of each step on one worker."""
    trainings = count_trainings(sizes)
    mean_of_family = sum(seconds.family) / len(seconds.family)
    return {
        Step.ONE_BUDGET: trainings[Step.ONE_BUDGET] * seconds.one_budget,
        Step.OVER_RANGE: trainings[Step.OVER_RANGE] * seconds.over_range,
        Step.FAMILY: trainings[Step.FAMILY] * mean_of_family,
    }


def limit_to_minimum(requested: Sizes) -> Sizes:
    """Return the minimum sizes, or the requested ones where these are even smaller."""
    return Sizes(*map(min, astuple(requested), astuple(MIN_SIZES)))


def fit_to_time(requested: Sizes, seconds: TrainingSeconds, available: float) -> Sizes:
    """Shrink all sizes in proportion until they take at most `available` seconds of one worker.

    No size becomes smaller than its minimum; a size that was requested below it is kept.
    """
    smallest = limit_to_minimum(requested)
    for step in range(_SHRINKING_STEPS, 0, -1):
        scaled = (round(step / _SHRINKING_STEPS * size) for size in astuple(requested))
        sizes = Sizes(*map(max, scaled, astuple(smallest)))
        if sum(estimate_steps(sizes, seconds).values()) <= available:
            return sizes
    return smallest
