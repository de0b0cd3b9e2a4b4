"""The tiny formula: Gaussian processes over the logarithm of the FLOPs ratio.

Two regressions, r(c) and d(c), on networks of an accuracy-FLOPs front; c is a network's flops relative to its
baseline's. The kernel is the paper's, RBF with Gaussian noise; over log c it is far better behaved than over c. A third
regression of accuracy on log c over the same networks says what a network on the front is expected to reach.

A predictor is a value: points and hyperparameters are plain data, and one rebuilt from them predicts the same bits.
scikit-learn finds the hyperparameters (marginal likelihood, bounded restarts, fixed seed).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from app.scaling.blas import one_thread
from app.scaling.errors import NotEnoughObservations
from app.scaling.point import Point, Quality
from app.scaling.surrogate import Surrogate

Array = NDArray[np.float64]

LEAST_POINTS = 3  # distinct values of c that a fit needs

_RESTARTS, _SEED = 8, 0
# Over log c, where a factor of e is 1: the curve may bend within a factor of 1.6 and be straight over one of 400.
_LENGTHS, _VARIANCES, _NOISES = (0.5, 6.0), (1e-1, 1e2), (1e-4, 1.0)


@dataclass(frozen=True)
class Hyperparameters:
    """Of one Gaussian process, on standardised targets: signal variance, RBF length over log c, noise variance."""

    variance: float
    length: float
    noise: float


@dataclass(frozen=True)
class Regression:
    """One Gaussian process: y over log c."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    hyperparameters: Hyperparameters

    @classmethod
    def fitted(cls, x: list[float], y: list[float]) -> Regression:
        """Hyperparameters by marginal likelihood."""
        mean, scale = _standardisation(y)
        kernel = ConstantKernel(1.0, _VARIANCES) * RBF(1.5, _LENGTHS) + WhiteKernel(1e-2, _NOISES)
        gp = GaussianProcessRegressor(kernel, alpha=0.0, n_restarts_optimizer=_RESTARTS, random_state=_SEED)
        one_thread()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a hyperparameter at its bound is an answer
            gp.fit(np.array(x)[:, None], (np.array(y) - mean) / scale)
        signal, white = gp.kernel_.k1, gp.kernel_.k2
        found = Hyperparameters(
            float(signal.k1.constant_value), float(signal.k2.length_scale), float(white.noise_level)
        )
        return cls(tuple(x), tuple(y), found)

    def at(self, x: float) -> tuple[float, float]:
        """Mean and standard deviation (noise included) at one x."""
        mean, scale, total, length, centres, inverse, weights = self._prepared
        z = x / length - centres
        across = np.exp(-0.5 * z * z)
        variance = total - across @ inverse @ across
        low, high = self._bounds
        found = min(max(mean + scale * float(across @ weights), low), high)
        return found, scale * math.sqrt(max(float(variance), 0.0))

    def over(self, x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation (noise included) at each x."""
        h = self.hyperparameters
        mean, scale = _standardisation(self.y)
        factor, weights = self._solved
        across = self._signal(x, np.array(self.x))
        explained = solve_triangular(factor, across.T, lower=True)
        variance = h.variance + h.noise - (explained**2).sum(0)
        return (mean + scale * (across @ weights)).clip(*self._bounds), scale * np.sqrt(np.maximum(variance, 0.0))

    def leave_one_out(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Each point's mean and standard deviation by the others, same hyperparameters (Rasmussen, Williams 5.4.2)."""
        _, weights = self._solved
        variance = 1 / np.diag(self._inverse)
        _, scale = _standardisation(self.y)
        return np.array(self.y) - scale * weights * variance, scale * np.sqrt(variance)

    def quality(self) -> Quality:
        """Leave-one-out over the points."""
        return Quality.of(np.array(self.y), *self.leave_one_out())

    @cached_property
    def _bounds(self) -> tuple[float, float]:
        """No mean is below half the least value or above twice the greatest, however wildly a point bends the curve."""
        least, most = min(self.y), max(self.y)
        return least - abs(least) / 2, most + abs(most)

    @cached_property
    def _prepared(self) -> tuple[float, float, float, float, Array, Array, Array]:
        """What `at` needs at every x, once: the signal variance is in the inverse and the weights."""
        h = self.hyperparameters
        mean, scale = _standardisation(self.y)
        centres = np.array(self.x) / h.length
        inverse, weights = h.variance**2 * self._inverse, h.variance * self._solved[1]
        return mean, scale, h.variance + h.noise, h.length, centres, inverse, weights

    @cached_property
    def _inverse(self) -> NDArray[np.float64]:
        return np.asarray(cho_solve((self._solved[0], True), np.eye(len(self.x))))

    @cached_property
    def _solved(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        x = np.array(self.x)
        mean, scale = _standardisation(self.y)
        covariance = self._signal(x, x) + self.hyperparameters.noise * np.eye(len(x))
        factor = cholesky(covariance, lower=True)
        return factor, cho_solve((factor, True), (np.array(self.y) - mean) / scale)

    def _signal(self, a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        h = self.hyperparameters
        return h.variance * np.exp(-0.5 * ((a[:, None] - b[None, :]) / h.length) ** 2)


@dataclass(frozen=True)
class Predictor:
    """The pair of GPs r(c) and d(c), and that of accuracy(c), with the points they were fitted on.

    `surrogate` is of accuracy over (log c, r, d), on all networks that were trained: where enough of them are known.
    """

    points: tuple[Point, ...]
    r: Regression
    d: Regression
    accuracy: Regression | None = None
    surrogate: Surrogate | None = None

    @classmethod
    def fitted(cls, points: list[Point], everything: list[Point] | None = None) -> Predictor:
        """On the front's points, and the surrogate on everything that was trained, where that is given.

        Raises: NotEnoughObservations with fewer than three distinct c.
        """
        distinct = len({round(p.c, 9) for p in points})
        if distinct < LEAST_POINTS:
            raise NotEnoughObservations(
                f"A predictor needs networks at {LEAST_POINTS} different costs or more; here are {distinct}."
            )
        x = [float(np.log(p.c)) for p in points]
        known = [(c, p.accuracy) for c, p in zip(x, points, strict=True) if p.accuracy is not None]
        return cls(
            tuple(points),
            Regression.fitted(x, [p.r for p in points]),
            Regression.fitted(x, [p.d for p in points]),
            Regression.fitted([c for c, _ in known], [a for _, a in known]) if len(known) >= LEAST_POINTS else None,
            _surrogate(everything or []),
        )

    @cached_property
    def range(self) -> tuple[float, float]:
        """The least and the greatest c of the data: beyond it an answer is an extrapolation."""
        return min(p.c for p in self.points), max(p.c for p in self.points)

    def quality(self) -> dict[str, Quality]:
        """Fit quality of each regression and, as `surrogate`, of accuracy over all networks, leave-one-out."""
        found = {name: regression.quality() for name, regression in self._regressions().items()}
        return found if self.surrogate is None else {**found, "surrogate": self.surrogate.quality()}

    def curve(self, least: float, most: float, steps: int) -> list[dict[str, float]]:
        """Each regression's mean and standard deviation at `steps` ratios from `least` to `most`, even over log c."""
        ratios = np.geomspace(least, most, steps)
        columns = {"c": ratios}
        for name, regression in self._regressions().items():
            columns[name], columns[f"{name}_sd"] = regression.over(np.log(ratios))
        return [dict(zip(columns, map(float, row), strict=True)) for row in zip(*columns.values(), strict=True)]

    def to_json(self) -> dict[str, Any]:
        """Points and hyperparameters as plain data."""
        return {
            "points": [asdict(point) for point in self.points],
            "hyperparameters": {name: asdict(gp.hyperparameters) for name, gp in self._regressions().items()},
            "surrogate": None if self.surrogate is None else self.surrogate.to_json(),
        }

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Predictor:
        """From `to_json`'s plain data; what was stored before there were surrogates has none."""
        points = tuple(Point(**point) for point in plain["points"])
        found = {name: Hyperparameters(**h) for name, h in plain["hyperparameters"].items()}

        def regression(name: str, of: list[Point]) -> Regression:
            x = tuple(float(np.log(p.c)) for p in of)
            return Regression(x, tuple(getattr(p, name) for p in of), found[name])

        measured = [p for p in points if p.accuracy is not None]
        return cls(
            points,
            regression("r", list(points)),
            regression("d", list(points)),
            regression("accuracy", measured) if "accuracy" in found else None,
            Surrogate.from_json(plain["surrogate"]) if plain.get("surrogate") else None,
        )

    def _regressions(self) -> dict[str, Regression]:
        known = {"r": self.r, "d": self.d, "accuracy": self.accuracy}
        return {name: gp for name, gp in known.items() if gp is not None}


def _surrogate(points: list[Point]) -> Surrogate | None:
    try:
        return Surrogate.fitted(points)
    except NotEnoughObservations:
        return None


def _standardisation(y: list[float] | tuple[float, ...]) -> tuple[float, float]:
    return float(np.mean(y)), float(np.std(y)) or 1.0
