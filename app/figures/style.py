"""The style of the figures: colours, axes, legends."""

from __future__ import annotations

from typing import TypedDict

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator


class LineStyle(TypedDict, total=False):
    """Options of `Axes.plot`."""

    alpha: float
    color: str
    linestyle: str
    linewidth: float
    marker: str
    markeredgecolor: str
    markersize: float
    rasterized: bool


# Okabe and Ito's palette is distinguishable with any colour vision.
BLUE, ORANGE, PINK, GREEN, GREY, INK = "#0072B2", "#D55E00", "#CC79A7", "#009E73", "#8C8C8C", "#333333"

BAND_90 = 1.645  # standard deviations on either side

MULTIPLIERS = {"r": "resolution multiplier r", "d": "depth multiplier d", "w": "width multiplier w"}
FLOPS = "multiply-adds (millions)"

# More marks than this are rasterized, as an SVG with a shape for each would have many megabytes.
MAX_VECTOR_MARKS = 3000

# The style of compound-shrunk networks in every figure.
COMPOUND: LineStyle = {
    "marker": "D",
    "color": PINK,
    "markeredgecolor": INK,
    "markersize": 6.5,
    "linestyle": "none",
}

_SAME_COST_FACTOR = 1.05  # costs within this factor are visually equal
_EQUAL_COST_FACTOR = 1.001

# Set once per process: only this package draws, and a context manager would race between the threads of a server.
matplotlib.rcParams.update(
    {
        "axes.axisbelow": True,
        "axes.edgecolor": GREY,
        "axes.grid": True,
        "axes.labelcolor": INK,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlecolor": INK,
        "axes.titlelocation": "left",
        "axes.titlesize": 10,
        "font.size": 10,
        "grid.color": "#E6E6E6",
        "grid.linewidth": 0.8,
        "legend.frameon": False,
        "legend.handletextpad": 0.4,
        "lines.markeredgecolor": "white",
        "lines.markeredgewidth": 0.7,
        "lines.markersize": 7,
        "savefig.dpi": 150,
        "svg.hashsalt": "rdw",
        "text.color": INK,
        "xtick.color": GREY,
        "xtick.labelcolor": INK,
        "ytick.color": GREY,
        "ytick.labelcolor": INK,
        "ytick.major.size": 0,
    }
)


def panels(n: int, share_y: bool = False, size: tuple[float, float] | None = None) -> tuple[Figure, list[Axes]]:
    """Return a figure with n panels in a row."""
    figure = Figure(
        figsize=size or ((6.4, 4.4) if n == 1 else (3.8 * n, 3.7)), layout=ConstrainedLayoutEngine(wspace=0.05)
    )
    return figure, list(figure.subplots(1, n, sharey=share_y, squeeze=False)[0])


def add_legend(figure: Figure, *axes: Axes) -> None:
    """Add a legend above the panels, where it covers no data, with as many columns as fit."""
    handles = {label: handle for a in axes for handle, label in zip(*a.get_legend_handles_labels(), strict=True)}
    capacity = 13 * figure.get_figwidth()  # characters at this font size
    longest = max(map(len, handles)) + 6
    total = sum(map(len, handles)) + 6 * len(handles)
    columns = len(handles) if total <= capacity else max(1, int(capacity // longest))
    figure.legend(list(handles.values()), list(handles), loc="outside upper left", ncols=columns)


def costs_differ(flops: list[float]) -> bool:
    """Return whether the costs are visibly different."""
    return max(flops) > _SAME_COST_FACTOR * min(flops)


def log_axis(axes: Axes, label: str, values: list[float]) -> None:
    """Make the x axis logarithmic, with plain numbers for these values."""
    axes.set_xlabel(label)
    axes.set_xscale("log")
    if max(values) <= _EQUAL_COST_FACTOR * min(values):  # the default limits would cover a sliver, or decades
        values = [min(values) / _SAME_COST_FACTOR, max(values) * _SAME_COST_FACTOR]
        axes.set_xlim(*values)
    log_ticks(axes.xaxis, values)


def log_ticks(axis: Axis, values: list[float]) -> None:
    """Set plain numbers at 1, 2, (3,) 5, 10, …, or at even steps if hardly any of those lie within the values."""
    ratio = max(values) / min(values)
    subs = (1.0, 2.0, 3.0, 5.0) if ratio < 30 else (1.0, 2.0, 5.0)
    axis.set_major_locator(LogLocator(subs=subs) if ratio > 6 else MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
    axis.set_minor_locator(NullLocator())


def percent(accuracies: list[float]) -> list[float]:
    return [100 * a for a in accuracies]


def millions(flops: list[int]) -> list[float]:
    return [f / 1e6 for f in flops]
