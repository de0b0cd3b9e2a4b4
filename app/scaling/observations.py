"""Finished trainings as numbers: the only place where an observation becomes a point of a Gaussian process."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from app.scaling.predictor import Point


@dataclass(frozen=True)
class Observation:
    """A network that was trained: multipliers, flops ratio c to the baseline, cost, and accuracy from 0 to 1."""

    r: float
    d: float
    w: float
    c: float
    flops: int
    params: int
    accuracy: float
    trial: str | None = None


def points(observations: list[Observation]) -> list[Point]:
    """One point a network: repeats (other seeds) are averaged, what is no number is left out."""
    networks: dict[tuple[float, float, float, float], list[float]] = {}
    for o in observations:
        if isfinite(o.accuracy):
            networks.setdefault((o.c, o.r, o.d, o.w), []).append(o.accuracy)
    return [Point(c, r, d, w, sum(seen) / len(seen)) for (c, r, d, w), seen in networks.items()]
