"""The Gaussian processes r(c), d(c) and accuracy(c) (paper: the tiny formula)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from app.figures.drawing import Drawing, Value
from app.figures.style import BAND_90, BLUE, GREEN, INK, MULTIPLIERS, ORANGE, add_legend, log_axis, panels
from app.scaling.predictors.point import Point
from app.scaling.predictors.predictor import Predictor

_RATIO = "c: multiply-adds relative to the baseline's"
_STEPS = 200
_COLUMNS = ("mark", "name", "c", "r", "r_sd", "d", "d_sd", "w", "accuracy", "accuracy_sd")

Curve = list[dict[str, float]]


def predictor_curve(predictor: Predictor, published: Sequence[Point] = ()) -> Drawing:
    """Draw r(c), d(c) and, if known, accuracy(c), with 90 % bands and the networks that they were fitted on.

    `published` are other networks, such as the paper's TinyNets. Their r and d are drawn, but not their accuracy, which
    is that of another data set. Data: a row per step of the curve, then a row per network.
    """
    other_networks = [p for p in published if p not in predictor.points]
    ratios = [p.c for p in (*predictor.points, *other_networks)]
    curve = predictor.curve(min(ratios) * 0.8, max(ratios) * 1.25, _STEPS)
    names = dict(list(MULTIPLIERS.items())[:2])
    if predictor.accuracy is not None:
        names["accuracy"] = "accuracy (%)"
    figure, all_axes = panels(len(names))
    for axes, (name, label) in zip(all_axes, names.items(), strict=True):
        _draw_regression(axes, name, curve, [p for p in predictor.points if getattr(p, name) is not None])
        if name != "accuracy":
            _draw_published(axes, name, other_networks)
        axes.set_ylabel(label)
        log_axis(axes, _RATIO, [point["c"] for point in curve])
    add_legend(figure, all_axes[0])
    min_c, max_c = predictor.range
    caption = (
        f"r(c), d(c) with 90 % bands, fitted on {len(predictor.points)} networks, c from {min_c:.2g} to {max_c:.2g}."
    )
    rows: list[tuple[Value, ...]] = [("curve", *[point.get(column) for column in _COLUMNS[1:]]) for point in curve]
    rows += [_network_row("fitted", p) for p in predictor.points]
    rows += [_network_row("published", p) for p in other_networks]
    return Drawing.create(figure, caption, _COLUMNS, rows)


def _draw_regression(axes: Axes, name: str, curve: Curve, points: list[Point]) -> None:
    scale = 100 if name == "accuracy" else 1
    c, mean, sd = (np.array([point[column] for point in curve]) for column in ("c", name, f"{name}_sd"))
    low, high = scale * (mean - BAND_90 * sd), scale * (mean + BAND_90 * sd)
    axes.fill_between(c, low, high, color=BLUE, alpha=0.14, linewidth=0, label="90 % band")
    axes.plot(c, scale * mean, color=BLUE, linewidth=1.8, label="predicted")
    values = [scale * getattr(p, name) for p in points]
    axes.plot([p.c for p in points], values, "o", color=ORANGE, label="networks fitted on")
    _label_points(axes, points, values)


def _draw_published(axes: Axes, name: str, points: list[Point]) -> None:
    if points:
        values = [getattr(p, name) for p in points]
        label = "published TinyNets (EfficientNet-B0, ImageNet)"
        axes.plot([p.c for p in points], values, "s", color=GREEN, markeredgecolor=INK, markersize=6, label=label)
        _label_points(axes, points, values)


def _label_points(axes: Axes, points: list[Point], values: list[float]) -> None:
    for point, value in zip(points, values, strict=True):
        if point.name is not None:
            short = point.name.removeprefix("tinynet_").upper()
            axes.annotate(short, (point.c, value), (-4, 5), textcoords="offset points", ha="right", fontsize=9)


def _network_row(mark: str, point: Point) -> tuple[Value, ...]:
    return (mark, *[getattr(point, column, None) for column in _COLUMNS[1:]])
