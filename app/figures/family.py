"""The trained networks that the rules recommend: accuracy against FLOPs by rule (paper: the table of TinyNets)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation

from app.figures.drawing import Drawing, Value, empty_drawing
from app.figures.style import BLUE, FLOPS, GREEN, GREY, INK, ORANGE, PINK, add_legend, log_axis, millions, panels

_COLUMNS = ("rule", "recipe", "target_flops", "flops", "seeds", "mean", "sd", "accuracies")
_STUDY_RECIPE = "same"  # the recipe of the study itself
_OFFSET_POINTS = 4.0  # points between marks of one budget, drawn side by side


class _Style(NamedTuple):
    colour: str
    marker: str


_STYLES = {
    "tiny_formula": _Style(BLUE, "o"),
    "compound": _Style(PINK, "D"),
    "surrogate": _Style(ORANGE, "s"),
    "dwr": _Style(GREEN, "^"),
    "fast": _Style(INK, "v"),
}
_OTHER_STYLE = _Style(GREY, "P")


@dataclass(frozen=True)
class Member:
    """A network of the family: its budget and rule, its multiply-adds, and the accuracy of each seed.

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
        """The standard deviation between seeds (n - 1); None for one seed."""
        return stdev(self.accuracies) if len(self.accuracies) > 1 else None


def family(members: Sequence[Member]) -> Drawing:
    """Draw accuracy, mean and standard deviation over seeds, against multiply-adds by rule.

    Filled marks have the study's recipe, hollow ones another (RandAugment). Data: a row per network.
    """
    trained = sorted((m for m in members if m.accuracies), key=lambda m: (m.rule, m.recipe != _STUDY_RECIPE, m.flops))
    if not trained:
        return empty_drawing("no network of the family has been trained yet", _COLUMNS)
    figure, (axes,) = panels(1, size=(7.2, 4.8))
    axes.set_ylabel("accuracy (%)")
    groups = list(dict.fromkeys((m.rule, m.recipe) for m in trained))
    for index, (rule, recipe) in enumerate(groups):
        group = [m for m in trained if (m.rule, m.recipe) == (rule, recipe)]
        style = _STYLES.get(rule, _OTHER_STYLE)
        offset = ScaledTranslation(_OFFSET_POINTS * (index - (len(groups) - 1) / 2) / 72, 0, figure.dpi_scale_trans)
        is_study_recipe = recipe == _STUDY_RECIPE
        axes.errorbar(
            millions([m.flops for m in group]),
            [100 * m.mean for m in group],
            [100 * (m.sd or 0.0) for m in group],
            fmt=style.marker,
            color=style.colour,
            markerfacecolor=style.colour if is_study_recipe else "white",
            markeredgecolor="white" if is_study_recipe else style.colour,
            markeredgewidth=0.7 if is_study_recipe else 1.4,
            elinewidth=1.3,
            capsize=2.5,
            transform=axes.transData + offset,
            label=rule.replace("_", " ") + ("" if is_study_recipe else f", {_recipe_label(recipe)}"),
        )
    log_axis(axes, FLOPS, millions([m.flops for m in trained]))
    _limits(axes, trained)
    axes.set_title("mean ± standard deviation over seeds; marks of one budget stand side by side", fontsize=9)
    add_legend(figure, axes)
    rules = ", ".join(dict.fromkeys(m.rule.replace("_", " ") for m in trained))
    caption = f"Accuracy, mean and sd over seeds, against multiply-adds of {len(trained)} networks by rule: {rules}."
    return Drawing.create(figure, caption, _COLUMNS, [_csv_row(m) for m in trained])


def _limits(axes: Axes, trained: list[Member]) -> None:
    """Set the axes' limits from the values themselves, as matplotlib ignores the offset of marks."""
    flops = millions([m.flops for m in trained])
    low, high = (100 * edge for edge in _extremes(trained))
    margin = 0.08 * max(high - low, 1.0)
    axes.set(xlim=(min(flops) / 1.2, max(flops) * 1.2), ylim=(low - margin, high + margin))


def _extremes(trained: list[Member]) -> tuple[float, float]:
    return min(m.mean - (m.sd or 0.0) for m in trained), max(m.mean + (m.sd or 0.0) for m in trained)


def _csv_row(m: Member) -> tuple[Value, ...]:
    accuracies = " ".join(map(repr, m.accuracies))
    return m.rule, m.recipe, m.target_flops, m.flops, len(m.accuracies), m.mean, m.sd, accuracies


def _recipe_label(recipe: str) -> str:
    return {"randaugment": "with RandAugment"}.get(recipe, recipe)
