from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import multivariate_normal
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Exponentiation, Kernel, Matern, WhiteKernel

from app.scaling.errors import NotEnoughObservations
from app.scaling.predictors.point import BuiltPoint, Point
from app.scaling.predictors.surrogate import MIN_NETWORKS, Prior, Surrogate
from tests.support import example_count

Array = NDArray[np.float64]

PRIORS = st.builds(
    Prior,
    mean=st.floats(0.5, 1.0),
    scale=st.floats(0.02, 0.2),
    centre=st.tuples(st.floats(-3, 0), *[st.floats(-1, 1)] * 3),
    spread=st.tuples(*[st.floats(0.2, 2)] * 4),
    variance=st.floats(0.01, 10),
    lengths=st.tuples(*[st.floats(0.5, 8)] * 4),
    slope=st.floats(0.01, 10),
    curvature=st.floats(0.001, 1),
    noise=st.floats(1e-2, 1),
)
COSTS, RESOLUTIONS, DEPTHS = st.floats(0.05, 1.2), st.floats(0.4, 1.3), st.floats(0.3, 1.6)
NETWORKS = st.tuples(COSTS, RESOLUTIONS, DEPTHS, st.floats(0.45, 0.55))
HELD_OUT = np.array([[0.1, 0.5, 0.4], [0.3, 0.8, 1.0], [0.9, 1.2, 1.5], [0.02, 0.3, 0.2], [3.0, 2.0, 3.0]])


def points_of(networks: list[tuple[float, float, float, float]]) -> list[Point]:
    return [Point(c, r, d, 1.0, accuracy) for c, r, d, accuracy in networks]


def features(c: Any, r: Any, d: Any) -> Array:
    """The features of points that are known by their multipliers only."""
    return np.log(np.column_stack([c, r, d, r]))


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
    return Surrogate.fit(trained(60))


def by_scikit_learn(surrogate: Surrogate, x: Array, y: Array, at: Array) -> tuple[Array, Array]:
    """Mean and standard deviation, noise included, by scikit-learn's own regressor, its hyperparameters fixed."""
    prior = surrogate.prior

    log_c, *of_place = prior.lengths
    around = Matern([log_c, 1e9, 1e9, 1e9], nu=2.5) * Matern([1e9, *of_place], nu=2.5)
    line, parabola = DotProduct(0.0, "fixed"), Exponentiation(DotProduct(0.0, "fixed"), 2)
    polynomial = ConstantKernel(1.0) + ConstantKernel(prior.slope) * line + ConstantKernel(prior.curvature) * parabola
    kernel: Kernel = polynomial + ConstantKernel(prior.variance) * around + WhiteKernel(prior.noise)
    gp = GaussianProcessRegressor(kernel, alpha=0.0, optimizer=None)
    gp.fit((x - prior.centre) / prior.spread, (y - prior.mean) / prior.scale)
    mean, sd = gp.predict((at - np.array(prior.centre)) / prior.spread, return_std=True)
    error = np.exp(-prior.mean - prior.scale * mean).clip(0, 1)
    return 1 - error, error * prior.scale * sd


def columns(points: list[Point] | tuple[Point, ...]) -> tuple[Array, Array]:
    """The features [n, 4], and the logarithms of the errors, to rise with accuracy."""
    accuracy = np.array([p.accuracy for p in points], float)
    return features(*zip(*[(p.c, p.r, p.d) for p in points], strict=True)), -np.log(1 - accuracy)


@settings(max_examples=example_count(40))
@given(st.lists(NETWORKS, min_size=3, max_size=20), PRIORS)
def test_a_surrogate_predicts_what_scikit_learn_predicts(
    networks: list[tuple[float, float, float, float]], prior: Prior
) -> None:
    surrogate = Surrogate(tuple(points_of(networks)), prior)
    x, y = columns(surrogate.points)
    mean, sd = by_scikit_learn(surrogate, x, y, features(*HELD_OUT.T))
    own_mean, own_sd = surrogate.predict(features(*HELD_OUT.T))

    assert own_mean == pytest.approx(mean, abs=1e-8)  # an accuracy
    assert own_sd == pytest.approx(sd, abs=1e-8)


@settings(max_examples=example_count(20))
@given(st.lists(NETWORKS, min_size=3, max_size=12, unique=True), PRIORS)
def test_leave_one_out_equals_refitting_without_each_point(
    networks: list[tuple[float, float, float, float]], prior: Prior
) -> None:
    points = points_of(networks)
    mean, sd = Surrogate(tuple(points), prior).leave_one_out()

    for i, point in enumerate(points):
        others = Surrogate(tuple(points[:i] + points[i + 1 :]), prior)
        assert (mean[i], sd[i]) == pytest.approx(others.predict_one(features(point.c, point.r, point.d)), abs=1e-8)


def test_a_stored_surrogate_predicts_the_same_bits() -> None:
    restored = Surrogate.from_json(json.loads(json.dumps(fitted().to_json())))

    assert restored == fitted()
    assert [list(column) for column in restored.predict(features(*HELD_OUT.T))] == [
        list(column) for column in fitted().predict(features(*HELD_OUT.T))
    ]
    assert restored.quality() == fitted().quality()


def test_fit_is_deterministic() -> None:
    assert Surrogate.fit(trained(60)) == fitted()


def test_hyperparameters_are_a_posterior_maximum() -> None:
    """The likelihood times log-normal priors, which the comment beside their medians describes."""
    x, y = columns(trained(60))
    prior = fitted().prior

    def posterior(prior: Prior) -> float:
        covariance = prior.covariance(x, x) + prior.noise * np.eye(len(x))
        likelihood = float(multivariate_normal(cov=covariance).logpdf((y - prior.mean) / prior.scale))
        of_others = [(prior.variance, 0.1), (prior.noise, 0.07), (prior.slope, 1.0), (prior.curvature, 0.05)]
        deviations = [math.log(value / median) for value, median in of_others]
        deviations += [math.log(length / 4) / 0.7 for length in prior.lengths]
        return likelihood - sum(one**2 for one in deviations) / 2

    for factor in (0.8, 1.25):
        changes: list[dict[str, Any]] = [
            {name: getattr(prior, name) * factor} for name in ("variance", "noise", "slope", "curvature")
        ]
        for i in range(4):
            scaled = tuple(length * (factor if i == j else 1) for j, length in enumerate(prior.lengths))
            changes.append({"lengths": scaled})
        assert all(posterior(replace(prior, **change)) < posterior(prior) for change in changes)


def test_surrogate_predicts_unseen_networks() -> None:
    unseen = trained(200, noise=0.0, seed=1)
    x, y = columns(unseen)
    mean, sd = fitted().predict(x)

    assert np.sqrt(np.mean((mean + np.expm1(-y)) ** 2)) < 0.01
    assert 0.008 < np.median(sd) < 0.02  # the noise of a seed, .01, and the model's uncertainty


def test_leave_one_out_bands_have_nominal_coverage() -> None:
    quality = Surrogate.fit(trained(200)).quality()

    assert 0.84 <= quality.coverage_90 <= 0.96
    assert 0.42 <= quality.coverage_50 <= 0.6
    assert quality.rmse < 0.012


def test_accuracy_extrapolates_with_cost() -> None:
    cheap, cheapest = fitted().predict_one(features(0.06, 0.7, 0.8)), fitted().predict_one(features(0.02, 0.7, 0.8))

    assert cheapest[0] < cheap[0]
    assert cheapest[1] > cheap[1]


@settings(max_examples=example_count(20))
@given(st.lists(NETWORKS, min_size=1, max_size=5))
def test_expected_points_change_no_mean(networks: list[tuple[float, float, float, float]]) -> None:
    pool = HELD_OUT[:3]
    believed = [Point(c, r, d, 1.0, accuracy=fitted().predict_one(features(c, r, d))[0]) for c, r, d, _ in networks]
    mean, sd = fitted().predict(features(*pool.T))
    mean_given, sd_given = fitted().condition_on(believed).predict(features(*pool.T))

    assert mean_given == pytest.approx(mean, abs=1e-6)
    assert (sd_given <= sd + 1e-9).all()


def test_fantasizing_equals_conditioning_on_the_mean() -> None:
    c, r, d = np.array([[p.c, p.r, p.d] for p in trained(40, seed=3)]).T
    posterior = fitted().pool_posterior(features(c, r, d))
    chosen = [3, 17, 3, 30]
    for index in chosen:
        posterior.fantasize(index)
    seen = [
        Point(float(c[i]), float(r[i]), float(d[i]), 1.0, fitted().predict_one(features(c[i], r[i], d[i]))[0])
        for i in chosen
    ]
    mean, sd = fitted().condition_on(seen).predict(features(c, r, d))
    noise = np.array([fitted().noise_sd(accuracy) for accuracy in mean])

    assert posterior.mean == pytest.approx(mean, abs=1e-6)
    assert posterior.sd**2 + noise**2 == pytest.approx(sd**2, rel=1e-6)


def test_fit_drops_missing_accuracies_and_averages_repeats() -> None:
    points = trained(20)
    broken = [replace(points[0], r=0.9, accuracy=a) for a in (None, math.nan, math.inf, -math.inf)]
    doubled = [replace(p, accuracy=(p.accuracy or 0) + e) for p in points for e in (0.01, -0.01)]

    assert Surrogate.fit([*points, *broken]) == Surrogate.fit(points)
    assert [(p.c, p.accuracy) for p in Surrogate.fit(doubled).points] == [
        (p.c, pytest.approx(p.accuracy)) for p in points
    ]


@pytest.mark.parametrize("n", [0, 1, MIN_NETWORKS - 1])
def test_too_few_distinct_networks_are_rejected(n: int) -> None:
    with pytest.raises(NotEnoughObservations, match=f"here are {n}"):
        Surrogate.fit([*trained(n), *trained(n)])


def test_minimum_number_of_networks_suffices() -> None:
    surrogate = Surrogate.fit(trained(MIN_NETWORKS))

    assert len(surrogate.points) == MIN_NETWORKS
    assert 0.3 < surrogate.predict_one(features(0.3, 0.8, 0.8))[0] < 1.0


ANYWHERE = st.lists(
    st.tuples(COSTS, RESOLUTIONS, DEPTHS, st.floats(0, 1)),
    min_size=MIN_NETWORKS,
    max_size=24,
    unique_by=lambda n: n[:3],
)


@settings(max_examples=example_count(40))
@given(ANYWHERE, st.lists(st.tuples(COSTS, RESOLUTIONS, DEPTHS), min_size=1, max_size=30))
def test_mean_stays_near_the_accuracies(
    networks: list[tuple[float, float, float, float]], places: list[tuple[float, float, float]]
) -> None:
    points = points_of(networks)
    accuracies = [accuracy for *_, accuracy in networks]
    spread = max(max(accuracies) - min(accuracies), 0.01)
    mean, sd = Surrogate.fit(points).predict(features(*np.array(places).T))

    assert (np.isfinite(mean) & np.isfinite(sd) & (sd > 0)).all()
    assert (min(accuracies) - 2 * spread <= mean).all()
    assert (mean <= max(accuracies) + 2 * spread).all()
    assert ((mean >= 0) & (mean <= 1)).all()


def test_constant_accuracies_are_predicted() -> None:
    surrogate = Surrogate.fit([replace(p, accuracy=0.7) for p in trained(20)])
    mean, sd = surrogate.predict(features(*HELD_OUT[:3].T))

    assert mean == pytest.approx(0.7)
    assert (sd < 0.02).all()


def test_networks_at_one_cost_or_place_are_fitted() -> None:
    at_one_cost = Surrogate.fit([replace(p, c=0.3) for p in trained(20)])
    at_one_place = Surrogate.fit([replace(p, r=1.0, d=1.0) for p in trained(20)])

    assert 0.5 < at_one_cost.predict_one(features(0.3, 0.8, 0.8))[0] < 0.9
    assert 0.5 < at_one_place.predict_one(features(0.3, 1.0, 1.0))[0] < 0.9


def test_failed_training_widens_bands_without_moving_means() -> None:
    points = trained(40)
    failed = [*points[:20], replace(points[20], accuracy=0.02), *points[21:]]
    surrogate, sound = Surrogate.fit(failed), Surrogate.fit(points)
    place = (points[5].c, points[5].r, points[5].d)

    assert surrogate.predict_one(features(*place))[0] == pytest.approx(sound.predict_one(features(*place))[0], abs=0.05)
    assert surrogate.predict_one(features(*place))[1] > sound.predict_one(features(*place))[1]


def test_subset_keeps_front_and_covers_space() -> None:
    points = trained(1600, noise=0.02)
    surrogate = Surrogate.fit(points, prior=fitted().prior, max_points=200)
    kept = {(p.c, p.r, p.d) for p in surrogate.points}
    best = max(points, key=lambda p: p.accuracy or 0)

    assert len(surrogate.points) == len(kept) == 200
    assert (best.c, best.r, best.d) in kept
    for name in ("c", "r", "d"):  # the corners of the data are approximately kept
        least, most = (limit([getattr(p, name) for p in points]) for limit in (min, max))
        reached = [getattr(p, name) for p in surrogate.points]
        assert max(reached) - min(reached) > 0.97 * (most - least)


def test_surrogate_stored_before_features_is_fitted_again() -> None:
    points = trained(20)
    older = {"points": [asdict(p) for p in points], "hyperparameters": {"mean": 1.0, "scale": 0.2, "centre": -1.0}}
    restored = Surrogate.from_json(json.loads(json.dumps(older)))

    assert restored == Surrogate.fit(points)


def test_estimates_count_for_less_than_measurements() -> None:
    points = [BuiltPoint(p.c, p.r, p.d, p.w, p.accuracy, features=tuple(x)) for p, x in with_features(trained(30))]
    extra = BuiltPoint(0.3, 0.9, 0.9, 0.7, 0.5, features=tuple(features(0.3, 0.9, 0.9)[0].tolist()))
    at = features(0.3, 0.9, 0.9)
    prior = Surrogate.fit([*points]).prior

    def predict(*more: BuiltPoint) -> float:
        return Surrogate.fit([*points, *more], prior).predict_one(at)[0]

    assert predict(extra) < predict(replace(extra, variance=0.1)) < predict()
    assert predict(extra, replace(extra, accuracy=0.7, variance=0.1)) == predict(extra)


def test_quality_is_that_of_measurements() -> None:
    points = [BuiltPoint(p.c, p.r, p.d, p.w, p.accuracy, features=tuple(x)) for p, x in with_features(trained(40))]
    poor = [replace(p, accuracy=0.3, variance=1.0) for p in points[30:]]
    surrogate = Surrogate.fit([*points[:30], *poor])

    assert surrogate.quality().rmse < 0.03
    assert Surrogate.from_json(json.loads(json.dumps(surrogate.to_json()))) == surrogate


def with_features(points: list[Point]) -> list[tuple[Point, list[float]]]:
    return [(p, features(p.c, p.r, p.d)[0].tolist()) for p in points]
