"""The paper's figures, drawn from plain values, each with its data as CSV. FLOPs are multiply-adds, as everywhere."""

from __future__ import annotations

from collections.abc import Callable

from app.core.figures import FigureName
from app.figures.accuracy import accuracy_against_flops, accuracy_against_latency
from app.figures.drawing import Drawing
from app.figures.experiment import ContrastMarks, Span, accuracy_by_rule, differences_by_budget
from app.figures.family import Member, family
from app.figures.multipliers import accuracy_against_multipliers, multipliers_against_flops
from app.figures.prediction import predicted_against_measured
from app.figures.predictor import predictor_curve
from app.figures.progress import FinishedTraining, hypervolume

__all__ = [
    "FIGURES",
    "ContrastMarks",
    "Drawing",
    "FinishedTraining",
    "Member",
    "Span",
    "accuracy_against_flops",
    "accuracy_against_latency",
    "accuracy_against_multipliers",
    "accuracy_by_rule",
    "differences_by_budget",
    "family",
    "hypervolume",
    "multipliers_against_flops",
    "predicted_against_measured",
    "predictor_curve",
]

FIGURES: dict[FigureName, Callable[..., Drawing]] = {
    "accuracy-against-multipliers": accuracy_against_multipliers,
    "accuracy-against-flops": accuracy_against_flops,
    "accuracy-against-latency": accuracy_against_latency,
    "multipliers-against-flops": multipliers_against_flops,
    "predictor-curve": predictor_curve,
    "predicted-against-measured": predicted_against_measured,
    "hypervolume": hypervolume,
    "family": family,
}
