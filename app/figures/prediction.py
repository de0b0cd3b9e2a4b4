"""Predicted against measured accuracy."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from app.figures.drawing import Drawing, empty_drawing
from app.figures.style import BAND_90, BLUE, GREY, ORANGE, add_legend, panels

_COLUMNS = ("mean", "sd", "measured", "inside_90")


def predicted_against_measured(pairs: list[tuple[float, float, float]]) -> Drawing:
    """Draw pairs of (mean, sd) and measured accuracy, from 0 to 1.

    Data: a row per network, with whether its 90 % band contains the measurement.
    """
    if not pairs:
        return empty_drawing("no network that was predicted has been trained yet", _COLUMNS)
    figure, (axes,) = panels(1, size=(5.4, 5.4))
    axes.set_xlabel("measured accuracy (%)")
    axes.set_ylabel("predicted accuracy (%)")
    mean, sd, measured = 100 * np.array(pairs).T
    low, high = mean - BAND_90 * sd, mean + BAND_90 * sd
    is_inside = (low <= measured) & (measured <= high)
    for mask, colour, description in ((is_inside, BLUE, "within the 90 % band"), (~is_inside, ORANGE, "outside of it")):
        axes.vlines(measured[mask], low[mask], high[mask], color=colour, linewidth=1.4)
        axes.plot(measured[mask], mean[mask], "o", color=colour, label=f"{mask.sum()} {description}")
    lower, upper = min(low.min(), measured.min()), max(high.max(), measured.max())
    extent = max(upper - lower, 1.0)
    _draw_identity(axes, lower - 0.05 * extent, upper + 0.2 * extent)
    add_legend(figure, axes)
    caption = (
        f"Predicted against measured accuracy of {len(pairs)} networks: {is_inside.sum()} lie within the 90 % band."
    )
    rows = [(*pair, bool(inside)) for pair, inside in zip(pairs, is_inside, strict=True)]
    return Drawing.create(figure, caption, _COLUMNS, rows)


def _draw_identity(axes: Axes, lower: float, upper: float) -> None:
    axes.plot([lower, upper], [lower, upper], "--", color=GREY, linewidth=1.2, zorder=1)
    axes.set(xlim=(lower, upper), ylim=(lower, upper), aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6))
    axes.annotate(
        "predicted = measured",
        (upper, upper),
        (-4, -12),
        textcoords="offset points",
        rotation=45,
        rotation_mode="anchor",
        ha="right",
        va="top",
        color=GREY,
        fontsize=9,
    )
