"""Accuracy against a network's cost, with the front (paper: networks over a range of FLOPs)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Unpack

from matplotlib.axes import Axes

from app.figures.drawing import Drawing, Value, empty_drawing
from app.figures.networks import COLUMNS, describe_count, describe_role, observation_row, split_compound
from app.figures.style import (
    COMPOUND,
    FLOPS,
    GREY,
    MAX_VECTOR_MARKS,
    ORANGE,
    LineStyle,
    add_legend,
    log_axis,
    millions,
    panels,
    percent,
)
from app.scaling.search.front import non_dominated
from app.scaling.search.observations import Observation

_COLUMNS = ("mark", *COLUMNS)
_MIN_LATENCY_MS = 1e-6  # ms
_LATENCY = "milliseconds an image (onnxruntime, one thread, median)"


def accuracy_against_flops(observations: list[Observation], front: list[Observation]) -> Drawing:
    """Draw accuracy against FLOPs, with the networks that NSGA-III selects marked and their front as a line.

    Compound-shrunk networks have a mark of their own. Data: a row per mark, first each `network`, then those `kept`,
    then those `joined` by the line.
    """
    if not observations:
        return empty_drawing("no network has been trained yet", _COLUMNS)
    figure, (axes,) = panels(1)
    joined = [front[i] for i in non_dominated([o.flops for o in front], [o.accuracy for o in front])]
    joined.sort(key=lambda o: o.flops)
    _draw(axes, observations, front, joined, lambda o: o.flops / 1e6, f"the {len(front)} that NSGA-III keeps")
    log_axis(axes, FLOPS, millions([o.flops for o in observations]))
    add_legend(figure, axes)
    caption = f"Accuracy against multiply-adds of {len(observations)} networks; NSGA-III keeps {len(front)} of them."
    return Drawing.create(figure, caption, _COLUMNS, _rows(observations, front, joined))


def accuracy_against_latency(observations: list[Observation], front: list[Observation]) -> Drawing:
    """Draw accuracy against latency for the networks that have one, with their front as a line.

    Low FLOPs do not imply low latency: the networks that NSGA-III selects by FLOPs are marked, and may lie off that
    line. Data: as in `accuracy_against_flops`.
    """
    measured = [o for o in observations if _has_latency(o)]
    kept = [o for o in front if _has_latency(o)]
    if not measured:
        return empty_drawing("no network's latency has been measured yet", _COLUMNS)
    figure, (axes,) = panels(1)
    latencies = [_get_latency(o) for o in measured]
    joined = sorted((measured[i] for i in non_dominated(latencies, [o.accuracy for o in measured])), key=_get_latency)
    _draw(axes, measured, kept, joined, _get_latency, f"the {len(kept)} that NSGA-III keeps by FLOPs")
    log_axis(axes, _LATENCY, latencies)
    add_legend(figure, axes)
    caption = f"Accuracy against milliseconds an image of {len(measured)} networks, the best of them by latency joined."
    return Drawing.create(figure, caption, _COLUMNS, _rows(measured, kept, joined))


def _draw(
    axes: Axes,
    observations: list[Observation],
    kept: list[Observation],
    joined: list[Observation],
    cost: Callable[[Observation], float],
    kept_label: str,
) -> None:
    compound, others = split_compound(observations)
    axes.set_ylabel("accuracy (%)")

    def plot(points: list[Observation], *formats: str, label: str | None = None, **style: Unpack[LineStyle]) -> None:
        axes.plot([cost(o) for o in points], percent([o.accuracy for o in points]), *formats, label=label, **style)

    size = 7 if len(observations) <= 100 else 5
    style: LineStyle = {"color": GREY, "alpha": 0.7, "markersize": size, "rasterized": len(others) > MAX_VECTOR_MARKS}
    plot(others, "o", **style, label=describe_count(len(others), describe_role(others)))
    plot(joined, color=ORANGE, linewidth=1.6)
    if kept:
        plot(kept, "o", color=ORANGE, markersize=size + 1, label=kept_label)
    if compound:
        plot(compound, **COMPOUND, label=describe_count(len(compound), "compound-shrunk"))


def _rows(
    observations: list[Observation], kept: list[Observation], joined: list[Observation]
) -> list[tuple[Value, ...]]:
    marks = {"network": observations, "kept": kept, "joined": joined}
    return [(mark, *observation_row(o)) for mark, items in marks.items() for o in items]


def _has_latency(o: Observation) -> bool:
    """Return whether the latency was measured; 0 has no place on a logarithmic axis."""
    return o.latency_ms is not None and o.latency_ms >= _MIN_LATENCY_MS


def _get_latency(o: Observation) -> float:
    assert o.latency_ms is not None
    return o.latency_ms
