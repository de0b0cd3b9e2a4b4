"""How the front grows while networks are trained: its hypervolume against trainings and against epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from matplotlib.ticker import MaxNLocator

from app.figures.drawing import Drawing, note
from app.figures.style import BLUE, GREEN, INK, ORANGE, PINK, key, panels
from app.scaling import front

_COLUMNS = ("series", "trainings", "epochs_spent", "flops", "accuracy", "hypervolume")
_COLOURS = (BLUE, ORANGE, GREEN, PINK, INK)
_MANY = 20
_BEYOND = 1.01  # the reference is a little costlier than any network, so that each counts


class Finished(NamedTuple):
    """A training that has ended: the epochs that it took, the network's multiply-adds, its accuracy (0 to 1)."""

    epochs: float
    flops: int
    accuracy: float


def hypervolume(series: Mapping[str, Sequence[Finished]]) -> Drawing:
    """The front's hypervolume after each training, of each series (`random`, `active`, …), in the order finished.

    All series have one reference point: slightly more multiply-adds than any network of theirs, and no accuracy at
    all. Data: a row a training.
    """
    known = {name: finished for name, finished in series.items() if finished}
    if not known:
        return note("no network has been trained yet", _COLUMNS)
    reference = (_BEYOND * max(f.flops for finished in known.values() for f in finished), 0.0)
    figure, (by_trainings, by_epochs) = panels(2, share_y=True, size=(8.6, 4.0))
    rows = []
    for (name, finished), colour in zip(known.items(), _COLOURS, strict=False):
        trainings, epochs = list(range(1, len(finished) + 1)), list(accumulate(f.epochs for f in finished))
        reached = _reached(finished, reference)
        looks = {"color": colour, "linewidth": 1.8, "label": f"{name}: {reached[-1]:.3f}"}
        few = {"marker": "o"} if len(finished) <= 40 else {}
        by_trainings.plot(trainings, reached, drawstyle="steps-post", markersize=4, **few, **looks)
        by_epochs.plot(epochs, reached, drawstyle="steps-post", markersize=4, **few, **looks)
        rows += [
            (name, n, spent, f.flops, f.accuracy, v)
            for n, spent, f, v in zip(trainings, epochs, finished, reached, strict=True)
        ]
    by_trainings.set_ylabel("hypervolume\n(decades of multiply-adds × accuracy)")
    by_trainings.set_xlabel("networks trained")
    by_epochs.set_xlabel("epochs spent")
    for axes in (by_trainings, by_epochs):
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlim(left=0)
    by_trainings.set_ylim(bottom=_bottom(rows))
    by_trainings.set_title(f"reference point: {reference[0] / 1e6:.3g} million multiply-adds, accuracy 0")
    key(figure, by_trainings)
    told = "; ".join(f"{name} {row[-1]:.3f} after {row[1]}" for name, row in ((r[0], r) for r in _last(rows)))
    return Drawing.of(figure, f"Hypervolume of the front against trainings and epochs: {told}.", _COLUMNS, rows)


def _reached(finished: Sequence[Finished], reference: tuple[float, float]) -> list[float]:
    """The hypervolume after each; measured anew only where a network joins the front."""
    best: list[Finished] = []
    reached, now = [], 0.0
    for f in finished:
        if not any(b.flops <= f.flops and b.accuracy >= f.accuracy for b in best):
            best = [b for b in best if b.flops < f.flops or b.accuracy > f.accuracy] + [f]
            now = front.hypervolume([b.flops for b in best], [b.accuracy for b in best], reference)
        reached.append(now)
    return reached


def _bottom(rows: list[tuple]) -> float | None:
    """From here on the later growth can be seen: the first networks make steps that would dwarf it."""
    longest = max(row[1] for row in rows)
    settled = [row[-1] for row in rows if row[1] >= 0.1 * longest]
    return 0.98 * min(settled) if longest >= _MANY else None


def _last(rows: list[tuple]) -> list[tuple]:
    return list({row[0]: row for row in rows}.values())
