from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from app.scaling import families
from app.scaling.errors import NotEnoughObservations
from app.scaling.point import Point
from app.scaling.predictor import Hyperparameters, Predictor, Regression
from app.scaling.published import TINYNETS, PublishedNetwork, published_predictor
from app.scaling.surrogate import Surrogate
from tests.scaling.baselines import B0

# With less noise the covariance is so near to singular that two right solutions differ by more than 1e-9.
HYPERPARAMETERS = st.builds(Hyperparameters, st.floats(0.1, 10), st.floats(0.5, 6), st.floats(1e-3, 1))
CURVES = st.lists(st.tuples(st.floats(-4, 1), st.floats(0.2, 2)), min_size=3, max_size=20)
HELD_OUT = np.linspace(-5, 2, 29)


def regression_of(curve: list[tuple[float, float]], hyperparameters: Hyperparameters) -> Regression:
    return Regression(tuple(x for x, _ in curve), tuple(y for _, y in curve), hyperparameters)


def by_scikit_learn(
    x: NDArray[np.float64], y: NDArray[np.float64], hyperparameters: Hyperparameters, at: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation by scikit-learn's own regressor with the same kernel, hyperparameters fixed."""
    h = hyperparameters
    kernel = ConstantKernel(h.variance) * RBF(h.length) + WhiteKernel(h.noise)
    gp = GaussianProcessRegressor(kernel, alpha=0.0, optimizer=None).fit(x[:, None], y)
    mean, sd = gp.predict(at[:, None], return_std=True)
    return mean, sd


@settings(deadline=None, max_examples=60)
@given(CURVES, HYPERPARAMETERS)
def test_a_regression_predicts_what_scikit_learn_predicts(
    curve: list[tuple[float, float]], hyperparameters: Hyperparameters
) -> None:
    regression = regression_of(curve, hyperparameters)
    x, y = np.array(regression.x), np.array(regression.y)
    scale = y.std() or 1.0
    mean, sd = by_scikit_learn(x, (y - y.mean()) / scale, hyperparameters, HELD_OUT)
    own_mean, own_sd = regression.over(HELD_OUT)

    within = y.min() - abs(y.min()) / 2, y.max() + abs(y.max())
    assert own_mean == pytest.approx((y.mean() + scale * mean).clip(*within), abs=1e-9)
    assert own_sd == pytest.approx(scale * sd, abs=1e-9)


@settings(deadline=None, max_examples=30)
@given(CURVES, HYPERPARAMETERS)
def test_leave_one_out_is_what_leaving_each_point_out_gives(
    curve: list[tuple[float, float]], hyperparameters: Hyperparameters
) -> None:
    regression = regression_of(curve, hyperparameters)
    x, y = np.array(regression.x), np.array(regression.y)
    scale = y.std() or 1.0
    standardised = (y - y.mean()) / scale
    mean, sd = regression.leave_one_out()

    for i in range(len(x)):
        others = np.arange(len(x)) != i
        mean_i, sd_i = by_scikit_learn(x[others], standardised[others], hyperparameters, x[i : i + 1])
        assert mean[i] == pytest.approx(y.mean() + scale * mean_i[0], abs=1e-9)
        assert sd[i] == pytest.approx(scale * sd_i[0], abs=1e-9)


@pytest.mark.parametrize("name", ["r", "d", "accuracy"])
def test_the_published_regressions_predict_what_scikit_learn_predicts(name: str) -> None:
    gp: Regression = getattr(published_predictor(), name)
    x, y = np.array(gp.x), np.array(gp.y)
    mean, sd = by_scikit_learn(x, (y - y.mean()) / y.std(), gp.hyperparameters, HELD_OUT)

    assert [gp.at(float(place))[0] for place in HELD_OUT] == pytest.approx(list(y.mean() + y.std() * mean), abs=1e-9)
    assert [gp.at(float(place))[1] for place in HELD_OUT] == pytest.approx(list(y.std() * sd), abs=1e-9)


@pytest.mark.parametrize("net", TINYNETS, ids=[net.name for net in TINYNETS])
def test_the_published_predictor_gives_back_the_published_r_and_d(net: PublishedNetwork) -> None:
    predictor = published_predictor()
    x = float(np.log(net.flops / families.network_cost(B0.baseline).flops))

    assert predictor.r.at(x)[0] == pytest.approx(net.multipliers.r, abs=0.03)
    assert predictor.d.at(x)[0] == pytest.approx(net.multipliers.d, abs=0.03)


def test_the_published_predictor_knows_the_published_accuracy() -> None:
    predictor = published_predictor()
    assert predictor.accuracy is not None

    for point, net in zip(predictor.points, TINYNETS, strict=True):
        assert predictor.accuracy.at(float(np.log(point.c)))[0] == pytest.approx(net.top1, abs=0.01)


def noisy_points(n: int = 14) -> list[Point]:
    random = np.random.default_rng(7)
    ratios = np.exp(random.uniform(np.log(0.05), 0, n))
    return [
        Point(float(c), float(0.9 * c**0.2 + e), float(c**0.3 - e), float(c**0.1), float(0.8 * c**0.05 + e / 4))
        for c, e in zip(ratios, random.normal(0, 0.02, n), strict=True)
    ]


@lru_cache(maxsize=1)
def noisy_predictor() -> Predictor:
    return Predictor.fitted(noisy_points())


def test_a_stored_predictor_predicts_the_same_bits() -> None:
    fitted = noisy_predictor()
    restored = Predictor.from_json(json.loads(json.dumps(fitted.to_json())))

    assert restored == fitted
    assert restored.curve(0.01, 2.0, 57) == fitted.curve(0.01, 2.0, 57)
    assert [restored.d.at(x) for x in HELD_OUT] == [fitted.d.at(x) for x in HELD_OUT]
    assert restored.quality() == fitted.quality()


def test_the_same_points_are_fitted_to_the_same_bits() -> None:
    assert Predictor.fitted(noisy_points()) == noisy_predictor()


def test_a_predictor_without_accuracies_survives_storage() -> None:
    fitted = Predictor.fitted([replace(point, accuracy=None) for point in noisy_points()])

    assert fitted.accuracy is None
    assert Predictor.from_json(json.loads(json.dumps(fitted.to_json()))) == fitted


def test_a_predictor_with_a_surrogate_survives_storage_and_one_stored_without_has_none() -> None:
    everything = noisy_points(30)
    fitted = Predictor.fitted(noisy_points(), everything)
    stored = json.loads(json.dumps(fitted.to_json()))
    older = {name: value for name, value in stored.items() if name != "surrogate"}

    assert fitted.surrogate == Surrogate.fitted(everything)
    assert Predictor.from_json(stored) == fitted
    assert Predictor.from_json(older) == replace(fitted, surrogate=None) == noisy_predictor()
    assert fitted.quality() == {**noisy_predictor().quality(), "surrogate": fitted.surrogate.quality()}


def test_too_few_networks_for_a_surrogate_are_enough_for_the_formula() -> None:
    assert Predictor.fitted(noisy_points(), noisy_points(4)).surrogate is None


def test_points_without_an_accuracy_do_not_shape_the_accuracy_curve() -> None:
    points = noisy_points()
    some = [replace(point, accuracy=None) if i % 2 else point for i, point in enumerate(points)]
    fitted = Predictor.fitted(some)

    assert fitted.accuracy == Regression.fitted(
        [float(np.log(p.c)) for p in points[::2]], [p.accuracy for p in points[::2] if p.accuracy is not None]
    )
    assert Predictor.from_json(fitted.to_json()) == fitted


@pytest.mark.parametrize("ratios", [[], [0.5], [0.2, 0.5], [0.2, 0.5, 0.5, 0.2]])
def test_fewer_than_three_different_costs_are_too_few(ratios: list[float]) -> None:
    with pytest.raises(NotEnoughObservations, match=f"here are {len(set(ratios))}"):
        Predictor.fitted([Point(c, 0.8, 1.0, 1.0) for c in ratios])


def test_three_different_costs_are_enough() -> None:
    fitted = Predictor.fitted([Point(0.1, 0.5, 0.6, 0.5), Point(0.3, 0.7, 0.9, 0.6), Point(0.9, 0.9, 1.2, 0.9)])

    assert fitted.r.at(float(np.log(0.3)))[0] == pytest.approx(0.7, abs=0.05)


def test_repeats_at_one_cost_are_noise_and_not_an_error() -> None:
    points = [Point(0.1, 0.5, 0.6, 0.5), Point(0.3, 0.7, 0.9, 0.6), Point(0.9, 0.9, 1.2, 0.9)]
    fitted = Predictor.fitted([*points, replace(points[1], r=0.8)])

    assert 0.7 < fitted.r.at(float(np.log(0.3)))[0] < 0.8


def test_multipliers_that_are_all_alike_are_predicted_as_they_are() -> None:
    fitted = Predictor.fitted([replace(point, r=1.0) for point in noisy_points()])

    assert fitted.r.at(float(np.log(0.02)))[0] == pytest.approx(1.0)


def test_the_uncertainty_grows_outside_of_the_data() -> None:
    predictor = published_predictor()
    least, most = predictor.range

    for gp in (predictor.r, predictor.d):
        inside = gp.at(float(np.log(np.sqrt(least * most))))[1]
        assert gp.at(float(np.log(least / 4)))[1] > inside
        assert gp.at(float(np.log(4 * most)))[1] > inside


def test_the_range_is_that_of_the_points() -> None:
    points = noisy_points()

    assert noisy_predictor().range == (min(p.c for p in points), max(p.c for p in points))


def test_a_curve_runs_evenly_over_log_c_and_says_what_the_regressions_say() -> None:
    predictor = published_predictor()
    curve = predictor.curve(0.05, 0.8, 5)

    assert [row["c"] for row in curve] == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8])
    for row in curve:
        assert (row["r"], row["r_sd"]) == pytest.approx(predictor.r.at(float(np.log(row["c"]))))
        assert (row["d"], row["d_sd"]) == pytest.approx(predictor.d.at(float(np.log(row["c"]))))


def test_quality_is_the_error_and_the_coverage_of_leaving_one_out() -> None:
    predictor = noisy_predictor()
    mean, sd = predictor.d.leave_one_out()
    errors = np.array(predictor.d.y) - mean
    quality = predictor.quality()

    assert quality.keys() == {"r", "d", "accuracy"}
    assert quality["d"].rmse == pytest.approx(float(np.sqrt(np.mean(errors**2))))
    assert quality["d"].coverage_90 == np.mean(np.abs(errors) <= 1.645 * sd)
    assert quality["d"].coverage_50 == np.mean(np.abs(errors) <= 0.6745 * sd)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.02, 2), st.floats(0.1, 2), st.floats(0.1, 2)), min_size=3, max_size=25).filter(
        lambda drawn: len({round(c, 2) for c, _, _ in drawn}) >= 3
    ),
    st.booleans(),
)
def test_whatever_the_front_the_curves_stay_near_its_networks(
    drawn: list[tuple[float, float, float]], outlier: bool
) -> None:
    points = [Point(c, r, d, 0.8) for c, r, d in drawn]
    points += [Point(0.3, 9.0, 9.0, 0.8)] if outlier else []
    predictor = Predictor.fitted(points)

    for point in predictor.curve(0.005, 5, 60):
        for name in ("r", "d"):
            values = [getattr(p, name) for p in points]
            spread = max(values) - min(values)
            assert min(values) / 2 - 1e-6 <= point[name] <= 2 * max(values) + 1e-6
            assert 0 <= point[f"{name}_sd"] <= 11 * spread + 1
