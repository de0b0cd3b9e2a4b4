"""Figures of the experiment: rules compared over many budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from app.figures.drawing import Drawing, empty_drawing
from app.figures.style import BLUE, FLOPS, GREEN, GREY, INK, ORANGE, PINK, add_legend, log_axis, panels

_DIFFERENCE_COLUMNS = ("contrast", "mark", "from_ratio", "to_ratio", "difference", "low", "high")
_ACCURACY_COLUMNS = ("rule", "flops", "test_accuracy")
_COLOURS = {"surrogate": ORANGE, "tiny_formula": BLUE, "compound": PINK, "dwr": GREEN, "published": GREY}


@dataclass(frozen=True)
class Span:
    """A mean difference over the budgets from `start` to `end`, as ratios, with its 95 % interval if there is one."""

    start: float
    end: float
    mean: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class ContrastMarks:
    """A contrast as drawn: its difference at each budget, its mean over all of them, and in parts of the range."""

    name: str
    budgets: tuple[float, ...]
    differences: tuple[float, ...]
    whole: Span
    parts: tuple[Span, ...]


def differences_by_budget(contrasts: Sequence[ContrastMarks]) -> Drawing:
    """Draw the difference of two rules at each budget, and its mean in each part with the 95 % interval.

    Data: a row per mark, `budget`, `part` or `whole`; accuracies are from 0 to 1.
    """
    if not contrasts:
        return empty_drawing("no two rules have been trained at common budgets yet", _DIFFERENCE_COLUMNS)
    figure, all_axes = panels(len(contrasts), share_y=True, size=(max(6.4, 4.6 * len(contrasts)), 4.2))
    rows: list[tuple[str | float | None, ...]] = []
    for axes, contrast in zip(all_axes, contrasts, strict=True):
        axes.set_title(contrast.name)
        axes.axhline(0, color=INK, linewidth=0.9)
        axes.plot(
            contrast.budgets,
            100 * np.array(contrast.differences),
            "o",
            color=GREY,
            label="one budget",
        )
        for n, part in enumerate((*contrast.parts, contrast.whole)):
            is_whole = n == len(contrast.parts)
            colour = BLUE if is_whole else ORANGE
            label = "all budgets, 95 % interval" if is_whole else "a third, 95 % interval" if n == 0 else None
            axes.plot([part.start, part.end], [100 * part.mean] * 2, color=colour, linewidth=1.8, label=label)
            if part.interval is not None:
                low, high = (100 * bound for bound in part.interval)
                axes.fill_between([part.start, part.end], low, high, color=colour, alpha=0.15, linewidth=0)
        log_axis(axes, "ratio to the baseline's multiply-adds", list(contrast.budgets))
        rows += [
            (contrast.name, "budget", budget, budget, difference, None, None)
            for budget, difference in zip(contrast.budgets, contrast.differences, strict=True)
        ]
        rows += [_span_row(contrast.name, "part", part) for part in contrast.parts]
        rows.append(_span_row(contrast.name, "whole", contrast.whole))
    all_axes[0].set_ylabel("difference in test accuracy (points)")
    add_legend(figure, *all_axes)
    means = "; ".join(f"{c.name} {100 * c.whole.mean:+.2f} points" for c in contrasts)
    return Drawing.create(figure, f"Difference of test accuracy by budget: {means}.", _DIFFERENCE_COLUMNS, rows)


def accuracy_by_rule(networks: Mapping[str, Sequence[tuple[int, float]]]) -> Drawing:
    """Draw pairs of (multiply-adds, test accuracy) of each rule's networks.

    Data: a row per network and rule, with the mean accuracy from 0 to 1.
    """
    rows = [(rule, *pair) for rule, pairs in networks.items() for pair in sorted(pairs)]
    if not rows:
        return empty_drawing("no rule's network has been trained yet", _ACCURACY_COLUMNS)
    figure, (axes,) = panels(1)
    axes.set_ylabel("test accuracy (%)")
    for rule, pairs in networks.items():
        flops, accuracies = np.array(sorted(pairs)).T
        colour = _COLOURS.get(rule, INK)
        axes.plot(flops / 1e6, 100 * accuracies, "o", color=colour, markersize=5, label=rule.replace("_", " "))
        if len(set(flops)) > 3:  # a quadratic in log multiply-adds guides the eye
            grid = np.geomspace(flops.min(), flops.max(), 50)
            curve = np.polyval(np.polyfit(np.log(flops), accuracies, 2), np.log(grid))
            axes.plot(grid / 1e6, 100 * curve, color=colour, linewidth=1.3)
    log_axis(axes, FLOPS, [flops / 1e6 for _, flops, _ in rows])
    add_legend(figure, axes)
    caption = f"Test accuracy against multiply-adds of {len(rows)} networks of {len(networks)} rules."
    return Drawing.create(figure, caption, _ACCURACY_COLUMNS, rows)


def _span_row(name: str, mark: str, span: Span) -> tuple[str | float | None, ...]:
    low, high = span.interval or (None, None)
    return name, mark, span.start, span.end, span.mean, low, high
