"""The multipliers against accuracy and against FLOPs (paper: networks at random; those of the front)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.colors import LogNorm

from app.figures.drawing import Drawing, Value, note
from app.figures.networks import COLUMNS, apart, called, kind, row
from app.figures.style import (
    BLUE,
    COMPOUND,
    FLOPS,
    MOST_MARKS,
    MULTIPLIERS,
    differ,
    key,
    log_axis,
    log_ticks,
    millions,
    panels,
    percent,
)
from app.scaling.front import correlations
from app.scaling.observations import Observation


def accuracy_against_multipliers(observations: list[Observation]) -> Drawing:
    """Accuracy against r, d and w; the colour says the cost, where it differs; compound-shrunk networks are marked.

    Paper: networks at random under one budget. Data: a row a network.
    """
    if not observations:
        return note("no network has been trained yet", COLUMNS)
    compound, others = apart(observations)
    figure, axes_of = panels(3, share_y=True)
    axes_of[0].set_ylabel("accuracy (%)")
    cost = millions([o.flops for o in observations])
    several = differ(cost)
    dots = None
    for axes, (name, label) in zip(axes_of, MULTIPLIERS.items(), strict=True):
        axes.set_xlabel(label)
        dots = axes.scatter(
            [getattr(o, name) for o in others],
            percent([o.accuracy for o in others]),
            c=millions([o.flops for o in others]) if several else BLUE,
            norm=LogNorm(min(cost), max(cost)) if several else None,
            rasterized=len(others) > MOST_MARKS,
            edgecolors="white",
            linewidths=0.7,
            s=42 if len(others) <= 100 else 26,
            label=called(len(others), kind(others)),
        )
        if compound:
            at, accuracy = [getattr(o, name) for o in compound], percent([o.accuracy for o in compound])
            axes.plot(at, accuracy, **COMPOUND, label=called(len(compound), "compound-shrunk"))
    if several:
        bar = figure.colorbar(dots, ax=axes_of, label=FLOPS, aspect=28, pad=0.015)
        bar.outline.set_visible(False)
        log_ticks(bar.ax.yaxis, cost)
    else:
        axes_of[0].set_title(f"about {np.median(cost):.3g} million multiply-adds each")
    if compound:
        key(figure, axes_of[0])
    says = f"Accuracy against r, d and w of {called(len(others), kind(others))}"
    says += f" and {len(compound)} compound-shrunk ones." if compound else "."
    return Drawing.of(figure, says, COLUMNS, [row(o) for o in observations])


def multipliers_against_flops(
    front: list[Observation], found: Mapping[str, Mapping[str, Any]] | None = None
) -> Drawing:
    """r, d and w against FLOPs on the front, with their correlations and those' 90 % intervals (paper: figure 3).

    `found` is what `app.scaling.front.correlations` says of the front; none: it is asked. Data: a row a network of the
    front, after them a row a correlation.
    """
    columns = ("mark", *COLUMNS, "multiplier", "correlation", "value", "low_90", "high_90")
    if not front:
        return note("no network has been trained yet", columns)
    found = correlations(front) if found is None else found
    figure, axes_of = panels(3)
    rows: list[tuple[Value, ...]] = [("network", *row(o), *[None] * 5) for o in front]
    told = []
    for axes, (name, label) in zip(axes_of, MULTIPLIERS.items(), strict=True):
        axes.plot(millions([o.flops for o in front]), [getattr(o, name) for o in front], "o", color=BLUE)
        axes.set_ylabel(label)
        log_axis(axes, FLOPS, millions([o.flops for o in front]))
        lines = []
        for measure in ("pearson", "spearman"):
            value, interval = found[name][measure], found[name].get(f"{measure}_interval")
            low, high = interval or (None, None)
            rows.append(("correlation", *[None] * len(COLUMNS), name, measure, value, low, high))
            if value is not None:
                within = f"  [{low:+.2f}, {high:+.2f}]" if interval else ""
                lines.append(f"{measure.capitalize()} {value:+.2f}{within}")
        axes.set_title("\n".join(lines))
        told.append(f"{name}: {', '.join(lines) or 'correlation not defined'}")
    says = f"Multipliers against multiply-adds of the front's {len(front)} networks. {'; '.join(told)}."
    return Drawing.of(figure, says, columns, rows)
