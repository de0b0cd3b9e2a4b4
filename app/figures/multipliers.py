"""The multipliers against accuracy and against FLOPs (paper: random networks, and those of the front)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.collections import PathCollection
from matplotlib.colors import LogNorm

from app.figures.drawing import Drawing, Value, empty_drawing
from app.figures.networks import COLUMNS, describe_count, describe_role, observation_row, split_compound
from app.figures.style import (
    BLUE,
    COMPOUND,
    FLOPS,
    MAX_VECTOR_MARKS,
    MULTIPLIERS,
    add_legend,
    costs_differ,
    log_axis,
    log_ticks,
    millions,
    panels,
    percent,
)
from app.scaling.search.front import correlations
from app.scaling.search.observations import Observation


def accuracy_against_multipliers(observations: list[Observation]) -> Drawing:
    """Draw accuracy against r, d and w, coloured by cost if it varies; compound-shrunk networks are marked.

    Paper: random networks under one budget. Data: a row per network.
    """
    if not observations:
        return empty_drawing("no network has been trained yet", COLUMNS)
    compound, others = split_compound(observations)
    figure, all_axes = panels(3, share_y=True)
    all_axes[0].set_ylabel("accuracy (%)")
    cost = millions([o.flops for o in observations])
    costs_vary = costs_differ(cost)
    scatters = list[PathCollection]()
    for axes, (name, label) in zip(all_axes, MULTIPLIERS.items(), strict=True):
        axes.set_xlabel(label)
        scatters.append(
            axes.scatter(
                [getattr(o, name) for o in others],
                percent([o.accuracy for o in others]),
                c=millions([o.flops for o in others]) if costs_vary else BLUE,
                norm=LogNorm(min(cost), max(cost)) if costs_vary else None,
                rasterized=len(others) > MAX_VECTOR_MARKS,
                edgecolors="white",
                linewidths=0.7,
                s=42 if len(others) <= 100 else 26,
                label=describe_count(len(others), describe_role(others)),
            )
        )
        if compound:
            x, accuracy = [getattr(o, name) for o in compound], percent([o.accuracy for o in compound])
            axes.plot(x, accuracy, **COMPOUND, label=describe_count(len(compound), "compound-shrunk"))
    if costs_vary:
        bar = figure.colorbar(scatters[-1], ax=all_axes, label=FLOPS, aspect=28, pad=0.015)
        bar.outline.set_visible(False)
        log_ticks(bar.ax.yaxis, cost)
    else:
        all_axes[0].set_title(f"about {np.median(cost):.3g} million multiply-adds each")
    if compound:
        add_legend(figure, all_axes[0])
    caption = f"Accuracy against r, d and w of {describe_count(len(others), describe_role(others))}"
    caption += f" and {len(compound)} compound-shrunk ones." if compound else "."
    return Drawing.create(figure, caption, COLUMNS, [observation_row(o) for o in observations])


def multipliers_against_flops(
    front: list[Observation], precomputed: Mapping[str, Mapping[str, Any]] | None = None
) -> Drawing:
    """Draw r, d and w against FLOPs on the front, with their correlations and 90 % intervals (paper: figure 3).

    `precomputed` is the result of `app.scaling.search.front.correlations` for the front, else computed here. Data: a
    row per network of the front, then a row per correlation.
    """
    columns = ("mark", *COLUMNS, "multiplier", "correlation", "value", "low_90", "high_90")
    if not front:
        return empty_drawing("no network has been trained yet", columns)
    measures: Mapping[str, Mapping[str, Any]] = correlations(front) if precomputed is None else precomputed
    figure, all_axes = panels(3)
    rows: list[tuple[Value, ...]] = [("network", *observation_row(o), *[None] * 5) for o in front]
    summaries = []
    for axes, (name, label) in zip(all_axes, MULTIPLIERS.items(), strict=True):
        axes.plot(millions([o.flops for o in front]), [getattr(o, name) for o in front], "o", color=BLUE)
        axes.set_ylabel(label)
        log_axis(axes, FLOPS, millions([o.flops for o in front]))
        lines = []
        for measure in ("pearson", "spearman"):
            value, interval = measures[name][measure], measures[name].get(f"{measure}_interval")
            low, high = interval or (None, None)
            rows.append(("correlation", *[None] * len(COLUMNS), name, measure, value, low, high))
            if value is not None:
                interval_text = f"  [{low:+.2f}, {high:+.2f}]" if interval else ""
                lines.append(f"{measure.capitalize()} {value:+.2f}{interval_text}")
        axes.set_title("\n".join(lines))
        summaries.append(f"{name}: {', '.join(lines) or 'correlation not defined'}")
    caption = f"Multipliers against multiply-adds of the front's {len(front)} networks. {'; '.join(summaries)}."
    return Drawing.create(figure, caption, columns, rows)
