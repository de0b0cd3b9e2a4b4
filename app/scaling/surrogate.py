"""Accuracy over (log c, r, d): a Gaussian process on every network that was trained, not on the front alone.

What is regressed is y = -log(1 - accuracy): it is about a line in log c, as error falls with a power of cost (Hestness
et al., 2017), and a measurement's noise shrinks with the error. The prior is that line, since a stationary process goes
back to the mean outside of the data; around it the product of two Matérn 5/2 kernels, of log c and of (r, d), a length
for each (automatic relevance determination); and Gaussian noise: Rasmussen and Williams, 2006, chapters 2.7, 4.2 and 5.
An RBF kernel is too smooth: an input has whole pixels, a network whole blocks.

Like the predictor it is a value: points and hyperparameters are plain data, and one rebuilt from them predicts the same
bits. In accuracy a mean is 1 - exp(-mean of y), a standard deviation is that of y times the error.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.spatial.distance import cdist

from app.scaling.blas import one_thread
from app.scaling.errors import NotEnoughObservations
from app.scaling.point import Point, Quality
from app.scaling.spread import representatives

Array = NDArray[np.float64]

LEAST_NETWORKS = 8  # that differ in c, r or d: two for each hyperparameter that shapes the curve, all but the noise

_MOST_POINTS = 1000  # an exact process over so many answers in milliseconds
_MOST_TUNED = 256  # the likelihood is climbed on so many
# The spread of y is 1. Lengths over log c, r and d: a curve may bend within a factor of 1.6 of cost or a fifth of the
# baseline's resolution or depth, and is as good as straight at the greatest.
_VARIANCES, _NOISES = (1e-3, 1e1), (1e-3, 1.0)
_LENGTHS = ((0.5, 8.0), (0.2, 4.0), (0.2, 8.0))
_STARTS = ((0.5, (2.0, 0.5, 0.7), 0.05), (1.0, (4.0, 1.5, 3.0), 0.2))
_STEPS = 40
_LEAST_SCALE = 0.01  # errors closer together than this, relatively, are alike
_LEAST_ERROR = 1e-3  # accuracies of 1 are taken for this far from it


@dataclass(frozen=True)
class Prior:
    """What is supposed of y = -log(1 - accuracy) before a network is seen.

    `mean` and `scale` are of y, `centre` is in log c: the line's middle. The others are on y less the mean over the
    scale: signal variance, lengths over (log c, r, d), noise variance.
    """

    mean: float
    scale: float
    centre: float
    variance: float
    lengths: tuple[float, float, float]
    noise: float

    def covariance(self, a: Array, b: Array) -> Array:
        """Of networks a [m, 3] and b [n, 3], (log c, r, d) each; noise left out, [m, n]."""
        found = self.of_cost(a, b)
        found *= self.of_place(a, b)
        found += self.line(a) @ self.line(b).T
        return found

    def of_cost(self, a: Array, b: Array) -> Array:
        """The kernel's factor of log c, variance included, [m, n]."""
        return _matern(self._distance(a[:, :1], b[:, :1], self.lengths[:1]), self.variance)

    def of_place(self, a: Array, b: Array) -> Array:
        """The kernel's factor of (r, d), [m, n]."""
        return _matern(self._distance(a[:, 1:], b[:, 1:], self.lengths[1:]))

    @staticmethod
    def _distance(a: Array, b: Array, lengths: tuple[float, ...]) -> Array:
        return np.asarray(cdist(a / lengths, b / lengths))

    def variances(self, x: Array) -> Array:
        """The diagonal of `covariance(x, x)`."""
        own: Array = self.variance + (self.line(x) ** 2).sum(1)
        return own

    def line(self, x: Array) -> Array:
        """The line's two terms, [m, 2]: prior variance 1, the data's own spread, at its centre and a factor of e on."""
        return np.column_stack([np.ones(len(x)), x[:, 0] - self.centre])


def _matern(distance: Array, variance: float = 1.0) -> Array:
    """5/2, of distances over the length; in place, since making room for so many numbers takes longer than they do."""
    distance *= math.sqrt(5)
    found = distance * (variance / 3)
    found += variance
    found *= distance
    found += variance
    np.negative(distance, out=distance)
    found *= np.exp(distance, out=distance)
    return found


class Belief:
    """What a surrogate expects of a pool of networks x [m, 3], whose (log c, r, d) stay while it learns of some.

    `mean` [m] and `sd` [m] are of the accuracy itself, the noise of a measurement left out.
    """

    def __init__(self, surrogate: Surrogate, x: Array) -> None:
        self._prior, self._x = surrogate.prior, x
        self._explained, mean, self._variance = surrogate.explained(x)
        self.mean = accuracy_of(mean)

    @property
    def sd(self) -> Array:
        sd: Array = (1 - self.mean) * self._prior.scale * np.sqrt(np.maximum(self._variance, 0.0))
        return sd

    def believe(self, index: int) -> None:
        """Take a network of the pool for measured, with the accuracy expected of it (the kriging believer of
        Ginsbourger et al., 2010): no mean changes, and near it there is less left to learn.
        """
        own = self._explained[:, index]
        total = math.sqrt(max(float(self._variance[index]), 0.0) + self._prior.noise)
        across = self._prior.covariance(self._x[index : index + 1], self._x)[0]
        row = (across - own @ self._explained) / total
        self._explained = np.vstack([self._explained, row])
        self._variance = self._variance - row**2


@dataclass(frozen=True)
class Surrogate:
    """The Gaussian process: networks with their accuracies, and the prior with its hyperparameters."""

    points: tuple[Point, ...]
    prior: Prior

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.points, self.prior))

    @classmethod
    def fitted(cls, points: list[Point], prior: Prior | None = None, most: int = _MOST_POINTS) -> Surrogate:
        """On at most `most` of the points that have a finite accuracy, repeats of a network averaged.

        Hyperparameters by marginal likelihood (two starts, bounded, the same for the same points), on at most 256 of
        them; with a prior given they are its own.

        Raises: NotEnoughObservations with fewer than eight networks that differ in c, r or d.
        """
        known = _distinct(points)
        if len(known) < LEAST_NETWORKS:
            raise NotEnoughObservations(
                f"A surrogate of accuracy needs {LEAST_NETWORKS} different networks or more; here are {len(known)}."
            )
        one_thread()
        kept = _representatives(known, most)
        if prior is None:
            prior = _tuned(_representatives(kept, _MOST_TUNED))
        return cls(tuple(kept), prior)

    def given(self, points: list[Point]) -> Surrogate:
        """The surrogate that has seen these as well, with the same hyperparameters."""
        return Surrogate((*self.points, *points), self.prior)

    def at(self, c: float, r: float, d: float) -> tuple[float, float]:
        """Mean and standard deviation of the accuracy (0 to 1) measured of one network, noise included."""
        mean, sd = self.over([c], [r], [d])
        return float(mean[0]), float(sd[0])

    def over(self, c: ArrayLike, r: ArrayLike, d: ArrayLike) -> tuple[Array, Array]:
        """Mean and standard deviation of the accuracy measured of each network [m], noise included."""
        _, mean, variance = self.explained(inputs(c, r, d))
        return self._measured(accuracy_of(mean), variance)

    def belief(self, c: ArrayLike, r: ArrayLike, d: ArrayLike) -> Belief:
        """What is expected of a pool of networks [m], to which others can be added one by one."""
        return Belief(self, inputs(c, r, d))

    @cached_property
    def range(self) -> tuple[float, float]:
        """The least and the greatest c of the data: beyond it an answer is an extrapolation."""
        return min(p.c for p in self.points), max(p.c for p in self.points)

    @property
    def smoothed(self) -> Array:
        """What is expected of the points themselves, [n]: their accuracies, the noise of a measurement taken off."""
        prior, weights = self.prior, self._solved[1]
        return accuracy_of(self._y - prior.scale * prior.noise * weights)

    def noise_sd(self, accuracy: float) -> float:
        """The standard deviation of a measurement of a network of that accuracy."""
        return (1 - accuracy) * self.prior.scale * math.sqrt(self.prior.noise)

    def near(self, r: Array, d: Array) -> Array:
        """How near places (r, d) [m] are to the points, without regard to cost, for `along`: [m, n]."""
        return self.prior.of_place(np.column_stack([np.zeros(len(r)), r, d]), self._x)

    def along(self, log_c: Array, near: Array) -> Array:
        """Means at each place at each cost, [m, cost]: the kernel is the product of one of cost and one of place."""
        prior, weights = self.prior, self._solved[1]
        costs = log_c[:, None]
        line = prior.line(costs) @ (prior.line(self._x).T @ weights)
        mean = near @ (prior.of_cost(self._x, costs) * weights[:, None]) + line
        return accuracy_of(prior.mean + prior.scale * mean)

    def explained(self, x: Array) -> tuple[Array, Array, Array]:
        """For networks x [m, 3]: the whitened covariance with the points [n, m], the mean of y and its variance over
        the scale's square, noise left out, [m] each.
        """
        factor, weights = self._solved
        across = self.prior.covariance(x, self._x).T  # in Fortran's order, so that it is solved in place
        mean = self.prior.mean + self.prior.scale * (weights @ across)
        explained = solve_triangular(factor, across, lower=True, overwrite_b=True, check_finite=False)
        variance = self.prior.variances(x) - np.einsum("ij,ij->j", explained, explained)
        return explained, mean, variance

    def leave_one_out(self) -> tuple[Array, Array]:
        """Each point's mean and standard deviation by the others, same hyperparameters (Rasmussen, Williams 5.4.2)."""
        factor, weights = self._solved
        variance = 1 / np.diag(cho_solve((factor, True), np.eye(len(self.points))))
        mean = accuracy_of(self._y - self.prior.scale * weights * variance)
        return self._measured(mean, variance - self.prior.noise)

    def quality(self) -> Quality:
        """Leave-one-out over the points."""
        return Quality.of(_accuracies(self.points), *self.leave_one_out())

    def to_json(self) -> dict[str, Any]:
        """Points and hyperparameters as plain data."""
        return {"points": [asdict(point) for point in self.points], "hyperparameters": asdict(self.prior)}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Surrogate:
        prior = plain["hyperparameters"]
        return cls(
            tuple(Point(**point) for point in plain["points"]), Prior(**{**prior, "lengths": tuple(prior["lengths"])})
        )

    def _measured(self, mean: Array, variance: Array) -> tuple[Array, Array]:
        return mean, (1 - mean) * self.prior.scale * np.sqrt(np.maximum(variance, 0.0) + self.prior.noise)

    @cached_property
    def _x(self) -> Array:
        return _inputs_of(self.points)

    @cached_property
    def _y(self) -> Array:
        return _logarithms(_accuracies(self.points))

    @cached_property
    def _solved(self) -> tuple[Array, Array]:
        one_thread()
        prior = self.prior
        covariance = prior.covariance(self._x, self._x)
        factor = cholesky(covariance + prior.noise * np.eye(len(covariance)), lower=True)
        return factor, cho_solve((factor, True), (self._y - prior.mean) / prior.scale)


def inputs(c: ArrayLike, r: ArrayLike, d: ArrayLike) -> Array:
    """(log c, r, d) of networks, [network, 3]."""
    return np.column_stack([np.log(np.asarray(c, float)), np.asarray(r, float), np.asarray(d, float)])


def accuracy_of(y: Array) -> Array:
    """From 0 to 1, of y = -log(1 - accuracy)."""
    return np.clip(-np.expm1(-y), 0.0, 1.0)


def _logarithms(accuracy: Array) -> Array:
    logarithms: Array = -np.log(np.maximum(1 - accuracy, _LEAST_ERROR))
    return logarithms


def _inputs_of(points: list[Point] | tuple[Point, ...]) -> Array:
    return inputs([p.c for p in points], [p.r for p in points], [p.d for p in points])


def _accuracies(points: list[Point] | tuple[Point, ...]) -> Array:
    return np.array([p.accuracy for p in points], float)


def _distinct(points: list[Point]) -> list[Point]:
    """One point for each (c, r, d), its mean accuracy, nameless; none where there is no finite one."""
    seen: dict[tuple[float, float, float], list[Point]] = {}
    for p in points:
        if p.accuracy is not None and math.isfinite(p.accuracy):
            seen.setdefault((p.c, p.r, p.d), []).append(p)
    return [
        p[0] if len(p) == 1 and p[0].name is None else replace(p[0], accuracy=float(_accuracies(p).mean()), name=None)
        for p in seen.values()
    ]


def _representatives(points: list[Point], most: int) -> list[Point]:
    x = _inputs_of(points)
    return [points[i] for i in representatives(x, x[:, 0], _accuracies(points), most)]


def _tuned(points: list[Point]) -> Prior:
    """The prior under which the accuracies are likeliest."""
    x, y = _inputs_of(points), _logarithms(_accuracies(points))
    mean, scale = float(y.mean()), max(float(y.std()), _LEAST_SCALE)
    start = Prior(mean, scale, float(x[:, 0].mean()), 1.0, (1.0, 1.0, 1.0), 1.0)
    bounds = np.log([_VARIANCES, *_LENGTHS, _NOISES])
    likelihood = _Likelihood(start, x, (y - mean) / scale)
    found = [
        minimize(likelihood, np.log([v, *lengths, noise]), jac=True, bounds=bounds, options={"maxiter": _STEPS})
        for v, lengths, noise in _STARTS
    ]
    variance, log_c, r, d, noise = np.exp(min(found, key=lambda f: float(f.fun)).x).tolist()
    return replace(start, variance=variance, lengths=(log_c, r, d), noise=noise)


class _Likelihood:
    """The negative logarithm of the marginal likelihood, and its gradient (Rasmussen and Williams, 5.9)."""

    def __init__(self, prior: Prior, x: Array, y: Array) -> None:
        self._y = y
        self._squares = (x[:, None, :] - x[None, :, :]).transpose(2, 0, 1) ** 2
        self._line = prior.line(x) @ prior.line(x).T

    def __call__(self, logarithms: Array) -> tuple[float, Array]:
        """Of the logarithms of variance, three lengths and noise."""
        variance, *lengths, noise = np.exp(logarithms)
        squares = 5 * self._squares / np.square(lengths)[:, None, None]
        cost, place = np.sqrt(squares[0]), np.sqrt(squares[1] + squares[2])
        decay = variance * np.exp(-cost - place)
        of_cost, of_place = 1 + cost + squares[0] / 3, 1 + place + (squares[1] + squares[2]) / 3
        signal = decay * of_cost * of_place
        by_place = decay * of_cost * (1 + place) / 3
        slopes = (decay * of_place * (1 + cost) / 3 * squares[0], by_place * squares[1], by_place * squares[2])
        factor = cholesky(self._line + signal + noise * np.eye(len(signal)), lower=True, check_finite=False)
        inverse = cho_solve((factor, True), np.eye(len(signal)), check_finite=False)
        weights = inverse @ self._y
        pull = np.outer(weights, weights) - inverse
        gradient = [*(np.vdot(pull, slope) for slope in (signal, *slopes)), noise * np.trace(pull)]
        value = 0.5 * float(self._y @ weights) + float(np.log(np.diag(factor)).sum())
        return value, -0.5 * np.array(gradient)
