"""The growth of the front during a study: its hypervolume against trainings and against epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from matplotlib.ticker import MaxNLocator

from app.figures.drawing import Drawing, empty_drawing
from app.figures.style import BLUE, GREEN, INK, ORANGE, PINK, LineStyle, add_legend, panels
from app.scaling.search import front

_COLOURS = (BLUE, ORANGE, GREEN, PINK, INK)
_MIN_TRAININGS_TO_CROP = 20
_REFERENCE_COST_FACTOR = 1.01  # the reference costs slightly more than any network, so that each one counts


class FinishedTraining(NamedTuple):
    """A finished training: its epochs, the network's multiply-adds, and its accuracy (0 to 1)."""

    epochs: float
    flops: int
    accuracy: float


class _Row(NamedTuple):
    """A point of a curve: the state of a series after this many trainings."""

    series: str
    trainings: int
    epochs_spent: float
    flops: int
    accuracy: float
    hypervolume: float


def hypervolume(series: Mapping[str, Sequence[FinishedTraining]]) -> Drawing:
    """Draw the front's hypervolume after each training of each series (`random`, `active`, …), in the order finished.

    All series have one reference point: slightly more multiply-adds than any of their networks, and accuracy 0. Data: a
    row per training.
    """
    non_empty = {name: finished for name, finished in series.items() if finished}
    if not non_empty:
        return empty_drawing("no network has been trained yet", _Row._fields)
    reference = (_REFERENCE_COST_FACTOR * max(f.flops for finished in non_empty.values() for f in finished), 0.0)
    figure, (by_trainings, by_epochs) = panels(2, share_y=True, size=(8.6, 4.0))
    rows = list[_Row]()
    for (name, finished), colour in zip(non_empty.items(), _COLOURS, strict=False):
        trainings, epochs = list(range(1, len(finished) + 1)), list(accumulate(f.epochs for f in finished))
        hypervolumes = _hypervolumes(finished, reference)
        style: LineStyle = {"color": colour, "linewidth": 1.8}
        if len(finished) <= 40:
            style["marker"] = "o"
        label = f"{name}: {hypervolumes[-1]:.3f}"
        by_trainings.plot(trainings, hypervolumes, drawstyle="steps-post", markersize=4, label=label, **style)
        by_epochs.plot(epochs, hypervolumes, drawstyle="steps-post", markersize=4, label=label, **style)
        rows += [
            _Row(name, n, spent, f.flops, f.accuracy, v)
            for n, spent, f, v in zip(trainings, epochs, finished, hypervolumes, strict=True)
        ]
    by_trainings.set_ylabel("hypervolume\n(decades of multiply-adds × accuracy)")
    by_trainings.set_xlabel("networks trained")
    by_epochs.set_xlabel("epochs spent")
    for axes in (by_trainings, by_epochs):
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlim(left=0)
    by_trainings.set_ylim(bottom=_lower_limit(rows))
    by_trainings.set_title(f"reference point: {reference[0] / 1e6:.3g} million multiply-adds, accuracy 0")
    add_legend(figure, by_trainings)
    summaries = "; ".join(f"{row.series} {row.hypervolume:.3f} after {row.trainings}" for row in _last_rows(rows))
    caption = f"Hypervolume of the front against trainings and epochs: {summaries}."
    return Drawing.create(figure, caption, _Row._fields, rows)


def _hypervolumes(finished: Sequence[FinishedTraining], reference: tuple[float, float]) -> list[float]:
    """Return the hypervolume after each training; it is computed only when a network joins the front."""
    best: list[FinishedTraining] = []
    hypervolumes, current = [], 0.0
    for f in finished:
        if not any(b.flops <= f.flops and b.accuracy >= f.accuracy for b in best):
            best = [b for b in best if b.flops < f.flops or b.accuracy > f.accuracy] + [f]
            current = front.hypervolume([b.flops for b in best], [b.accuracy for b in best], reference)
        hypervolumes.append(current)
    return hypervolumes


def _lower_limit(rows: list[_Row]) -> float | None:
    """Return a lower limit of the axis that hides the first networks' large steps and so shows the later growth."""
    longest = max(row.trainings for row in rows)
    later = [row.hypervolume for row in rows if row.trainings >= 0.1 * longest]
    return 0.98 * min(later) if longest >= _MIN_TRAININGS_TO_CROP else None


def _last_rows(rows: list[_Row]) -> list[_Row]:
    return list({row.series: row for row in rows}.values())
