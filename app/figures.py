"""The paper's figures, from plain values."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from app.scaling.observations import Observation
from app.scaling.predictor import Predictor

# Okabe and Ito's palette: told apart with any colour vision.
_BLUE, _ORANGE, _GREEN, _GREY = "#0072B2", "#D55E00", "#009E73", "#7F7F7F"
_BAND_90 = 1.645
_STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "svg.hashsalt": "rdw",  # the same figure, the same bytes
    "svg.fonttype": "path",
}
_MULTIPLIERS = (("r", "resolution multiplier r"), ("d", "depth multiplier d"), ("w", "width multiplier w"))
_FLOPS = "multiply-adds (millions)"


def accuracy_against_multipliers(observations: list[Observation]) -> Figure:
    """Accuracy against r, d and w (paper, figure 1): colour says the cost."""
    figure, panels = _panels(3, share_y=True)
    cost = [o.flops / 1e6 for o in observations]
    for axes, (name, label) in zip(panels, _MULTIPLIERS, strict=True):
        dots = axes.scatter(
            [getattr(o, name) for o in observations], _percent(observations), c=cost, cmap="viridis", s=36, zorder=3
        )
        axes.set_xlabel(label)
    panels[0].set_ylabel("accuracy (%)")
    if observations:
        figure.colorbar(dots, ax=panels, label=_FLOPS, fraction=0.04, pad=0.02)
    return figure


def accuracy_against_flops(observations: list[Observation], front: list[Observation]) -> Figure:
    """Accuracy against FLOPs with the networks that NSGA-III keeps joined (paper, figure 2)."""
    figure, (axes,) = _panels(1)
    axes.scatter(_millions(observations), _percent(observations), color=_GREY, s=28, label="random networks", zorder=2)
    axes.plot(_millions(front), _percent(front), "o-", color=_ORANGE, label="selected by NSGA-III", zorder=3)
    _log_millions(axes)
    axes.set_ylabel("accuracy (%)")
    axes.legend(frameon=False, loc="lower right")
    return figure


def multipliers_against_flops(front: list[Observation]) -> Figure:
    """r, d and w against FLOPs on the front (paper, figure 3)."""
    figure, panels = _panels(3)
    for axes, (name, label) in zip(panels, _MULTIPLIERS, strict=True):
        axes.plot(_millions(front), [getattr(o, name) for o in front], "o", color=_BLUE, zorder=3)
        axes.set_ylabel(label)
        _log_millions(axes)
    return figure


def predictor_curve(predictor: Predictor) -> Figure:
    """r(c), d(c) and accuracy(c) with 90 % bands, and the networks that they were fitted on."""
    least, most = predictor.range
    curve = predictor.curve(least * 0.8, most * 1.25, 200)
    names = [("r", _MULTIPLIERS[0][1]), ("d", _MULTIPLIERS[1][1])]
    if predictor.accuracy is not None:
        names.append(("accuracy", "accuracy"))
    figure, panels = _panels(len(names))
    c = np.array([point["c"] for point in curve])
    for axes, (name, label) in zip(panels, names, strict=True):
        mean = np.array([point[name] for point in curve])
        band = _BAND_90 * np.array([point[f"{name}_sd"] for point in curve])
        axes.fill_between(c, mean - band, mean + band, color=_BLUE, alpha=0.15, linewidth=0, label="90 % band")
        axes.plot(c, mean, color=_BLUE, label=f"{name}(c)")
        fitted = [(p.c, getattr(p, name)) for p in predictor.points if getattr(p, name) is not None]
        axes.plot(*zip(*fitted, strict=True), "o", color=_ORANGE, label="fitted on", zorder=3)
        axes.set_ylabel(label)
        _log(axes, "c: flops relative to the baseline's", lambda value, _: f"{value:g}")
    panels[0].legend(frameon=False)
    return figure


def predicted_against_measured(pairs: list[tuple[float, float, float]]) -> Figure:
    """(mean, sd, measured): what was predicted before a training, with its 90 % band, against what came out."""
    figure, (axes,) = _panels(1)
    if not pairs:
        axes.text(0.5, 0.5, "no trial with a prediction has completed yet", ha="center", transform=axes.transAxes)
        return figure
    mean, sd, measured = (100 * np.array(column) for column in zip(*pairs, strict=True))
    axes.errorbar(measured, mean, yerr=_BAND_90 * sd, fmt="o", color=_BLUE, capsize=3, zorder=3)
    low = min((mean - _BAND_90 * sd).min(), measured.min()) - 1
    high = max((mean + _BAND_90 * sd).max(), measured.max()) + 1
    axes.plot([low, high], [low, high], color=_GREY, linewidth=1, linestyle="--")
    axes.annotate("predicted = measured", (high, high), ha="right", va="top", color=_GREY, fontsize=9)
    axes.set_xlabel("measured accuracy (%)")
    axes.set_ylabel("predicted accuracy (%), 90 % band")
    return figure


FIGURES: dict[str, Callable[..., Figure]] = {
    "accuracy-against-multipliers": accuracy_against_multipliers,
    "accuracy-against-flops": accuracy_against_flops,
    "multipliers-against-flops": multipliers_against_flops,
    "predictor-curve": predictor_curve,
    "predicted-against-measured": predicted_against_measured,
}


def render(figure: Figure, format: Literal["svg", "png"]) -> bytes:
    """The figure's file; the same bytes for the same values."""
    target = io.BytesIO()
    metadata: dict[str, Any] = {"Date": None} if format == "svg" else {"Software": None}
    with matplotlib.rc_context(_STYLE):
        figure.savefig(target, format=format, dpi=150, metadata=metadata)
    return target.getvalue()


def _panels(n: int, share_y: bool = False) -> tuple[Figure, list[Axes]]:
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(6.4 if n == 1 else 3.6 * n, 4.0 if n == 1 else 3.3), layout="constrained")
        axes = figure.subplots(1, n, sharey=share_y, squeeze=False)
    return figure, list(axes[0])


def _percent(observations: list[Observation]) -> list[float]:
    return [100 * o.accuracy for o in observations]


def _millions(observations: list[Observation]) -> list[float]:
    return [o.flops / 1e6 for o in observations]


def _log_millions(axes: Axes) -> None:
    _log(axes, _FLOPS, lambda value, _: f"{value:g}")


def _log(axes: Axes, label: str, text: Callable[[float, int], str]) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(text))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(label)
