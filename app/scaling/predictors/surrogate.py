"""The surrogate: a Gaussian process for accuracy over the features of a network, fitted on all trained networks.

A network is described by what was built (`network_features`): the logarithms of its multiply-adds, input side, blocks
and last feature map, relative to the baseline's. The target is y = -log(1 - accuracy). It is roughly linear in log c,
as error falls with a power of cost (Hestness et al., 2017), and a measurement's noise shrinks with the error.

The covariance is that of a quadratic polynomial, which is the prior mean, plus the product of two Matérn 5/2 kernels,
over log c and over the other features, with a length per feature (automatic relevance determination), and Gaussian
noise: Rasmussen and Williams, 2006, chapters 2.7, 4.2 and 5. The hyperparameters maximize the likelihood times
log-normal priors (chapter 5.2), since a likelihood alone takes 20 networks for noiseless.

Like the predictor, a surrogate is a value: points and hyperparameters are plain data, and a surrogate rebuilt from them
predicts the same bits. A mean of y is the accuracy 1 - exp(-mean); a standard deviation of y is multiplied by the
error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import Bounds, minimize
from scipy.spatial.distance import cdist

from app.scaling.errors import NotEnoughObservations
from app.scaling.pickling import SentByFields
from app.scaling.predictors.point import BuiltPoint, Point, Quality
from app.scaling.predictors.single_thread_blas import limit_blas_to_one_thread
from app.scaling.predictors.subset_selection import select_subset

Array = NDArray[np.float64]

MIN_NETWORKS = 8  # different in their features

_MAX_POINTS = 1000  # an exact process over these predicts in milliseconds
_MAX_TUNING_POINTS = 128  # for maximizing the likelihood
# The medians of the hyperparameters' log-normal priors, for y and features of spread 1, and the standard deviations of
# their logarithms. By the lengths, a curve bends within the range of the data or somewhat beyond it.
_VARIANCE, _LENGTH, _NOISE, _SLOPE, _CURVATURE = 0.1, 4.0, 0.07, 1.0, 0.05
_LOG_SD, _LOG_SD_OF_LENGTHS = 1.0, 0.7
_MAX_LOG_DISTANCE = 5.0  # from the median: a bound for the search
_MAX_ITERATIONS = 60
_MIN_SCALE = 0.01  # a relative spread of errors below this counts as none
_MIN_SPREAD = 0.1  # of a feature: networks that differ by less than a tenth are alike in it
_MIN_ERROR = 1e-3  # accuracies closer to 1 are clipped to this error


@dataclass(frozen=True)
class Prior:
    """The prior of y = -log(1 - accuracy) before any network is observed.

    `mean` and `scale` are of y, `centre` and `spread` of each feature. The other parameters refer to y and features
    standardised by them: the Matérn kernel's variance and length per feature, the polynomial's variance of linear
    (`slope`) and quadratic terms (`curvature`), and the variance of the noise.
    """

    mean: float
    scale: float
    centre: tuple[float, ...]
    spread: tuple[float, ...]
    variance: float
    lengths: tuple[float, ...]
    slope: float
    curvature: float
    noise: float

    def covariance(self, a: Array, b: Array) -> Array:
        """Return the covariance of networks of features a [m, k] and b [n, k], without noise, [m, n]."""
        covariance = self.cost_kernel(a, b)
        covariance *= self.place_kernel(a, b)
        products = self.standardise(a) @ self.standardise(b).T
        covariance += 1 + products * (self.slope + self.curvature * products)
        return covariance

    def cost_kernel(self, a: Array, b: Array) -> Array:
        """Return the Matérn kernel's factor for log c, including the variance, [m, n]."""
        return _matern(self._distance(a, b, slice(0, 1)), self.variance)

    def place_kernel(self, a: Array, b: Array) -> Array:
        """Return the Matérn kernel's factor for the other features, [m, n]."""
        return _matern(self._distance(a, b, slice(1, None)))

    def standardise(self, x: Array) -> Array:
        """Return the features relative to those of the data, [m, k]."""
        standardised: Array = (x - self.centre) / self.spread
        return standardised

    def variances(self, x: Array) -> Array:
        """Return the diagonal of `covariance(x, x)`."""
        squares = (self.standardise(x) ** 2).sum(1)
        own: Array = self.variance + 1 + squares * (self.slope + self.curvature * squares)
        return own

    def _distance(self, a: Array, b: Array, features: slice) -> Array:
        scales = np.array(self.spread[features]) * self.lengths[features]
        return np.asarray(cdist(a[:, features] / scales, b[:, features] / scales))


def _matern(distance: Array, variance: float = 1.0) -> Array:
    """Return the Matérn 5/2 kernel of distances over the length; in place, since allocating the arrays takes longer."""
    distance *= math.sqrt(5)
    kernel = distance * (variance / 3)
    kernel += variance
    kernel *= distance
    kernel += variance
    np.negative(distance, out=distance)
    kernel *= np.exp(distance, out=distance)
    return kernel


class PoolPosterior:
    """The posterior of a pool of networks with features x [m, k], while some of them are fantasized.

    `mean` [m] and `sd` [m] refer to the accuracy itself, without measurement noise.
    """

    def __init__(self, surrogate: Surrogate, x: Array) -> None:
        self._prior, self._x = surrogate.prior, x
        self._explained, mean, self._variance = surrogate.posterior_terms(x)
        self.mean = to_accuracy(mean)

    @property
    def sd(self) -> Array:
        sd: Array = (1 - self.mean) * self._prior.scale * np.sqrt(np.maximum(self._variance, 0.0))
        return sd

    def fantasize(self, index: int) -> None:
        """Treat a network of the pool as measured with its expected accuracy.

        This is the kriging believer of Ginsbourger et al., 2010: no mean changes, and near the network the variance
        falls.
        """
        own = self._explained[:, index]
        total = math.sqrt(max(float(self._variance[index]), 0.0) + self._prior.noise)
        cross_covariance = self._prior.covariance(self._x[index : index + 1], self._x)[0]
        row = (cross_covariance - own @ self._explained) / total
        self._explained = np.vstack([self._explained, row])
        self._variance = self._variance - row**2


@dataclass(frozen=True)
class Surrogate(SentByFields):
    """The Gaussian process: networks with their accuracies, and the prior with its hyperparameters."""

    points: tuple[Point, ...]
    prior: Prior

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.points, self.prior))

    @classmethod
    def fit(cls, points: list[Point], prior: Prior | None = None, max_points: int = _MAX_POINTS) -> Surrogate:
        """Fit on at most `max_points` of the points with a finite accuracy; repeats of a network are averaged.

        Hyperparameters maximize the marginal likelihood of at most 128 of the points (bounded,
        deterministic). With a given prior they are the prior's.

        Raises: NotEnoughObservations with fewer than eight different networks.
        """
        distinct = _merge_repeats(points)
        if len(distinct) < MIN_NETWORKS:
            raise NotEnoughObservations(
                f"A surrogate of accuracy needs {MIN_NETWORKS} different networks or more; here are {len(distinct)}."
            )
        limit_blas_to_one_thread()
        selected = _select_points(distinct, max_points)
        if prior is None:
            prior = _tune(_select_points(selected, _MAX_TUNING_POINTS))
        return cls(tuple(selected), prior)

    def condition_on(self, points: list[Point]) -> Surrogate:
        """Return the surrogate with these additional points and the same hyperparameters."""
        return Surrogate((*self.points, *points), self.prior)

    def predict_one(self, x: Array) -> tuple[float, float]:
        """Return the mean and the standard deviation of one measured accuracy (0 to 1); x are the features [1, k]."""
        mean, sd = self.predict(x)
        return float(mean[0]), float(sd[0])

    def predict(self, x: Array) -> tuple[Array, Array]:
        """Return the mean and the standard deviation of each network's measured accuracy [m], including noise.

        x are the networks' features [m, k].
        """
        _, mean, variance = self.posterior_terms(x)
        return self._with_noise(to_accuracy(mean), variance)

    def predict_log_error(self, x: Array) -> tuple[Array, Array]:
        """Return the mean and the variance of each network's measured y = -log(1 - accuracy) [m], including noise."""
        _, mean, variance = self.posterior_terms(x)
        return mean, self.prior.scale**2 * (np.maximum(variance, 0.0) + self.prior.noise)

    def pool_posterior(self, x: Array) -> PoolPosterior:
        """Return the posterior of a pool of networks of features x [m, k], which can then be fantasized one by one."""
        return PoolPosterior(self, x)

    @cached_property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest c of the data, beyond which a prediction is an extrapolation."""
        return min(p.c for p in self.points), max(p.c for p in self.points)

    @property
    def smoothed_accuracies(self) -> Array:
        """The expected accuracies of the points themselves, without measurement noise, [n]."""
        prior, weights = self.prior, self._cholesky_and_weights[1]
        return to_accuracy(self._y - prior.scale * self._noise * weights)

    def noise_sd(self, accuracy: float) -> float:
        """Return the standard deviation of a measurement of a network with that accuracy."""
        return (1 - accuracy) * self.prior.scale * math.sqrt(self.prior.noise)

    def place_kernel(self, x: Array) -> Array:
        """Return the kernel of places x [m, k], whose cost is ignored, with the points: for `predict_at_costs`."""
        return self.prior.place_kernel(x, self._x)

    def predict_at_costs(self, log_c: Array, x: Array, kernel: Array) -> Array:
        """Return the means for each place x [m, k] at each cost, [m, cost]; `kernel` is the places' `place_kernel`.

        The kernel is a product of the two, and a polynomial's sum over the points is a polynomial.
        """
        prior, weights = self.prior, self._cholesky_and_weights[1]
        costs = np.column_stack([log_c, np.broadcast_to(x[:1, 1:], (len(log_c), x.shape[1] - 1))])
        mean = kernel @ (prior.cost_kernel(self._x, costs) * weights[:, None])
        points, place, cost = prior.standardise(self._x), prior.standardise(x)[:, 1:], prior.standardise(costs)[:, 0]
        first, second = weights @ points, points.T @ (points * weights[:, None])
        linear = (place @ first[1:])[:, None] + cost * first[0]
        quadratic = np.einsum("mi,ij,mj->m", place, second[1:, 1:], place)[:, None]
        quadratic = quadratic + 2 * cost * (place @ second[1:, 0])[:, None] + cost**2 * second[0, 0]
        mean += weights.sum() + prior.slope * linear + prior.curvature * quadratic
        return to_accuracy(prior.mean + prior.scale * mean)

    def posterior_terms(self, x: Array) -> tuple[Array, Array, Array]:
        """Return the terms of the posterior of networks of features x [m, k].

        These are the whitened covariance with the points [n, m], the mean of y [m], and its variance over the squared
        scale, without noise [m].
        """
        factor, weights = self._cholesky_and_weights
        cross_covariance = self.prior.covariance(x, self._x).T  # in Fortran order, so that it is solved in place
        mean = self.prior.mean + self.prior.scale * (weights @ cross_covariance)
        explained = solve_triangular(factor, cross_covariance, lower=True, overwrite_b=True, check_finite=False)
        variance = self.prior.variances(x) - np.einsum("ij,ij->j", explained, explained)
        return explained, mean, variance

    def leave_one_out(self) -> tuple[Array, Array]:
        """Predict each point from the others with the same hyperparameters (Rasmussen and Williams, 5.4.2)."""
        factor, weights = self._cholesky_and_weights
        variance = 1 / np.diag(cho_solve((factor, True), np.eye(len(self.points))))
        mean = to_accuracy(self._y - self.prior.scale * weights * variance)
        return self._with_noise(mean, variance - self._noise)

    def quality(self) -> Quality:
        """Return the leave-one-out quality over the measured points."""
        mean, sd = self.leave_one_out()
        measured = self._noise == self.prior.noise
        return Quality.measure(_accuracies(self.points)[measured], mean[measured], sd[measured])

    def to_json(self) -> dict[str, Any]:
        """Return points and hyperparameters as plain data."""
        return {"points": [asdict(point) for point in self.points], "hyperparameters": asdict(self.prior)}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Surrogate:
        """Rebuild a surrogate from `to_json`'s plain data.

        Older data have no features and other hyperparameters: such a surrogate is fitted again on its points.
        """
        points = [BuiltPoint.from_json(point) if "features" in point else Point(**point) for point in plain["points"]]
        prior = plain["hyperparameters"]
        if "curvature" not in prior:
            return cls.fit(points)
        tuples = {name: tuple(prior[name]) for name in ("centre", "spread", "lengths")}
        return cls(tuple(points), Prior(**{**prior, **tuples}))

    def _with_noise(self, mean: Array, variance: Array) -> tuple[Array, Array]:
        return mean, (1 - mean) * self.prior.scale * np.sqrt(np.maximum(variance, 0.0) + self.prior.noise)

    @cached_property
    def _x(self) -> Array:
        return point_features(self.points)

    @cached_property
    def _noise(self) -> Array:
        """The variance of each standardised y around the process, [n]; estimates have more than measurements."""
        estimates = [p.variance if isinstance(p, BuiltPoint) else 0.0 for p in self.points]
        return np.array(estimates) / self.prior.scale**2 + self.prior.noise

    @cached_property
    def _y(self) -> Array:
        return to_log_error(_accuracies(self.points))

    @cached_property
    def _cholesky_and_weights(self) -> tuple[Array, Array]:
        limit_blas_to_one_thread()
        prior = self.prior
        covariance = prior.covariance(self._x, self._x)
        factor = cholesky(covariance + np.diag(self._noise), lower=True)
        return factor, cho_solve((factor, True), (self._y - prior.mean) / prior.scale)


def to_accuracy(y: Array) -> Array:
    """Return the accuracy, from 0 to 1, for y = -log(1 - accuracy)."""
    return np.clip(-np.expm1(-y), 0.0, 1.0)


def to_log_error(accuracy: Array) -> Array:
    """Return y = -log(1 - accuracy)."""
    logarithms: Array = -np.log(np.maximum(1 - accuracy, _MIN_ERROR))
    return logarithms


def point_features(points: list[Point] | tuple[Point, ...]) -> Array:
    """Return the features of each point, [point, k]; of a network that is not known, by its multipliers."""
    return np.array(
        [p.features if isinstance(p, BuiltPoint) else np.log([p.c, p.r, p.d, p.r]).tolist() for p in points], float
    )


def count_networks(points: Sequence[Point]) -> int:
    """Return the number of different networks among the points."""
    return len({tuple(features) for features in point_features([*points]).tolist()})


def _accuracies(points: list[Point] | tuple[Point, ...]) -> Array:
    return np.array([p.accuracy for p in points], float)


def _merge_repeats(points: list[Point]) -> list[Point]:
    """Return one unnamed point with the mean accuracy per network; points without a finite accuracy are dropped.

    A measured accuracy replaces estimates of the same network.
    """
    finite = [p for p in points if p.accuracy is not None and math.isfinite(p.accuracy)]
    groups: dict[tuple[float, ...], list[Point]] = {}
    for p, features in zip(finite, point_features(finite).tolist(), strict=True):
        groups.setdefault(tuple(features), []).append(p)
    return [_merge(repeats) for repeats in groups.values()]


def _merge(repeats: list[Point]) -> Point:
    measured = [p for p in repeats if not (isinstance(p, BuiltPoint) and p.variance)] or repeats
    if len(measured) == 1 and measured[0].name is None:
        return measured[0]
    return replace(measured[0], accuracy=float(_accuracies(measured).mean()), name=None)


def _select_points(points: list[Point], max_points: int) -> list[Point]:
    x = point_features(points)
    return [points[i] for i in select_subset(x, x[:, 0], _accuracies(points), max_points)]


def _tune(points: list[Point]) -> Prior:
    """Return the prior with the maximum posterior probability, given the accuracies."""
    x, y = point_features(points), to_log_error(_accuracies(points))
    mean, scale = float(y.mean()), max(float(y.std()), _MIN_SCALE)
    spread = np.maximum(x.std(0), _MIN_SPREAD)
    k = x.shape[1]
    median = Prior(
        mean, scale, tuple(x.mean(0).tolist()), tuple(spread.tolist()),
        _VARIANCE, (_LENGTH,) * k, _SLOPE, _CURVATURE, _NOISE,
    )  # fmt: skip
    extra_noise = Surrogate(tuple(points), median)._noise - _NOISE
    posterior = _LogPosterior(median, x, (y - mean) / scale, extra_noise)
    start = posterior.medians
    bounds = Bounds(start - _MAX_LOG_DISTANCE, start + _MAX_LOG_DISTANCE)
    found = minimize(posterior, start, jac=True, bounds=bounds, options={"maxiter": _MAX_ITERATIONS})
    variance, *lengths, slope, curvature, noise = np.exp(found.x).tolist()
    return replace(median, variance=variance, lengths=tuple(lengths), slope=slope, curvature=curvature, noise=noise)


class _LogPosterior:
    """The negative log posterior of the hyperparameters and its gradient (Rasmussen and Williams, 5.9)."""

    def __init__(self, median: Prior, x: Array, y: Array, extra_noise: Array) -> None:
        standardised = median.standardise(x)
        self._y = y
        self._extra_noise = np.diag(extra_noise)
        self._squares = (standardised[:, None, :] - standardised[None, :, :]).transpose(2, 0, 1) ** 2
        self._products = standardised @ standardised.T
        self.medians = np.log([median.variance, *median.lengths, median.slope, median.curvature, median.noise])
        self._sds = np.full(len(self.medians), _LOG_SD)
        self._sds[1 : 1 + x.shape[1]] = _LOG_SD_OF_LENGTHS

    def __call__(self, logarithms: Array) -> tuple[float, Array]:
        """Evaluate at the logarithms of variance, lengths, slope, curvature and noise."""
        variance, *lengths, slope, curvature, noise = np.exp(logarithms)
        squares = 5 * self._squares / np.square(lengths)[:, None, None]
        cost, place = np.sqrt(squares[0]), np.sqrt(squares[1:].sum(0))
        decay = variance * np.exp(-cost - place)
        of_cost, of_place = 1 + cost + squares[0] / 3, 1 + place + place**2 / 3
        signal = decay * of_cost * of_place
        by_place = decay * of_cost * (1 + place) / 3
        line, parabola = slope * self._products, curvature * self._products**2
        covariance = 1 + line + parabola + signal + self._extra_noise + noise * np.eye(len(signal))
        factor = cholesky(covariance, lower=True, check_finite=False)
        inverse = cho_solve((factor, True), np.eye(len(signal)), check_finite=False)
        weights = inverse @ self._y
        outer = np.outer(weights, weights) - inverse
        derivatives = (signal, decay * of_place * (1 + cost) / 3 * squares[0], *(by_place * s for s in squares[1:]))
        gradient = [*(np.vdot(outer, derivative) for derivative in (*derivatives, line, parabola))]
        gradient.append(noise * np.trace(outer))
        value = 0.5 * float(self._y @ weights) + float(np.log(np.diag(factor)).sum())
        deviations = (logarithms - self.medians) / self._sds
        return value + 0.5 * float(deviations @ deviations), deviations / self._sds - 0.5 * np.array(gradient)
