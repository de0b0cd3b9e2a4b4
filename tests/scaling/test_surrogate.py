from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import multivariate_normal
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Kernel, Matern, WhiteKernel

from app.scaling.errors import NotEnoughObservations
from app.scaling.point import Point
from app.scaling.surrogate import LEAST_NETWORKS, Prior, Surrogate

Array = NDArray[np.float64]

PRIORS = st.builds(
    Prior,
    mean=st.floats(0.5, 1.0),
    scale=st.floats(0.02, 0.2),
    centre=st.floats(-3, 0),
    variance=st.floats(0.1, 10),
    lengths=st.tuples(st.floats(0.5, 8), st.floats(0.2, 4), st.floats(0.2, 8)),
    noise=st.floats(1e-2, 1),
)
COSTS, RESOLUTIONS, DEPTHS = st.floats(0.05, 1.2), st.floats(0.4, 1.3), st.floats(0.3, 1.6)
NETWORKS = st.tuples(COSTS, RESOLUTIONS, DEPTHS, st.floats(0.45, 0.55))
HELD_OUT = np.array([[0.1, 0.5, 0.4], [0.3, 0.8, 1.0], [0.9, 1.2, 1.5], [0.02, 0.3, 0.2], [3.0, 2.0, 3.0]])


def points_of(networks: list[tuple[float, float, float, float]]) -> list[Point]:
    return [Point(c, r, d, 1.0, accuracy) for c, r, d, accuracy in networks]


def trained(n: int, noise: float = 0.01, seed: int = 0) -> list[Point]:
    """Networks whose accuracy saturates in c, has its best r and d, and comes with a seed's noise."""
    random = np.random.default_rng(seed)
    c, r, d = np.exp(random.uniform(np.log(0.06), 0, n)), random.uniform(0.5, 1.25, n), random.uniform(0.35, 1.5, n)
    accuracy = expected(c, r, d) + random.normal(0, noise, n)
    return [Point(*map(float, values)) for values in zip(c, r, d, c**0.3, accuracy, strict=True)]


def expected(c: Array, r: Array, d: Array) -> Array:
    found: Array = 0.82 - 0.06 * c**-0.4 - 0.3 * (r - 0.8 - 0.1 * np.log(c)) ** 2 - 0.04 * (d - 0.8) ** 2
    return found


@lru_cache(maxsize=1)
def fitted() -> Surrogate:
    return Surrogate.fitted(trained(60))


def by_scikit_learn(surrogate: Surrogate, x: Array, y: Array, at: Array) -> tuple[Array, Array]:
    """Mean and standard deviation, noise included, by scikit-learn's own regressor, its hyperparameters fixed."""
    prior = surrogate.prior

    class Line(DotProduct):
        def __call__(self, a: Array, b: Array | None = None, eval_gradient: bool = False) -> Array:
            found: Array = super().__call__(a[:, :1], None if b is None else b[:, :1])
            return found

        def diag(self, a: Array) -> Array:
            found: Array = super().diag(a[:, :1])
            return found

    shift = np.array([prior.centre, 0, 0])
    log_c, *of_place = prior.lengths
    around = Matern([log_c, 1e9, 1e9], nu=2.5) * Matern([1e9, *of_place], nu=2.5)
    kernel: Kernel = Line(1.0) + ConstantKernel(prior.variance) * around + WhiteKernel(prior.noise)
    gp = GaussianProcessRegressor(kernel, alpha=0.0, optimizer=None).fit(x - shift, (y - prior.mean) / prior.scale)
    mean, sd = gp.predict(at - shift, return_std=True)
    error = np.exp(-prior.mean - prior.scale * mean)
    return 1 - error, error * prior.scale * sd


def columns(points: list[Point] | tuple[Point, ...]) -> tuple[Array, Array]:
    """(log c, r, d) [n, 3], and the logarithms of the errors, to rise with accuracy."""
    accuracy = np.array([p.accuracy for p in points], float)
    return np.array([[math.log(p.c), p.r, p.d] for p in points]), -np.log(1 - accuracy)


@settings(deadline=None, max_examples=40)
@given(st.lists(NETWORKS, min_size=3, max_size=20), PRIORS)
def test_a_surrogate_predicts_what_scikit_learn_predicts(
    networks: list[tuple[float, float, float, float]], prior: Prior
) -> None:
    surrogate = Surrogate(tuple(points_of(networks)), prior)
    x, y = columns(surrogate.points)
    mean, sd = by_scikit_learn(surrogate, x, y, np.column_stack([np.log(HELD_OUT[:, 0]), HELD_OUT[:, 1:]]))
    own_mean, own_sd = surrogate.over(*HELD_OUT.T)

    assert own_mean == pytest.approx(mean.clip(0, 1), abs=1e-8)  # an accuracy
    assert own_sd == pytest.approx(sd, abs=1e-8)


@settings(deadline=None, max_examples=20)
@given(st.lists(NETWORKS, min_size=3, max_size=12, unique=True), PRIORS)
def test_leave_one_out_is_what_leaving_each_point_out_gives(
    networks: list[tuple[float, float, float, float]], prior: Prior
) -> None:
    points = points_of(networks)
    mean, sd = Surrogate(tuple(points), prior).leave_one_out()

    for i, point in enumerate(points):
        others = Surrogate(tuple(points[:i] + points[i + 1 :]), prior)
        assert (mean[i], sd[i]) == pytest.approx(others.at(point.c, point.r, point.d), abs=1e-8)


def test_a_stored_surrogate_predicts_the_same_bits() -> None:
    restored = Surrogate.from_json(json.loads(json.dumps(fitted().to_json())))

    assert restored == fitted()
    assert [list(column) for column in restored.over(*HELD_OUT.T)] == [
        list(column) for column in fitted().over(*HELD_OUT.T)
    ]
    assert restored.quality() == fitted().quality()


def test_the_same_points_are_fitted_to_the_same_bits() -> None:
    assert Surrogate.fitted(trained(60)) == fitted()


def test_no_other_hyperparameters_nearby_are_likelier() -> None:
    x, y = columns(trained(60))
    prior = fitted().prior

    def likelihood(prior: Prior) -> float:
        covariance = prior.covariance(x, x) + prior.noise * np.eye(len(x))
        return float(multivariate_normal(cov=covariance).logpdf((y - prior.mean) / prior.scale))

    for factor in (0.8, 1.25):
        log_c, r, d = prior.lengths
        others = [
            replace(prior, variance=prior.variance * factor),
            replace(prior, noise=prior.noise * factor),
            replace(prior, lengths=(log_c, r * factor, d)),
            replace(prior, lengths=(log_c, r, d * factor)),
        ]
        assert all(likelihood(other) < likelihood(prior) for other in others)


def test_accuracy_is_predicted_of_networks_that_were_not_trained() -> None:
    unseen = trained(200, noise=0.0, seed=1)
    x, y = columns(unseen)
    mean, sd = fitted().over(np.exp(x[:, 0]), x[:, 1], x[:, 2])

    assert np.sqrt(np.mean((mean + np.expm1(-y)) ** 2)) < 0.01
    assert 0.008 < np.median(sd) < 0.02  # the noise of a seed, .01, and what is not known


def test_bands_hold_what_they_say_when_one_is_left_out() -> None:
    quality = Surrogate.fitted(trained(200)).quality()

    assert 0.84 <= quality.coverage_90 <= 0.96
    assert 0.42 <= quality.coverage_50 <= 0.6
    assert quality.rmse < 0.012


def test_outside_of_the_data_accuracy_goes_on_with_cost() -> None:
    cheap, cheapest = fitted().at(0.06, 0.7, 0.8), fitted().at(0.02, 0.7, 0.8)

    assert cheapest[0] < cheap[0]
    assert cheapest[1] > cheap[1]


@settings(deadline=None, max_examples=20)
@given(st.lists(NETWORKS, min_size=1, max_size=5))
def test_points_that_are_as_expected_change_no_mean(networks: list[tuple[float, float, float, float]]) -> None:
    pool = HELD_OUT[:3]
    believed = [Point(c, r, d, 1.0, accuracy=fitted().at(c, r, d)[0]) for c, r, d, _ in networks]
    mean, sd = fitted().over(*pool.T)
    mean_given, sd_given = fitted().given(believed).over(*pool.T)

    assert mean_given == pytest.approx(mean, abs=1e-6)
    assert (sd_given <= sd + 1e-9).all()


def test_believing_in_networks_of_a_pool_is_being_given_them() -> None:
    c, r, d = np.array([[p.c, p.r, p.d] for p in trained(40, seed=3)]).T
    belief = fitted().belief(c, r, d)
    chosen = [3, 17, 3, 30]
    for index in chosen:
        belief.believe(index)
    seen = [Point(float(c[i]), float(r[i]), float(d[i]), 1.0, fitted().at(c[i], r[i], d[i])[0]) for i in chosen]
    mean, sd = fitted().given(seen).over(c, r, d)
    noise = np.array([fitted().noise_sd(accuracy) for accuracy in mean])

    assert belief.mean == pytest.approx(mean, abs=1e-6)
    assert belief.sd**2 + noise**2 == pytest.approx(sd**2, rel=1e-6)


def test_what_has_no_accuracy_is_left_out_and_repeats_are_averaged() -> None:
    points = trained(20)
    broken = [replace(points[0], r=0.9, accuracy=a) for a in (None, math.nan, math.inf, -math.inf)]
    doubled = [replace(p, accuracy=(p.accuracy or 0) + e) for p in points for e in (0.01, -0.01)]

    assert Surrogate.fitted([*points, *broken]) == Surrogate.fitted(points)
    assert [(p.c, p.accuracy) for p in Surrogate.fitted(doubled).points] == [
        (p.c, pytest.approx(p.accuracy)) for p in points
    ]


@pytest.mark.parametrize("n", [0, 1, LEAST_NETWORKS - 1])
def test_too_few_different_networks_are_refused(n: int) -> None:
    with pytest.raises(NotEnoughObservations, match=f"here are {n}"):
        Surrogate.fitted([*trained(n), *trained(n)])


def test_the_least_number_of_networks_is_enough() -> None:
    surrogate = Surrogate.fitted(trained(LEAST_NETWORKS))

    assert len(surrogate.points) == LEAST_NETWORKS
    assert 0.3 < surrogate.at(0.3, 0.8, 0.8)[0] < 1.0


ANYWHERE = st.lists(
    st.tuples(COSTS, RESOLUTIONS, DEPTHS, st.floats(0, 1)),
    min_size=LEAST_NETWORKS,
    max_size=24,
    unique_by=lambda n: n[:3],
)


@settings(deadline=None, max_examples=40)
@given(ANYWHERE, st.lists(st.tuples(COSTS, RESOLUTIONS, DEPTHS), min_size=1, max_size=30))
def test_whatever_the_accuracies_the_mean_stays_near_them(
    networks: list[tuple[float, float, float, float]], places: list[tuple[float, float, float]]
) -> None:
    points = points_of(networks)
    accuracies = [accuracy for *_, accuracy in networks]
    spread = max(max(accuracies) - min(accuracies), 0.01)
    mean, sd = Surrogate.fitted(points).over(*np.array(places).T)

    assert (np.isfinite(mean) & np.isfinite(sd) & (sd > 0)).all()
    assert (min(accuracies) - 2 * spread <= mean).all()
    assert (mean <= max(accuracies) + 2 * spread).all()
    assert ((mean >= 0) & (mean <= 1)).all()


def test_accuracies_all_alike_are_predicted_as_they_are() -> None:
    surrogate = Surrogate.fitted([replace(p, accuracy=0.7) for p in trained(20)])
    mean, sd = surrogate.over(*HELD_OUT[:3].T)

    assert mean == pytest.approx(0.7)
    assert (sd < 0.02).all()


def test_networks_all_at_one_cost_or_place_are_no_error() -> None:
    at_one_cost = Surrogate.fitted([replace(p, c=0.3) for p in trained(20)])
    at_one_place = Surrogate.fitted([replace(p, r=1.0, d=1.0) for p in trained(20)])

    assert 0.5 < at_one_cost.at(0.3, 0.8, 0.8)[0] < 0.9
    assert 0.5 < at_one_place.at(0.3, 1.0, 1.0)[0] < 0.9


def test_one_network_that_failed_to_train_widens_the_bands_and_is_not_believed() -> None:
    points = trained(40)
    failed = [*points[:20], replace(points[20], accuracy=0.02), *points[21:]]
    surrogate, sound = Surrogate.fitted(failed), Surrogate.fitted(points)
    place = (points[5].c, points[5].r, points[5].d)

    assert surrogate.at(*place)[0] == pytest.approx(sound.at(*place)[0], abs=0.05)
    assert surrogate.at(*place)[1] > sound.at(*place)[1]


def test_of_many_points_the_front_and_a_spread_are_kept() -> None:
    points = trained(1600, noise=0.02)
    surrogate = Surrogate.fitted(points, prior=fitted().prior, most=200)
    kept = {(p.c, p.r, p.d) for p in surrogate.points}
    best = max(points, key=lambda p: p.accuracy or 0)

    assert len(surrogate.points) == len(kept) == 200
    assert (best.c, best.r, best.d) in kept
    for name in ("c", "r", "d"):  # the corners of the data are kept, or nearly
        least, most = (limit([getattr(p, name) for p in points]) for limit in (min, max))
        reached = [getattr(p, name) for p in surrogate.points]
        assert max(reached) - min(reached) > 0.97 * (most - least)
