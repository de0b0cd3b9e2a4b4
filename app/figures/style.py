"""What the figures look like: colours, axes, keys."""

from __future__ import annotations

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

# Okabe and Ito's palette: told apart with any colour vision.
BLUE, ORANGE, PINK, GREEN, GREY, INK = "#0072B2", "#D55E00", "#CC79A7", "#009E73", "#8C8C8C", "#333333"

BAND_90 = 1.645  # standard deviations to either side

MULTIPLIERS = {"r": "resolution multiplier r", "d": "depth multiplier d", "w": "width multiplier w"}
FLOPS = "multiply-adds (millions)"

# Compound-shrunk networks look the same in every figure.
MOST_MARKS = 3000  # more of them an SVG holds as pixels: each as a shape would make it many megabytes
COMPOUND = {"marker": "D", "color": PINK, "markeredgecolor": INK, "markersize": 6.5, "linestyle": "none"}

_ALIKE = 1.05  # costs within this factor are one cost to the eye
_EQUAL = 1.001

# Once for the process: only this package draws, and a context would race between the threads of a server.
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
    """A figure of n panels in a row."""
    figure = Figure(
        figsize=size or ((6.4, 4.4) if n == 1 else (3.8 * n, 3.7)), layout=ConstrainedLayoutEngine(wspace=0.05)
    )
    return figure, list(figure.subplots(1, n, sharey=share_y, squeeze=False)[0])


def key(figure: Figure, *axes: Axes) -> None:
    """What the marks mean, in rows above the panels, where it covers no data: as many a row as have room."""
    found = {label: handle for a in axes for handle, label in zip(*a.get_legend_handles_labels(), strict=True)}
    room = 13 * figure.get_figwidth()  # characters at this font's size
    longest = max(map(len, found)) + 6
    columns = len(found) if sum(map(len, found)) + 6 * len(found) <= room else max(1, int(room // longest))
    figure.legend(list(found.values()), list(found), loc="outside upper left", ncols=columns)


def differ(flops: list[float]) -> bool:
    """Whether these are costs that the eye tells apart."""
    return max(flops) > _ALIKE * min(flops)


def log_axis(axes: Axes, label: str, values: list[float]) -> None:
    """A logarithmic x axis for these values, with plain numbers."""
    axes.set_xlabel(label)
    axes.set_xscale("log")
    if max(values) <= _EQUAL * min(values):  # by itself the axis would cover a sliver, or decades
        values = [min(values) / _ALIKE, max(values) * _ALIKE]
        axes.set_xlim(*values)
    log_ticks(axes.xaxis, values)


def log_ticks(axis: Axis, values: list[float]) -> None:
    """Plain numbers at 1, 2, (3,) 5, 10, …; at even steps where hardly any of those lie within the values."""
    spread = max(values) / min(values)
    at = (1.0, 2.0, 3.0, 5.0) if spread < 30 else (1.0, 2.0, 5.0)
    axis.set_major_locator(LogLocator(subs=at) if spread > 6 else MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
    axis.set_minor_locator(NullLocator())


def percent(accuracies: list[float]) -> list[float]:
    return [100 * a for a in accuracies]


def millions(flops: list[int]) -> list[float]:
    return [f / 1e6 for f in flops]
