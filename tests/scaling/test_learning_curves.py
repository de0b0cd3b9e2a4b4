from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from app.scaling.predictors.learning_curves import (
    LearningCurve,
    estimate_accuracies,
    highest_common_epoch,
    to_evidence_points,
)
from app.scaling.predictors.point import BuiltPoint
from app.scaling.predictors.surrogate import MIN_NETWORKS, Surrogate

EPOCHS = 9


def curves(n: int, epochs: int = EPOCHS, seed: int = 0) -> list[LearningCurve]:
    """Trainings of networks whose luck shows from the first epoch on."""
    random = np.random.default_rng(seed)
    found = []
    for c, r, d in np.exp(random.uniform(-1.5, 0.0, (n, 3))).tolist():
        final = 0.8 - 0.06 * c**-0.4 - 0.05 * np.log(r / 0.6) ** 2 + float(random.normal(0, 0.02))
        network = BuiltPoint(c, r, d, 1.0, features=tuple(np.log([c, r, d, r]).tolist()))
        accuracies = {e: final * (1 - 0.5 * 0.7**e) + float(random.normal(0, 0.002)) for e in range(1, epochs + 1)}
        found.append(LearningCurve(network, accuracies))
    return found


def stop(curve: LearningCurve, epoch: int) -> LearningCurve:
    return replace(curve, accuracies={e: a for e, a in curve.accuracies.items() if e <= epoch})


def test_stopped_trainings_are_predicted_better_than_from_their_features() -> None:
    finished, others = curves(30), curves(30, seed=1)
    true = np.array([other.accuracies[EPOCHS] for other in others])
    points = estimate_accuracies([*finished, *(stop(other, 3) for other in others)], EPOCHS)
    estimated = [p for p in points[30:] if p is not None]
    measured = [p for p in points[:30] if p is not None]
    by_features, _ = Surrogate.fit([*measured]).predict(np.array([p.features for p in estimated]))

    errors = np.abs(np.array([p.accuracy for p in estimated], float) - true)
    sds = (1 - true) * np.sqrt([p.variance for p in estimated])
    assert len(estimated) == 30 and [p.accuracy for p in measured] == [f.accuracies[EPOCHS] for f in finished]
    assert np.sqrt((errors**2).mean()) < 0.5 * np.sqrt(((by_features - true) ** 2).mean())
    assert (errors < 1.645 * sds).mean() > 0.75


def test_evidence_includes_estimates_with_a_variance() -> None:
    stopped = [stop(curve, 3) for curve in curves(20, seed=1)]
    points = [p for p in estimate_accuracies([*curves(20), *stopped], EPOCHS) if p is not None]
    evidence = to_evidence_points(points)
    before = {p.features: p.variance for p in points}

    assert [p for p in evidence if not p.variance] == points[:20]
    assert len(evidence) == 40
    assert all(p.variance >= before[p.features] for p in evidence)


def test_repeated_epochs_of_one_network_are_not_enough() -> None:
    few = curves(MIN_NETWORKS - 1)

    assert highest_common_epoch([*few, *few]) is None
    assert highest_common_epoch(curves(MIN_NETWORKS, epochs=4)) == 4
    assert highest_common_epoch([*curves(MIN_NETWORKS, epochs=4), *few]) == 4
    assert highest_common_epoch([]) is None


def test_no_estimate_without_enough_complete_trainings() -> None:
    stopped = [stop(curve, 3) for curve in curves(5, seed=1)]
    points = estimate_accuracies([*curves(MIN_NETWORKS - 1), *stopped], EPOCHS)

    assert all(p is not None for p in points[: MIN_NETWORKS - 1])
    assert points[MIN_NETWORKS - 1 :] == [None] * 5


def test_earlier_epoch_serves_if_the_last_is_rare() -> None:
    """The complete trainings were measured after epochs 1, 3 and 9 only, as with successive halving."""
    complete = [replace(c, accuracies={e: c.accuracies[e] for e in (1, 3, EPOCHS)}) for c in curves(20)]
    stopped = curves(1, epochs=5, seed=1)[0]

    at_five, at_three = (estimate_accuracies([*complete, stop(stopped, e)], EPOCHS)[-1] for e in (5, 3))
    assert at_five is not None and at_five == at_three


@pytest.mark.parametrize("epochs", [20, 200])
def test_trainings_at_many_epochs_are_all_estimated(epochs: int) -> None:
    finished = curves(MIN_NETWORKS, epochs=epochs)
    running = [stop(curve, 1 + i) for i, curve in enumerate(curves(18, epochs=epochs, seed=1))]

    assert all(estimate_accuracies([*finished, *running], epochs))
