"""Finished trainings as numbers; only this module converts observations to points of a Gaussian process."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from math import isfinite
from statistics import fmean, median

from app.scaling.families import network_cost
from app.scaling.input_sizes import scale_resolution
from app.scaling.network import Architecture, Config
from app.scaling.predictors.learning_curves import (
    LearningCurve,
    estimate_accuracies,
    highest_common_epoch,
    to_evidence_points,
)
from app.scaling.predictors.network_features import features_at
from app.scaling.predictors.point import BuiltPoint, Point
from app.scaling.predictors.surrogate import MIN_NETWORKS, count_networks
from app.scaling.resolution import Resolution

NetworkKey = tuple[Resolution, int, int]


class Role(StrEnum):
    """Why a network was trained."""

    RANDOM = "random"
    ACTIVE = "active"
    COMPOUND = "compound"
    RECOMMENDED = "recommended"
    FAMILY = "family"
    IMPORT = "import"
    REPORTED = "reported"

    @property
    def counts(self) -> bool:
        """Whether the network may be on a front and in a fit; the others were trained for comparison only."""
        return self not in (Role.COMPOUND, Role.FAMILY)

    @property
    def is_sampled(self) -> bool:
        """Whether a sampler of the study selected the network; only such networks can be stopped early."""
        return self in (Role.RANDOM, Role.ACTIVE)


@dataclass(frozen=True)
class Observation:
    """A trained network: multipliers, flops ratio c to the baseline, cost, and accuracy from 0 to 1.

    `latency_ms` is for one image, if it was measured. `curve` has the accuracies that are known from during the
    training, as pairs (epoch, accuracy).
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
    role: Role = Role.RANDOM
    curve: tuple[tuple[int, float], ...] = ()


def network_key(architecture: Architecture, network: Config | Observation) -> NetworkKey:
    """Return resolution, multiply-adds and parameters, which identify a network for any multipliers."""
    if isinstance(network, Config):
        cost = network_cost(network)
        return network.resolution, cost.flops, cost.params
    return scale_resolution(architecture.baseline.resolution, network.r), network.flops, network.params


def average_repeats(observations: list[Observation]) -> list[Observation]:
    """Return one observation per network, in the order of input, with its mean accuracy and median latency.

    The best of several seeds is lucky, and on a front it would overstate the network. Observations without a finite
    accuracy are dropped. The trial is that of a network's first observation.
    """
    groups: dict[tuple[float, float, float, int], list[Observation]] = {}
    for o in observations:
        if isfinite(o.accuracy):
            groups.setdefault((o.r, o.d, o.w, o.flops), []).append(o)
    return [repeats[0] if len(repeats) == 1 else _average(repeats) for repeats in groups.values()]


def to_points(observations: list[Observation]) -> list[Point]:
    """Return one point per network, in the order of input: repeats averaged, non-finite accuracies dropped."""
    return [Point(o.c, o.r, o.d, o.w, o.accuracy) for o in average_repeats(observations)]


def to_built_points(architecture: Architecture, observations: list[Observation]) -> list[BuiltPoint]:
    """Return a point with features per observation, in the order of input; the surrogate averages repeats itself."""
    features = features_at(architecture, *([getattr(o, name) for o in observations] for name in ("c", "r", "d")))
    return [
        BuiltPoint(o.c, o.r, o.d, o.w, o.accuracy, features=tuple(own))
        for o, own in zip(observations, features.tolist(), strict=True)
    ]


def to_curves(architecture: Architecture, trainings: list[Observation]) -> list[LearningCurve]:
    """Return the learning curve of each training, without accuracies that are not finite."""
    points = to_built_points(architecture, trainings)
    return [
        LearningCurve(point, {epoch: accuracy for epoch, accuracy in o.curve if isfinite(accuracy)})
        for point, o in zip(points, trainings, strict=True)
    ]


def _measured(architecture: Architecture, observations: list[Observation]) -> list[BuiltPoint]:
    return [p for p in to_built_points(architecture, observations) if p.is_measured]


def to_evidence(
    architecture: Architecture, finished: list[Observation], partial: list[Observation], epochs: int
) -> tuple[list[BuiltPoint], int]:
    """Return the points that a sampler learns from, and the epoch that their accuracies refer to.

    That is `epochs`, a full training's, if enough different networks are `finished`; else the highest epoch that enough
    networks have reached. The accuracies of `partial` trainings, of which only the `curve` is used, and of those that
    stopped before that epoch are estimated from their curves.
    """
    if (
        not any(o.curve for o in partial)
        and count_networks(points := _measured(architecture, finished)) >= MIN_NETWORKS
    ):
        return points, epochs
    full = [replace(o, curve=(*o.curve, (epochs, o.accuracy))) for o in finished]
    curves = to_curves(architecture, [*full, *partial])
    epoch = highest_common_epoch(curves) or epochs
    return to_evidence_points([p for p in estimate_accuracies(curves, epoch) if p is not None]), epoch


def _average(repeats: list[Observation]) -> Observation:
    latencies = [o.latency_ms for o in repeats if o.latency_ms is not None]
    return replace(
        repeats[0],
        accuracy=fmean(o.accuracy for o in repeats),
        latency_ms=median(latencies) if latencies else None,
    )
