"""A regression of r, d or accuracy on log c that stays sensible with few networks and outside of the data.

r and d are regressed as logarithms, accuracy as -log(1 - accuracy). In these, all known scaling rules are straight
lines over log c. The prior is such a line, for r and d that of the rule `dwr`, plus a smooth deviation (a Gaussian
process with an RBF kernel) and Gaussian noise; below and above the data the line remains.

The hyperparameters (the deviation's size and length, and the noise) are integrated over a grid, not maximized: with
few networks many values are plausible, and the most likely ones alone would give bands that are too narrow. Leaving a
network out then is exact: the weights of the grid are those without it (Rasmussen and Williams, 5.4.2, at each point
of the grid).

A network whose value the others contradict (an externally studentised residual, Bonferroni-corrected) is rejected as
an outlier and reported.

A regression is a value: its data and the weights are plain data, and rebuilt from them it predicts the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from app.scaling.pickling import SentByFields
from app.scaling.predictors.point import Quality, Skill
from app.scaling.predictors.single_thread_blas import limit_blas_to_one_thread

Array = NDArray[np.float64]
Quantity = Literal["r", "d", "accuracy"]

# In logarithms: the deviation from the line has a standard deviation of 0, .1 or .3 and bends within a factor of 1.8
# or 3.3 of cost; the noise is from .4 % to 50 %.
_SIGNALS, _LENGTHS = (0.1, 0.3), (0.6, 1.2)
_NOISES = tuple(np.geomspace(0.004, 0.5, 8).tolist())
_EXACT_NOISES = tuple(noise for noise in _NOISES if noise < 0.02)
_MIN_WEIGHT = 1e-3  # lighter components are left out of predictions

_MIN_ERROR = 1e-3  # accuracies closer to 1 are clipped to this error
_OUTLIER_LEVEL = 0.01  # probability of rejecting any network if there are no outliers
_MIN_POINTS_TO_REJECT = 6
_POINTS_PER_OUTLIER = 12  # at most one point in this many is rejected
_TRIMMING = 1.25  # the noise of networks without the most deviant twelfth is too small by less than this

_SKILL_LEVEL = 0.015  # probability that a straight line through noise explains as much
_MIN_EXPLAINED = 0.1


@dataclass(frozen=True)
class Line:
    """A normal prior of the line: means and standard deviations of its value at c = 1 and of its slope over log c."""

    intercept: float
    slope: float
    intercept_sd: float
    slope_sd: float


PRIORS: dict[Quantity, Line] = {
    "r": Line(0.0, 1 / 6, 1.0, 0.2),
    "d": Line(0.0, 1 / 3, 1.0, 0.2),
    "accuracy": Line(1.0, 0.2, 2.0, 0.3),
}


@dataclass(frozen=True)
class Component:
    """Hyperparameters with their posterior weight: standard deviations of deviation and noise, length over log c."""

    weight: float
    signal: float
    length: float
    noise: float


@dataclass(frozen=True)
class Regression(SentByFields):
    """The regression of a quantity y on x = log c.

    `outliers` are the indices of the networks that are left out of the fit. `min_sd` is the least standard deviation
    of a prediction.
    """

    quantity: Quantity
    x: tuple[float, ...]
    y: tuple[float, ...]
    components: tuple[Component, ...]
    outliers: tuple[int, ...] = ()
    min_sd: float = 0.0

    @classmethod
    def fit(cls, quantity: Quantity, x: Sequence[float], y: Sequence[float], is_exact: bool = False) -> Regression:
        """Fit to values y at x = log c, [point].

        `is_exact` says that the values are given rather than estimated: the curve then passes close to them, and its
        standard deviation is at least the leave-one-out error, since noise says nothing about it.
        """
        noises = _EXACT_NOISES if is_exact else _NOISES
        outliers = () if is_exact else _find_outliers(quantity, x, y)
        grid = _Grid(quantity, *_without(x, y, outliers), noises)
        components = grid.components()
        if not is_exact:
            return cls(quantity, tuple(x), tuple(y), components, outliers)
        mean, _ = _from_log(quantity, *grid.leave_one_out())
        rmse = float(np.sqrt(np.mean((np.array(y) - mean) ** 2)))
        return cls(quantity, tuple(x), tuple(y), components, outliers, rmse)

    def predict_one(self, x: float) -> tuple[float, float]:
        """Return the mean and the standard deviation (including noise) at one x."""
        return self._in_bounds(*self.predict_log(x))

    def predict_log(self, x: float) -> tuple[float, float]:
        """Return the same of the logarithm, at one x."""
        exponents, forms, constant = self._prediction_terms
        features = np.exp(exponents @ np.array([x * x, x, 1.0]))
        features[-1] = x
        values = forms @ features
        mean = float(values[-1])
        variance = constant + float(values[:-1] @ features) - mean * mean
        prior = PRIORS[self.quantity]
        return mean + prior.intercept + prior.slope * x, math.sqrt(max(variance, 0.0))

    def predict(self, x: Array) -> tuple[Array, Array]:
        """Return the mean and the standard deviation (including noise) at each x, [point]."""
        predictions = np.array([self.predict_one(place) for place in x.tolist()]).reshape(-1, 2)
        return predictions[:, 0], predictions[:, 1]

    def leave_one_out(self) -> tuple[Array, Array]:
        """Predict each point, outliers aside, from the others, with the hyperparameters' weights without it."""
        mean, sd = _from_log(self.quantity, *self._grid.leave_one_out())
        return mean, np.maximum(sd, self.min_sd)

    def quality(self) -> Quality:
        """Return the leave-one-out quality over the points, outliers aside."""
        return Quality.measure(np.array(self._inliers[1]), *self.leave_one_out())

    def skill(self) -> Skill:
        """Compare the leave-one-out error with that of a constant, in logarithms.

        A curve has skill if it explains more than a straight line through noise does in 985 of 1,000 cases, and a tenth
        at the least, and rises over the data, as multipliers and accuracy do with cost.
        """
        x, values = self._inliers
        y, n = _to_log(self.quantity, values), len(x)
        mean, _ = self._grid.leave_one_out()
        constant = (y.sum() - y) / (n - 1)
        error, base = float(((y - mean) ** 2).sum()), float(((y - constant) ** 2).sum())
        explained = 1 - error / base if base > 0 else 0.0
        critical = float(stats.f.ppf(1 - _SKILL_LEVEL, 1, n - 2)) if n > 2 else math.inf
        required = max(critical / (critical + n - 2), _MIN_EXPLAINED) if n > 2 else 1.0
        rises = self.predict_one(max(x))[0] > self.predict_one(min(x))[0]
        return Skill(n, explained, required, explained >= required and rises)

    @property
    def inliers(self) -> list[int]:
        """The indices of the points that are no outliers."""
        return [i for i in range(len(self.x)) if i not in self.outliers]

    def _in_bounds(self, mean: float, sd: float) -> tuple[float, float]:
        """Convert from logarithms; half the lowest and twice the highest value bound a multiplier."""
        if self.quantity == "accuracy":
            value = -math.expm1(-mean)
            return min(max(value, 0.0), 1.0), max((1 - value) * sd, self.min_sd)
        value = math.exp(mean)
        low, high = self._bounds
        return min(max(value, low), high), max(value * sd, self.min_sd)

    @cached_property
    def _bounds(self) -> tuple[float, float]:
        values = self._inliers[1]
        return min(values) / 2, max(values) * 2

    @cached_property
    def _inliers(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return _without(self.x, self.y, self.outliers)

    @cached_property
    def _grid(self) -> _Grid:
        return _Grid(self.quantity, *self._inliers, _EXACT_NOISES if self.min_sd else _NOISES)

    @cached_property
    def _prediction_terms(self) -> tuple[Array, Array, float]:
        """The terms of `predict_one` that do not depend on x.

        With the features f(x), which are the kernel of each length with each point, 1 and x, the mean square of the
        mixture is a quadratic form plus a constant, and the mean, below it, a linear form. A kernel is e to a
        polynomial in x, whose coefficients are returned first.
        """
        limit_blas_to_one_thread()
        x, y = (np.array(values) for values in self._inliers)
        line, prior = _design(x), PRIORS[self.quantity]
        residual = _to_log(self.quantity, y) - line @ [prior.intercept, prior.slope]
        line_variance = np.array([prior.intercept_sd**2, prior.slope_sd**2])
        lengths = sorted({component.length for component in self.components})
        n, size = len(x), len(x) * len(lengths) + 2
        weights, squares = np.zeros(size), np.zeros((size, size))
        squares[-2:, -2:] = np.diag(line_variance)
        constant = 0.0
        for component in self.components:
            start = n * lengths.index(component.length)
            indices = [*range(start, start + n), size - 2, size - 1]
            kernel = component.signal**2 * _rbf(x, component.length)
            covariance = kernel + (line * line_variance) @ line.T + component.noise**2 * np.eye(n)
            inverse = np.linalg.inv(covariance)
            to_covariance = np.vstack([component.signal**2 * np.eye(n), (line * line_variance).T])
            mean = to_covariance @ (inverse @ residual)
            weights[indices] += component.weight * mean
            squares[np.ix_(indices, indices)] += component.weight * (
                np.outer(mean, mean) - to_covariance @ inverse @ to_covariance.T
            )
            constant += component.weight * (component.signal**2 + component.noise**2)
        exponents = np.zeros((size, 3))
        for i, length in enumerate(lengths):
            exponents[n * i : n * (i + 1)] = np.column_stack([-np.ones(n), 2 * x, -(x**2)]) / (2 * length**2)
        return exponents, np.vstack([squares, weights]), constant


class _Grid:
    """The posterior of the hyperparameters on a grid, for points x and y [point]."""

    def __init__(
        self, quantity: Quantity, x: Sequence[float], y: Sequence[float], noises: tuple[float, ...] = _NOISES
    ) -> None:
        limit_blas_to_one_thread()
        places = np.array(x)
        line, prior = _design(places), PRIORS[quantity]
        self._prior_mean = line @ [prior.intercept, prior.slope]
        residual = _to_log(quantity, y) - self._prior_mean
        combinations = [(0.0, _LENGTHS[0]), *((signal, length) for length in _LENGTHS for signal in _SIGNALS)]
        self._grid = [(signal, length, noise) for signal, length in combinations for noise in noises]
        shared = (line * [prior.intercept_sd**2, prior.slope_sd**2]) @ line.T
        kernels = {length: _rbf(places, length) for length in _LENGTHS}
        covariance = np.array(
            [
                signal**2 * kernels[length] + shared + noise**2 * np.eye(len(places))
                for signal, length, noise in self._grid
            ]
        )
        inverse = np.linalg.inv(covariance)
        self._weighted = inverse @ residual  # [grid, point]
        self._precision = np.diagonal(inverse, axis1=1, axis2=2)
        self._residual = residual
        _, log_determinant = np.linalg.slogdet(covariance)
        self._log_likelihood = -0.5 * (self._weighted @ residual) - 0.5 * log_determinant

    def components(self) -> tuple[Component, ...]:
        """Return the hyperparameters that matter, with their weights."""
        weights = _normalise(self._log_likelihood)
        weights = np.where(weights >= _MIN_WEIGHT, weights, 0.0)
        weights /= weights.sum()
        return tuple(
            Component(weight, signal, length, noise)
            for weight, (signal, length, noise) in zip(weights.tolist(), self._grid, strict=True)
            if weight > 0
        )

    def leave_one_out(self) -> tuple[Array, Array]:
        """Return the mean and the standard deviation of each point from the others, in logarithms."""
        variance = 1 / self._precision
        error = self._weighted * variance
        own = -0.5 * np.log(variance) - 0.5 * error**2 / variance
        weights = _normalise(self._log_likelihood[:, None] - own)
        means = self._residual - error
        mean = (weights * means).sum(0)
        total = (weights * (variance + means**2)).sum(0) - mean**2
        return self._prior_mean + mean, np.sqrt(np.maximum(total, 0.0))


def _find_outliers(quantity: Quantity, x: Sequence[float], y: Sequence[float]) -> tuple[int, ...]:
    """Return the indices of the points that the others contradict.

    The most deviant twelfth is left out together, since outliers hide each other; then each of them is tested.
    """
    if len(x) < _MIN_POINTS_TO_REJECT:
        return ()
    logarithms = _to_log(quantity, y)
    mean, sd = _Grid(quantity, x, y).leave_one_out()
    n = max(1, len(x) // _POINTS_PER_OUTLIER)
    deviant = np.argsort(-np.abs(logarithms - mean) / sd)[:n].tolist()
    others = _without(x, y, tuple(deviant))
    fitted = Regression(quantity, *others, _Grid(quantity, *others).components())
    threshold = float(stats.t.ppf(1 - _OUTLIER_LEVEL / 2 / len(x), len(x) - n - 2)) * (_TRIMMING if n > 1 else 1.0)
    outliers = []
    for i in deviant:
        mean_i, sd_i = fitted.predict_log(x[i])
        if abs(float(logarithms[i]) - mean_i) > threshold * sd_i:
            outliers.append(i)
    return tuple(sorted(outliers))


def _without(
    x: Sequence[float], y: Sequence[float], indices: tuple[int, ...]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    kept = [i for i in range(len(x)) if i not in indices]
    return tuple(x[i] for i in kept), tuple(y[i] for i in kept)


def _normalise(log_weights: Array) -> Array:
    weights = np.exp(log_weights - log_weights.max(0))
    normalised: Array = weights / weights.sum(0)
    return normalised


def _design(x: Array) -> Array:
    return np.column_stack([np.ones_like(x), x])


def _rbf(x: Array, length: float) -> Array:
    kernel: Array = np.exp(-0.5 * ((x[:, None] - x[None, :]) / length) ** 2)
    return kernel


def _to_log(quantity: Quantity, y: Sequence[float] | Array) -> Array:
    values = np.asarray(y, float)
    logarithms: Array = -np.log(np.maximum(1 - values, _MIN_ERROR)) if quantity == "accuracy" else np.log(values)
    return logarithms


def _from_log(quantity: Quantity, mean: Array, sd: Array) -> tuple[Array, Array]:
    if quantity == "accuracy":
        values = np.clip(-np.expm1(-mean), 0.0, 1.0)
        return values, (1 - values) * sd
    multipliers = np.exp(mean)
    return multipliers, multipliers * sd
