"""Finished trainings as numbers: the only place where an observation becomes a point of a Gaussian process."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from statistics import fmean, median

from app.scaling.architecture import Architecture, Config
from app.scaling.families import network_cost
from app.scaling.point import Point
from app.scaling.rounding import round_resolution

NetworkKey = tuple[int, int, int]


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


def network_key(architecture: Architecture, network: Config | Observation) -> NetworkKey:
    """Input side in px, multiply-adds and parameters: alike for one network, however its multipliers were written."""
    if isinstance(network, Config):
        cost = network_cost(network)
        return network.resolution, cost.flops, cost.params
    return round_resolution(architecture.baseline.resolution, network.r), network.flops, network.params


def networks(observations: list[Observation]) -> list[Observation]:
    """One observation a network, in the order seen: its mean accuracy and its median latency.

    Of several seeds the best is lucky: on a front it would stand for more than the network reaches. What has no finite
    accuracy is left out. The trial named is a network's first.
    """
    seen: dict[tuple[float, float, float, int], list[Observation]] = {}
    for o in observations:
        if isfinite(o.accuracy):
            seen.setdefault((o.r, o.d, o.w, o.flops), []).append(o)
    return [repeats[0] if len(repeats) == 1 else _averaged(repeats) for repeats in seen.values()]


def points(observations: list[Observation]) -> list[Point]:
    """One point a network, in the order seen: repeats (other seeds) are averaged, what is no number is left out."""
    return [Point(o.c, o.r, o.d, o.w, o.accuracy) for o in networks(observations)]


def _averaged(repeats: list[Observation]) -> Observation:
    timed = [o.latency_ms for o in repeats if o.latency_ms is not None]
    return replace(
        repeats[0],
        accuracy=fmean(o.accuracy for o in repeats),
        latency_ms=median(timed) if timed else None,
    )
