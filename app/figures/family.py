"""The family that the rules give, trained: accuracy against FLOPs by rule (paper: the table of TinyNets)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation

from app.figures.drawing import Drawing, Value, note
from app.figures.style import BLUE, FLOPS, GREEN, GREY, INK, ORANGE, PINK, key, log_axis, millions, panels

_COLUMNS = ("rule", "recipe", "target_flops", "flops", "seeds", "mean", "sd", "accuracies")
_AS_STUDIED = "same"  # the recipe of the study itself
_APART = 4.0  # points between marks of one budget, which stand side by side


class _Look(NamedTuple):
    colour: str
    marker: str


_LOOKS = {
    "tiny_formula": _Look(BLUE, "o"),
    "compound": _Look(PINK, "D"),
    "surrogate": _Look(ORANGE, "s"),
    "dwr": _Look(GREEN, "^"),
    "fast": _Look(INK, "v"),
}
_OTHERS = _Look(GREY, "P")


@dataclass(frozen=True)
class Member:
    """A network of the family: the budget and rule it comes from, its multiply-adds, and what each seed reached.

    `recipe` is `same` (as the study's) or what it adds, such as `randaugment`; accuracies are from 0 to 1.
    """

    target_flops: int
    rule: str
    recipe: str
    flops: int
    accuracies: tuple[float, ...]

    @property
    def mean(self) -> float:
        return fmean(self.accuracies)

    @property
    def sd(self) -> float | None:
        """Between seeds (n - 1); none for one seed."""
        return stdev(self.accuracies) if len(self.accuracies) > 1 else None


def family(members: Sequence[Member]) -> Drawing:
    """Accuracy, mean and standard deviation over seeds, against multiply-adds by rule; a filled mark is the study's
    recipe, a hollow one another (RandAugment). Data: a row a network.
    """
    trained = sorted((m for m in members if m.accuracies), key=lambda m: (m.rule, m.recipe != _AS_STUDIED, m.flops))
    if not trained:
        return note("no network of the family has been trained yet", _COLUMNS)
    figure, (axes,) = panels(1, size=(7.2, 4.8))
    axes.set_ylabel("accuracy (%)")
    kinds = list(dict.fromkeys((m.rule, m.recipe) for m in trained))
    for place, (rule, recipe) in enumerate(kinds):
        these = [m for m in trained if (m.rule, m.recipe) == (rule, recipe)]
        look = _LOOKS.get(rule, _OTHERS)
        aside = ScaledTranslation(_APART * (place - (len(kinds) - 1) / 2) / 72, 0, figure.dpi_scale_trans)
        studied = recipe == _AS_STUDIED
        axes.errorbar(
            millions([m.flops for m in these]),
            [100 * m.mean for m in these],
            [100 * (m.sd or 0.0) for m in these],
            fmt=look.marker,
            color=look.colour,
            markerfacecolor=look.colour if studied else "white",
            markeredgecolor="white" if studied else look.colour,
            markeredgewidth=0.7 if studied else 1.4,
            elinewidth=1.3,
            capsize=2.5,
            transform=axes.transData + aside,
            label=rule.replace("_", " ") + ("" if studied else f", {_spelled(recipe)}"),
        )
    log_axis(axes, FLOPS, millions([m.flops for m in trained]))
    _limits(axes, trained)
    axes.set_title("mean ± standard deviation over seeds; marks of one budget stand side by side", fontsize=9)
    key(figure, axes)
    rules = ", ".join(dict.fromkeys(m.rule.replace("_", " ") for m in trained))
    says = f"Accuracy, mean and sd over seeds, against multiply-adds of {len(trained)} networks by rule: {rules}."
    return Drawing.of(figure, says, _COLUMNS, [_row(m) for m in trained])


def _limits(axes: Axes, trained: list[Member]) -> None:
    """Of the values themselves: marks that are moved aside are not counted by themselves."""
    flops = millions([m.flops for m in trained])
    low, high = (100 * edge for edge in _extremes(trained))
    room = 0.08 * max(high - low, 1.0)
    axes.set(xlim=(min(flops) / 1.2, max(flops) * 1.2), ylim=(low - room, high + room))


def _extremes(trained: list[Member]) -> tuple[float, float]:
    return min(m.mean - (m.sd or 0.0) for m in trained), max(m.mean + (m.sd or 0.0) for m in trained)


def _row(m: Member) -> tuple[Value, ...]:
    accuracies = " ".join(map(repr, m.accuracies))
    return m.rule, m.recipe, m.target_flops, m.flops, len(m.accuracies), m.mean, m.sd, accuracies


def _spelled(recipe: str) -> str:
    return {"randaugment": "with RandAugment"}.get(recipe, recipe)
