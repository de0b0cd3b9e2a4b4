"""The default design of the experiment: a small MBConv baseline, a short recipe, spaces, budgets and rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from app.scaling.rules.names import SolvedRule


def small_mbconv(channels: int) -> dict[str, Any]:
    """Return the built-in baseline `small-mbconv`; for coloured images, a copy of it with a name of its own."""
    from app.scaling import families  # imports NumPy, which the command must start without

    baseline = families.baseline("small-mbconv").adapt(in_chans=channels)
    return (baseline if channels == 1 else replace(baseline, name="small-mbconv-rgb")).to_json()


# 15 to 30 seconds a training of such networks on one thread.
RECIPE: dict[str, Any] = {"epochs": 6, "batch_size": 64, "lr": 0.004, "train_images": 5000, "shift": 0.06}

# The experiment that compares rules trains longer, since what is best after few epochs need not stay best.
EXPERIMENT_RECIPE: dict[str, Any] = {**RECIPE, "epochs": 9}

_RANGES: dict[str, list[float]] = {"r": [0.5, 1.25], "d": [0.35, 1.5], "w": [0.25, 1.8]}

ONE_BUDGET_SPACE = {**_RANGES, "ratio": [0.47, 0.53]}
RANGE_SPACE = {**_RANGES, "ratio": [0.08, 1.0]}

# Ratios of TinyNet-B, C and D to their baseline. TinyNet-A is hardly smaller than it, and E lies below the range.
BUDGETS = (0.52, 0.258, 0.134)

# What the experiment compares: rules that learn from a study, and rules that need none.
STUDY_RULES = ("surrogate", "tiny_formula")
SHARED_RULES = ("compound", "dwr", "published")
COMPARED_RULES = (*STUDY_RULES, *SHARED_RULES)

RULES: tuple[SolvedRule, ...] = ("tiny_formula", "compound", "surrogate")
RECIPES = ("same", "randaugment")

FRONT_SIZE = 20  # networks that NSGA-III selects, as in the paper


BUDGET_RANGE = (0.1, 0.85)


def log_even_budgets(count: int, low: float = BUDGET_RANGE[0], high: float = BUDGET_RANGE[1]) -> tuple[float, ...]:
    """Return ratios to the baseline's multiply-adds, evenly spaced in their logarithm.

    Raises: ValueError for fewer than two, or limits that are not positive and rising.
    """
    if count < 2:
        raise ValueError("at least two budgets are needed")
    if not 0 < low < high:
        raise ValueError("the lowest ratio must be above 0 and below the highest")
    return tuple(low * (high / low) ** (n / (count - 1)) for n in range(count))
