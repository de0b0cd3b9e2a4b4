"""What was predicted before a training, against what came out."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from app.figures.drawing import Drawing, note
from app.figures.style import BAND_90, BLUE, GREY, ORANGE, key, panels

_COLUMNS = ("mean", "sd", "measured", "inside_90")


def predicted_against_measured(pairs: list[tuple[float, float, float]]) -> Drawing:
    """(mean, sd, measured), accuracies from 0 to 1. Data: a row a network, and whether its 90 % band held."""
    if not pairs:
        return note("no network that was predicted has been trained yet", _COLUMNS)
    figure, (axes,) = panels(1, size=(5.4, 5.4))
    axes.set_xlabel("measured accuracy (%)")
    axes.set_ylabel("predicted accuracy (%)")
    mean, sd, measured = 100 * np.array(pairs).T
    low, high = mean - BAND_90 * sd, mean + BAND_90 * sd
    held = (low <= measured) & (measured <= high)
    for these, colour, what in ((held, BLUE, "within the 90 % band"), (~held, ORANGE, "outside of it")):
        axes.vlines(measured[these], low[these], high[these], color=colour, linewidth=1.4)
        axes.plot(measured[these], mean[these], "o", color=colour, label=f"{these.sum()} {what}")
    least, most = min(low.min(), measured.min()), max(high.max(), measured.max())
    span = max(most - least, 1.0)
    _draw_identity(axes, least - 0.05 * span, most + 0.2 * span)
    key(figure, axes)
    says = f"Predicted against measured accuracy of {len(pairs)} networks: {held.sum()} lie within the 90 % band."
    rows = [(*pair, bool(inside)) for pair, inside in zip(pairs, held, strict=True)]
    return Drawing.of(figure, says, _COLUMNS, rows)


def _draw_identity(axes: Axes, least: float, most: float) -> None:
    axes.plot([least, most], [least, most], "--", color=GREY, linewidth=1.2, zorder=1)
    axes.set(xlim=(least, most), ylim=(least, most), aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6))
    axes.annotate(
        "predicted = measured",
        (most, most),
        (-4, -12),
        textcoords="offset points",
        rotation=45,
        rotation_mode="anchor",
        ha="right",
        va="top",
        color=GREY,
        fontsize=9,
    )
