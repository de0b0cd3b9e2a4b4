"""Numbers and names as the report prints them; the templates use these functions as filters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.figures import Member

UNDEFINED = "not defined"
MISSING = "–"


def percent(accuracy: float | None) -> str:
    return MISSING if accuracy is None else f"{100 * accuracy:.1f} %"


def share(fraction: float | None) -> str:
    return MISSING if fraction is None else f"{fraction:.0%}"


def points(difference: float) -> str:
    """Format a difference of accuracies in percentage points."""
    return f"{100 * difference:.1f}"


def millions(flops: float) -> str:
    return f"{flops / 1e6:.3g}M"


def count(number: int | None) -> str:
    return MISSING if number is None else f"{number:,}"


def px(resolution: int | Sequence[int]) -> str:
    return str(resolution) if isinstance(resolution, int) else " × ".join(map(str, resolution))


def milliseconds(value: float | None) -> str:
    return MISSING if value is None else f"{value:.3g}"


def multiplier(value: float | Sequence[float] | None) -> str:
    """Format a multiplier; widths that differ between stages as their range."""
    if isinstance(value, Sequence):
        return f"{min(value):.3f}–{max(value):.3f}" if value else MISSING
    return MISSING if value is None else f"{value:.3f}"


def mean_and_sd(member: Member) -> str:
    """Format the accuracy over seeds in percent; the standard deviation is left out for a single seed."""
    sd = "" if member.sd is None else f" ± {points(member.sd)}"
    return f"{100 * member.mean:.1f}{sd}"


def mean(prediction: dict[str, float] | None) -> float | None:
    """Return the mean of a predicted accuracy."""
    return None if prediction is None else prediction["mean"]


def signed(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:+.2f}"


def interval(pair: Sequence[float] | None) -> str:
    return UNDEFINED if pair is None else f"{pair[0]:+.2f} to {pair[1]:+.2f}"


def duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def rule(name: str) -> str:
    return name.replace("_", " ")


def recipe(name: str) -> str:
    return {"same": "as studied", "randaugment": "with RandAugment"}.get(name, name)


def training_images(settings: dict[str, Any]) -> str:
    """Format how many images a recipe trains on."""
    return f"{settings['train_images']:,}" if settings.get("train_images") else "all"
