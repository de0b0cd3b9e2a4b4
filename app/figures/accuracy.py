"""Accuracy against what a network costs, with the front (paper: networks over a range of FLOPs)."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.axes import Axes

from app.figures.drawing import Drawing, Value, note
from app.figures.networks import COLUMNS, apart, called, kind, row
from app.figures.style import COMPOUND, FLOPS, GREY, MOST_MARKS, ORANGE, key, log_axis, millions, panels, percent
from app.scaling.front import non_dominated
from app.scaling.observations import Observation

_COLUMNS = ("mark", *COLUMNS)
_LEAST_LATENCY = 1e-6  # ms
_LATENCY = "milliseconds an image (onnxruntime, one thread, median)"


def accuracy_against_flops(observations: list[Observation], front: list[Observation]) -> Drawing:
    """Accuracy against FLOPs, the networks that NSGA-III keeps (`front`) marked, the front of them joined.

    Compound-shrunk networks have a mark of their own. Data: a row a mark, first each `network`, then those `kept`, then
    those `joined`.
    """
    if not observations:
        return note("no network has been trained yet", _COLUMNS)
    figure, (axes,) = panels(1)
    best = [front[i] for i in non_dominated([o.flops for o in front], [o.accuracy for o in front])]
    best.sort(key=lambda o: o.flops)
    _draw(axes, observations, front, best, lambda o: o.flops / 1e6, f"the {len(front)} that NSGA-III keeps")
    log_axis(axes, FLOPS, millions([o.flops for o in observations]))
    key(figure, axes)
    says = f"Accuracy against multiply-adds of {len(observations)} networks; NSGA-III keeps {len(front)} of them."
    return Drawing.of(figure, says, _COLUMNS, _rows(observations, front, best))


def accuracy_against_latency(observations: list[Observation], front: list[Observation]) -> Drawing:
    """Accuracy against latency, of the networks that have one, the front of them joined.

    Low FLOPs are not low latency: what NSGA-III keeps by FLOPs is marked, and need not lie on that line. Data: as of
    `accuracy_against_flops`.
    """
    timed = [o for o in observations if _timed(o)]
    kept = [o for o in front if _timed(o)]
    if not timed:
        return note("no network's latency has been measured yet", _COLUMNS)
    figure, (axes,) = panels(1)
    latencies = [_latency(o) for o in timed]
    best = sorted((timed[i] for i in non_dominated(latencies, [o.accuracy for o in timed])), key=_latency)
    _draw(axes, timed, kept, best, _latency, f"the {len(kept)} that NSGA-III keeps by FLOPs")
    log_axis(axes, _LATENCY, latencies)
    key(figure, axes)
    says = f"Accuracy against milliseconds an image of {len(timed)} networks, the best of them by latency joined."
    return Drawing.of(figure, says, _COLUMNS, _rows(timed, kept, best))


def _draw(
    axes: Axes,
    observations: list[Observation],
    kept: list[Observation],
    best: list[Observation],
    cost: Callable[[Observation], float],
    kept_label: str,
) -> None:
    compound, others = apart(observations)
    axes.set_ylabel("accuracy (%)")

    def plot(these: list[Observation], *shape: str, **looks: object) -> None:
        axes.plot([cost(o) for o in these], percent([o.accuracy for o in these]), *shape, **looks)

    size = 7 if len(observations) <= 100 else 5
    looks = {"color": GREY, "alpha": 0.7, "markersize": size, "rasterized": len(others) > MOST_MARKS}
    plot(others, "o", **looks, label=called(len(others), kind(others)))
    plot(best, color=ORANGE, linewidth=1.6)
    if kept:
        plot(kept, "o", color=ORANGE, markersize=size + 1, label=kept_label)
    if compound:
        plot(compound, **COMPOUND, label=called(len(compound), "compound-shrunk"))


def _rows(observations: list[Observation], kept: list[Observation], best: list[Observation]) -> list[tuple[Value, ...]]:
    marks = {"network": observations, "kept": kept, "joined": best}
    return [(mark, *row(o)) for mark, those in marks.items() for o in those]


def _timed(o: Observation) -> bool:
    """Whether its latency was measured: nothing takes no time, and a logarithmic axis has no place for it."""
    return o.latency_ms is not None and o.latency_ms >= _LEAST_LATENCY


def _latency(o: Observation) -> float:
    assert o.latency_ms is not None
    return o.latency_ms
