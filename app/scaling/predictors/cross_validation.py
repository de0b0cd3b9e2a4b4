"""Cross-validation of the surrogate: is it better than a straight line over log c?"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from app.scaling.errors import NotEnoughObservations
from app.scaling.predictors.point import Point, Skill
from app.scaling.predictors.surrogate import Surrogate, point_features

Array = NDArray[np.float64]

_FOLDS, _SEED = 5, 0
_MAX_NETWORKS = 200  # the surrogate is refitted in each fold
_MIN_EXPLAINED = 0.1  # of the squared error of the better of line and constant
_MIN_STANDARD_ERRORS = 2.0  # that the mean difference of squared errors is above 0


def surrogate_skill(points: list[Point]) -> Skill | None:
    """Compare the surrogate with a straight line over log c and with a constant, by 5-fold cross-validation.

    Its hyperparameters are refitted in each fold. It has skill if its squared error is a tenth less than that of the
    better of the two, by at least two standard errors. Of more than 200 networks as many are drawn. Estimated
    accuracies are fitted, but not predicted. The result is None if there are too few networks for a surrogate.
    """
    measured = [p for p in points if p.is_measured]
    order = np.random.default_rng(_SEED).permutation(len(measured))[:_MAX_NETWORKS]
    networks = [measured[i] for i in order.tolist()]
    squares: list[tuple[float, float, float]] = []
    for fold in range(_FOLDS):
        train = [p for i, p in enumerate(networks) if i % _FOLDS != fold]
        test = [p for i, p in enumerate(networks) if i % _FOLDS == fold and p.is_measured]
        if not test:
            return None
        try:
            surrogate = Surrogate.fit(train)
        except NotEnoughObservations:
            return None
        x, y = _costs_and_accuracies(train)
        test_x, test_y = _costs_and_accuracies(test)
        by_surrogate, _ = surrogate.predict(point_features(test))
        by_line = np.polyval(np.polyfit(x, y, 1), test_x)
        predictions = (by_surrogate, by_line, np.full(len(test), y.mean()))
        squares += zip(*((test_y - predicted) ** 2 for predicted in predictions), strict=True)
    errors = np.array(squares)
    simple = errors[:, 1] if errors[:, 1].sum() <= errors[:, 2].sum() else errors[:, 2]
    gains = simple - errors[:, 0]
    explained = float(gains.sum() / simple.sum()) if simple.sum() > 0 else 0.0
    margin = _MIN_STANDARD_ERRORS * float(gains.std(ddof=1)) / math.sqrt(len(gains))
    proven = explained >= _MIN_EXPLAINED and float(gains.mean()) >= margin
    return Skill(len(networks), explained, _MIN_EXPLAINED, proven)


def _costs_and_accuracies(points: list[Point]) -> tuple[Array, Array]:
    return np.log([p.c for p in points]), np.array([p.accuracy for p in points], float)
