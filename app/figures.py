"""The paper's figures, from plain values. FLOPs are multiply-adds, as everywhere."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from app.scaling.front import correlations, non_dominated
from app.scaling.observations import Observation
from app.scaling.point import Point
from app.scaling.predictor import Predictor

# Okabe and Ito's palette: told apart with any colour vision.
_BLUE, _ORANGE, _GREY, _INK = "#0072B2", "#D55E00", "#8C8C8C", "#333333"
_BAND_90 = 1.645
_ALIKE = 1.05  # costs within this factor are one cost to the eye
_MULTIPLIERS = {"r": "resolution multiplier r", "d": "depth multiplier d", "w": "width multiplier w"}
_FLOPS = "multiply-adds (millions)"
_LATENCY = "milliseconds an image (onnxruntime, one thread, median)"
_RATIO = "c: multiply-adds relative to the baseline's"

# Once for the process: only this module draws, and a context would race between the threads of a server.
matplotlib.rcParams.update(
    {
        "axes.axisbelow": True,
        "axes.edgecolor": _GREY,
        "axes.grid": True,
        "axes.labelcolor": _INK,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlecolor": _INK,
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
        "text.color": _INK,
        "xtick.color": _GREY,
        "xtick.labelcolor": _INK,
        "ytick.color": _GREY,
        "ytick.labelcolor": _INK,
        "ytick.major.size": 0,
    }
)


def accuracy_against_multipliers(observations: list[Observation]) -> Figure:
    """Accuracy against r, d and w; the colour says the cost, where it differs (paper: networks at random)."""
    if not observations:
        return _note("no network has been trained yet")
    figure, panels = _panels(3, share_y=True)
    panels[0].set_ylabel("accuracy (%)")
    cost, differ = _millions(observations), _differ(_millions(observations))
    for axes, (name, label) in zip(panels, _MULTIPLIERS.items(), strict=True):
        axes.set_xlabel(label)
        dots = axes.scatter(
            [getattr(o, name) for o in observations],
            _percent(observations),
            c=cost if differ else _BLUE,
            norm=LogNorm() if differ else None,
            edgecolors="white",
            linewidths=0.7,
            s=42,
        )
    if differ:
        bar = figure.colorbar(dots, ax=panels, label=_FLOPS, aspect=28, pad=0.015)
        bar.outline.set_visible(False)
        _log_ticks(bar.ax.yaxis, cost)
    else:
        panels[0].set_title(f"about {np.median(cost):.3g} million multiply-adds each")
    return figure


def accuracy_against_flops(observations: list[Observation], front: list[Observation]) -> Figure:
    """Accuracy against FLOPs, the networks that NSGA-III keeps marked, the front of them joined (paper: the front)."""
    if not observations:
        return _note("no network has been trained yet")
    figure, (axes,) = _panels(1)
    axes.set_ylabel("accuracy (%)")
    everything = f"all {len(observations)} networks trained"
    axes.plot(_millions(observations), _percent(observations), "o", color=_GREY, alpha=0.7, label=everything)
    best = [front[i] for i in non_dominated([o.flops for o in front], [o.accuracy for o in front])]
    best.sort(key=lambda o: o.flops)
    axes.plot(_millions(best), _percent(best), color=_ORANGE, linewidth=1.6)
    kept = f"the {len(front)} that NSGA-III keeps"
    axes.plot(_millions(front), _percent(front), "o", color=_ORANGE, markersize=8, label=kept)
    _log_axis(axes, _FLOPS, _millions(observations))
    _key(figure, axes)
    return figure


def accuracy_against_latency(observations: list[Observation], front: list[Observation]) -> Figure:
    """Accuracy against latency, of the networks that have one, the front of them joined.

    Low FLOPs are not low latency: what NSGA-III keeps by FLOPs is marked, and need not lie on that line.
    """
    timed = [(o.latency_ms, 100 * o.accuracy) for o in observations if o.latency_ms is not None]
    kept = [(o.latency_ms, 100 * o.accuracy) for o in front if o.latency_ms is not None]
    if not timed:
        return _note("no network's latency has been measured yet")
    figure, (axes,) = _panels(1)
    axes.set_ylabel("accuracy (%)")
    axes.plot(*zip(*timed, strict=True), "o", color=_GREY, alpha=0.7, label=f"all {len(timed)} networks measured")
    best = sorted(timed[i] for i in non_dominated(*zip(*timed, strict=True)))
    axes.plot(*zip(*best, strict=True), color=_ORANGE, linewidth=1.6)
    if kept:
        label = f"the {len(kept)} that NSGA-III keeps by FLOPs"
        axes.plot(*zip(*kept, strict=True), "o", color=_ORANGE, markersize=8, label=label)
    _log_axis(axes, _LATENCY, [ms for ms, _ in timed])
    _key(figure, axes)
    return figure


def multipliers_against_flops(front: list[Observation]) -> Figure:
    """r, d and w against FLOPs on the front, with their rank correlation (paper: figure 3)."""
    if not front:
        return _note("no network has been trained yet")
    figure, panels = _panels(3)
    found = correlations(front)
    for axes, (name, label) in zip(panels, _MULTIPLIERS.items(), strict=True):
        axes.plot(_millions(front), [getattr(o, name) for o in front], "o", color=_BLUE)
        axes.set_ylabel(label)
        _log_axis(axes, _FLOPS, _millions(front))
        spearman = found[name]["spearman"]
        if spearman is not None:
            axes.set_title(f"Spearman's correlation {spearman:+.2f}")
    return figure


def predictor_curve(predictor: Predictor, published: Predictor | None = None) -> Figure:
    """r(c), d(c) and, where known, accuracy(c), with 90 % bands and the networks that they were fitted on.

    `published` is another predictor, whose r(c) and d(c) are drawn for comparison.
    """
    least, most = predictor.range
    curve = predictor.curve(least * 0.8, most * 1.25, 200)
    names = dict(list(_MULTIPLIERS.items())[:2])
    if predictor.accuracy is not None:
        names["accuracy"] = "accuracy (%)"
    figure, panels = _panels(len(names))
    for axes, (name, label) in zip(panels, names.items(), strict=True):
        _draw_regression(axes, name, curve, [p for p in predictor.points if getattr(p, name) is not None])
        if published is not None and name != "accuracy":
            other = published.curve(least * 0.8, most * 1.25, 200)
            axes.plot(*_columns(other, "c", name), "--", color=_INK, linewidth=1.2, label="published TinyNets")
        axes.set_ylabel(label)
        _log_axis(axes, _RATIO, [point["c"] for point in curve])
    _key(figure, panels[0])
    return figure


def predicted_against_measured(pairs: list[tuple[float, float, float]]) -> Figure:
    """(mean, sd, measured), accuracies from 0 to 1: what was predicted before a training, against what came out."""
    if not pairs:
        return _note("no network that was predicted has been trained yet")
    figure, (axes,) = _panels(1, size=(5.4, 5.4))
    axes.set_xlabel("measured accuracy (%)")
    axes.set_ylabel("predicted accuracy (%)")
    mean, sd, measured = 100 * np.array(pairs).T
    low, high = mean - _BAND_90 * sd, mean + _BAND_90 * sd
    held = (low <= measured) & (measured <= high)
    for these, colour, what in ((held, _BLUE, "within the 90 % band"), (~held, _ORANGE, "outside of it")):
        axes.vlines(measured[these], low[these], high[these], color=colour, linewidth=1.4)
        axes.plot(measured[these], mean[these], "o", color=colour, label=f"{these.sum()} {what}")
    least, most = min(low.min(), measured.min()), max(high.max(), measured.max())
    span = max(most - least, 1.0)
    _draw_identity(axes, least - 0.05 * span, most + 0.2 * span)
    _key(figure, axes)
    return figure


FIGURES: dict[str, Callable[..., Figure]] = {
    "accuracy-against-multipliers": accuracy_against_multipliers,
    "accuracy-against-flops": accuracy_against_flops,
    "accuracy-against-latency": accuracy_against_latency,
    "multipliers-against-flops": multipliers_against_flops,
    "predictor-curve": predictor_curve,
    "predicted-against-measured": predicted_against_measured,
}


def render(figure: Figure, format: Literal["svg", "png"]) -> bytes:
    """The figure's file; the same bytes for the same values."""
    target = io.BytesIO()
    figure.savefig(target, format=format, metadata={"Date": None} if format == "svg" else {"Software": None})
    return target.getvalue()


def _panels(n: int, share_y: bool = False, size: tuple[float, float] | None = None) -> tuple[Figure, list[Axes]]:
    figure = Figure(
        figsize=size or ((6.4, 4.4) if n == 1 else (3.8 * n, 3.7)), layout=ConstrainedLayoutEngine(wspace=0.05)
    )
    return figure, list(figure.subplots(1, n, sharey=share_y, squeeze=False)[0])


def _note(text: str) -> Figure:
    figure = Figure(figsize=(6.4, 2.0))
    figure.text(0.5, 0.5, text, ha="center", va="center", color=_GREY)
    return figure


def _draw_regression(axes: Axes, name: str, curve: list[dict[str, float]], points: list[Point]) -> None:
    scale = 100 if name == "accuracy" else 1
    c, mean, sd = _columns(curve, "c", name, f"{name}_sd")
    low, high = scale * (mean - _BAND_90 * sd), scale * (mean + _BAND_90 * sd)
    axes.fill_between(c, low, high, color=_BLUE, alpha=0.14, linewidth=0, label="90 % band")
    axes.plot(c, scale * mean, color=_BLUE, linewidth=1.8, label="predicted")
    values = [scale * getattr(p, name) for p in points]
    axes.plot([p.c for p in points], values, "o", color=_ORANGE, label="networks fitted on")
    for point, value in zip(points, values, strict=True):
        if point.name is not None:
            short = point.name.removeprefix("tinynet_").upper()
            axes.annotate(short, (point.c, value), (-4, 5), textcoords="offset points", ha="right", fontsize=9)


def _draw_identity(axes: Axes, least: float, most: float) -> None:
    axes.plot([least, most], [least, most], "--", color=_GREY, linewidth=1.2, zorder=1)
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
        color=_GREY,
        fontsize=9,
    )


def _columns(curve: list[dict[str, float]], *names: str) -> list[np.ndarray[tuple[int], np.dtype[np.float64]]]:
    return [np.array([point[name] for point in curve]) for name in names]


def _percent(observations: list[Observation]) -> list[float]:
    return [100 * o.accuracy for o in observations]


def _millions(observations: list[Observation]) -> list[float]:
    return [o.flops / 1e6 for o in observations]


def _differ(flops: list[float]) -> bool:
    return max(flops) > _ALIKE * min(flops)


def _key(figure: Figure, axes: Axes) -> None:
    """What the marks mean, in a row above the panels, where it covers no data."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=len(labels))


def _log_axis(axes: Axes, label: str, values: list[float]) -> None:
    axes.set_xlabel(label)
    axes.set_xscale("log")
    _log_ticks(axes.xaxis, values)


def _log_ticks(axis: Axis, values: list[float]) -> None:
    """Plain numbers at 1, 2, (3,) 5, 10, …; at even steps where hardly any of those lie within the values."""
    spread = max(values) / min(values)
    at = (1.0, 2.0, 3.0, 5.0) if spread < 30 else (1.0, 2.0, 5.0)
    axis.set_major_locator(LogLocator(subs=at) if spread > 6 else MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
    axis.set_minor_locator(NullLocator())
