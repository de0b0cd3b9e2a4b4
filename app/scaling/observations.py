"""Finished trainings as numbers: the only place where an observation becomes a point of a Gaussian process."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from statistics import fmean

from app.scaling.predictor import Point


@dataclass(frozen=True)
class Observation:
    """A network that was trained: multipliers, flops ratio c to the baseline, cost, and accuracy from 0 to 1.

    `latency_ms` is for one image, where it was measured. `role` says why it was trained: random, active, compound,
    recommended, import (from outside), told (by an AutoML tool) or family.
    """

    r: float
    d: float
    w: float
    c: float
    flops: int
    params: int
    accuracy: float
    trial: str | None = None
    latency_ms: float | None = None
    role: str = "random"


def points(observations: list[Observation]) -> list[Point]:
    """One point a network, in the order seen: repeats (other seeds) are averaged, what is no number is left out."""
    networks: dict[tuple[float, float, float, int], list[Observation]] = {}
    for o in observations:
        if isfinite(o.accuracy):
            networks.setdefault((o.r, o.d, o.w, o.flops), []).append(o)
    return [Point(seen[0].c, r, d, w, fmean(o.accuracy for o in seen)) for (r, d, w, _), seen in networks.items()]
