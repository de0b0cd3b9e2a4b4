"""The names of the figures (`app.figures.FIGURES`), for commands that start without the server's packages."""

from __future__ import annotations

from typing import Literal, get_args

FigureName = Literal[
    "accuracy-against-multipliers",
    "accuracy-against-flops",
    "accuracy-against-latency",
    "multipliers-against-flops",
    "predictor-curve",
    "predicted-against-measured",
    "hypervolume",
    "family",
]
FigureFormat = Literal["svg", "png", "csv"]
FIGURE_NAMES: tuple[FigureName, ...] = get_args(FigureName)
