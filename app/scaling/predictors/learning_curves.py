"""Learning curves: the accuracy that a training will reach, from its accuracy after some of the epochs.

For trainings that stopped or still run, the accuracy at a later epoch is predicted from the network's features and its
last accuracy, by a Gaussian process over both, fitted on the trainings that reached that epoch: the nonlinear
autoregressive scheme of Perdikaris et al. (2017), which generalizes the co-kriging of Kennedy and O'Hagan (2000). Such
an estimate becomes a point of the surrogate with a variance of its own, so that it counts for less than a measurement.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.scaling.predictors.point import BuiltPoint, Point
from app.scaling.predictors.surrogate import MIN_NETWORKS, Surrogate, to_accuracy, to_log_error

Array = NDArray[np.float64]

_MAX_MODELS = 8  # epochs from which accuracies are predicted; trainings at other epochs use the one before
_MAX_POINTS = 256  # of each model
_MIN_GAIN = 0.05  # relative gain of precision below which an estimate is not used


@dataclass(frozen=True)
class LearningCurve:
    """A training: its network, and the accuracies (0 to 1, finite) after some of its epochs."""

    network: BuiltPoint
    accuracies: Mapping[int, float]


def highest_common_epoch(curves: list[LearningCurve]) -> int | None:
    """Return the highest epoch after which enough different networks were measured to fit a surrogate, if any."""
    networks: dict[int, set[tuple[float, ...]]] = {}
    for curve in curves:
        for epoch in curve.accuracies:
            networks.setdefault(epoch, set()).add(curve.network.features)
    return max((epoch for epoch, found in networks.items() if len(found) >= MIN_NETWORKS), default=None)


def estimate_accuracies(curves: list[LearningCurve], epoch: int) -> list[BuiltPoint | None]:
    """Return each network with its accuracy after `epoch` epochs, measured or estimated.

    It is None if there is no estimate: fewer than eight networks were measured both after `epoch` and after one of the
    earlier epochs at which this network was measured.
    """
    points: list[BuiltPoint | None] = [
        replace(curve.network, accuracy=curve.accuracies[epoch]) if epoch in curve.accuracies else None
        for curve in curves
    ]
    complete = [curve for curve in curves if epoch in curve.accuracies]
    usable = _usable_epochs(complete, epoch)
    last = [None if point else _last_epoch(curve, usable) for point, curve in zip(points, curves, strict=True)]
    modelled = _most_used(last)
    for i, curve in enumerate(curves):
        last[i] = None if points[i] else _last_epoch(curve, modelled)
    for start in sorted({start for start in last if start is not None}):
        indices = [i for i, own in enumerate(last) if own == start]
        estimates = _estimate([curves[i] for i in indices], complete, start, epoch)
        for i, estimate in zip(indices, estimates, strict=True):
            points[i] = estimate
    return points


def to_evidence_points(points: list[BuiltPoint]) -> list[BuiltPoint]:
    """Return the points to fit a surrogate on: measurements, and estimates that say more than the features do.

    The features have a part in an estimate, and must not count twice. The variance becomes the one whose inverse is the
    precision that the training adds to a prediction from the features alone.
    """
    measured = [p for p in points if not p.variance]
    estimates = [p for p in points if p.variance]
    if not estimates:
        return measured
    by_features = Surrogate.fit([*measured], max_points=_MAX_POINTS)
    _, variances = by_features.predict_log_error(np.array([p.features for p in estimates]))
    added = [1 / p.variance - 1 / own for p, own in zip(estimates, variances.tolist(), strict=True)]
    useful = zip(estimates, added, variances.tolist(), strict=True)
    return [
        *measured,
        *(replace(p, variance=1 / precision) for p, precision, own in useful if precision > _MIN_GAIN / own),
    ]


def _usable_epochs(complete: list[LearningCurve], epoch: int) -> set[int]:
    """Return the epochs before `epoch` after which enough different complete networks were measured."""
    networks: dict[int, set[tuple[float, ...]]] = {}
    for curve in complete:
        for earlier in curve.accuracies:
            if earlier < epoch:
                networks.setdefault(earlier, set()).add(curve.network.features)
    return {earlier for earlier, found in networks.items() if len(found) >= MIN_NETWORKS}


def _last_epoch(curve: LearningCurve, usable: set[int]) -> int | None:
    return max((epoch for epoch in curve.accuracies if epoch in usable), default=None)


def _most_used(epochs: list[int | None]) -> set[int]:
    counted = Counter(epoch for epoch in epochs if epoch is not None)
    return {epoch for epoch, _ in counted.most_common(_MAX_MODELS)}


def _estimate(
    curves: list[LearningCurve], complete: list[LearningCurve], start: int, epoch: int
) -> list[BuiltPoint | None]:
    """Estimate the accuracies after `epoch` from those after `start`; `complete` are the trainings to learn from."""
    known: list[Point] = [
        replace(_with_accuracy_at(curve, start), accuracy=curve.accuracies[epoch])
        for curve in complete
        if start in curve.accuracies
    ]
    model = Surrogate.fit(known, max_points=_MAX_POINTS)
    features = np.array([_with_accuracy_at(curve, start).features for curve in curves])
    mean, variance = model.predict_log_error(features)
    return [
        replace(curve.network, accuracy=accuracy, variance=own)
        for curve, accuracy, own in zip(curves, to_accuracy(mean).tolist(), variance.tolist(), strict=True)
    ]


def _with_accuracy_at(curve: LearningCurve, epoch: int) -> BuiltPoint:
    """Return the network with another feature, the logarithm of its error after an epoch."""
    own = float(to_log_error(np.array(curve.accuracies[epoch])))
    return replace(curve.network, features=(*curve.network.features, own))
