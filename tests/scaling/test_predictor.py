from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel

from app.scaling import families
from app.scaling.errors import NotEnoughObservations
from app.scaling.predictors.point import Point
from app.scaling.predictors.predictor import Predictor
from app.scaling.predictors.published_tinynets import TINYNETS, PublishedNetwork, published_predictor
from app.scaling.predictors.regression import PRIORS, Component, Quantity, Regression
from app.scaling.predictors.surrogate import Surrogate
from tests.scaling.baselines import B0
from tests.support import example_count

COMPONENTS = st.builds(Component, st.just(1.0), st.floats(0.05, 1), st.floats(0.5, 6), st.floats(0.03, 0.5))
CURVES = st.lists(st.tuples(st.floats(-4, 1), st.floats(0.2, 2)), min_size=3, max_size=20)
HELD_OUT = np.linspace(-5, 2, 29)


def by_scikit_learn(
    quantity: Quantity, x: NDArray[np.float64], y: NDArray[np.float64], component: Component, at: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of log y by scikit-learn's own regressor: a line, its deviation, and noise."""
    prior = PRIORS[quantity]
    kernel = ConstantKernel(component.signal**2) * RBF(component.length) + WhiteKernel(component.noise**2)
    kernel += ConstantKernel(prior.slope_sd**2) * DotProduct(prior.intercept_sd / prior.slope_sd)
    gp = GaussianProcessRegressor(kernel, alpha=0.0, optimizer=None)
    gp.fit(x[:, None], np.log(y) - prior.intercept - prior.slope * x)
    mean, sd = gp.predict(at[:, None], return_std=True)
    return mean + prior.intercept + prior.slope * at, sd


@settings(max_examples=example_count(60))
@given(CURVES, st.lists(COMPONENTS, min_size=1, max_size=3), st.sampled_from(["r", "d"]))
def test_a_regression_is_the_mixture_of_scikit_learns(
    curve: list[tuple[float, float]], components: list[Component], quantity: Quantity
) -> None:
    x, y = np.array(curve).T
    equal = tuple(replace(component, weight=1 / len(components)) for component in components)
    regression = Regression(quantity, tuple(x.tolist()), tuple(y.tolist()), equal)
    parts = [by_scikit_learn(quantity, x, y, component, HELD_OUT) for component in equal]
    mean = np.mean([m for m, _ in parts], axis=0)
    variance = np.mean([m**2 + sd**2 for m, sd in parts], axis=0) - mean**2

    own = np.array([regression.predict_log(place) for place in HELD_OUT.tolist()])
    assert own[:, 0] == pytest.approx(mean, abs=1e-6)
    assert own[:, 1] == pytest.approx(np.sqrt(variance), abs=1e-5)
    assert regression.predict_one(-1.0)[0] == pytest.approx(
        min(max(np.exp(regression.predict_log(-1.0)[0]), y.min() / 2), 2 * y.max())
    )


def test_leave_one_out_equals_refitting_without_each_point() -> None:
    points = noisy_points(9)
    x, y = [float(np.log(p.c)) for p in points], [p.d for p in points]
    whole = Regression.fit("d", x, y)
    mean, sd = whole.leave_one_out()

    assert whole.outliers == ()
    for i in range(len(x)):
        others = Regression.fit("d", x[:i] + x[i + 1 :], y[:i] + y[i + 1 :])
        assert (mean[i], sd[i]) == pytest.approx(others.predict_one(x[i]), rel=0.03)


@pytest.mark.parametrize("net", TINYNETS, ids=[net.name for net in TINYNETS])
def test_published_predictor_reproduces_r_and_d(net: PublishedNetwork) -> None:
    predictor = published_predictor()
    x = float(np.log(net.flops / families.network_cost(B0.baseline).flops))

    assert predictor.r.predict_one(x)[0] == pytest.approx(net.multipliers.r, abs=0.03)
    assert predictor.d.predict_one(x)[0] == pytest.approx(net.multipliers.d, abs=0.03)


def test_the_published_predictor_knows_the_published_accuracy() -> None:
    predictor = published_predictor()
    assert predictor.accuracy is not None

    for point, net in zip(predictor.points, TINYNETS, strict=True):
        assert predictor.accuracy.predict_one(float(np.log(point.c)))[0] == pytest.approx(net.top1, abs=0.01)


def noisy_points(n: int = 14) -> list[Point]:
    random = np.random.default_rng(7)
    ratios = np.exp(random.uniform(np.log(0.05), 0, n))
    return [
        Point(float(c), float(0.9 * c**0.2 + e), float(c**0.3 - e), float(c**0.1), float(0.8 * c**0.05 + e / 4))
        for c, e in zip(ratios, random.normal(0, 0.02, n), strict=True)
    ]


@lru_cache(maxsize=1)
def noisy_predictor() -> Predictor:
    return Predictor.fit(noisy_points())


def test_a_stored_predictor_predicts_the_same_bits() -> None:
    fitted = noisy_predictor()
    restored = Predictor.from_json(json.loads(json.dumps(fitted.to_json())))

    assert restored == fitted
    assert restored.curve(0.01, 2.0, 57) == fitted.curve(0.01, 2.0, 57)
    assert [restored.d.predict_one(x) for x in HELD_OUT] == [fitted.d.predict_one(x) for x in HELD_OUT]
    assert restored.quality() == fitted.quality()


def test_fit_is_deterministic() -> None:
    assert Predictor.fit(noisy_points()) == noisy_predictor()


def test_a_predictor_without_accuracies_survives_storage() -> None:
    fitted = Predictor.fit([replace(point, accuracy=None) for point in noisy_points()])

    assert fitted.accuracy is None
    assert Predictor.from_json(json.loads(json.dumps(fitted.to_json()))) == fitted


def test_surrogate_round_trips_through_json() -> None:
    everything = noisy_points(30)
    fitted = Predictor.fit(noisy_points(), everything)
    stored = json.loads(json.dumps(fitted.to_json()))

    assert fitted.surrogate == Surrogate.fit(everything)
    assert Predictor.from_json(stored) == fitted
    assert fitted.quality() == {**noisy_predictor().quality(), "surrogate": fitted.surrogate.quality()}


def test_data_of_an_earlier_release_are_refitted() -> None:
    fitted = Predictor.fit(noisy_points(), noisy_points(30))
    old = {"variance": 1.0, "length": 1.0, "noise": 0.1}
    stored = {**json.loads(json.dumps(fitted.to_json())), "hyperparameters": {"r": old, "d": old, "accuracy": old}}
    del stored["skill"]

    restored = Predictor.from_json(stored)
    assert (restored.r, restored.d, restored.accuracy) == (fitted.r, fitted.d, fitted.accuracy)
    assert restored.surrogate == fitted.surrogate
    assert not restored.has_skill("surrogate"), "it was never tested"
    del stored["surrogate"]
    assert Predictor.from_json(stored) == Predictor.fit(noisy_points())


def test_few_networks_fit_formula_without_surrogate() -> None:
    assert Predictor.fit(noisy_points(), noisy_points(4)).surrogate is None


def test_accuracy_curve_ignores_missing_accuracies() -> None:
    points = noisy_points()
    some = [replace(point, accuracy=None) if i % 2 else point for i, point in enumerate(points)]
    fitted = Predictor.fit(some)

    assert fitted.accuracy == Regression.fit(
        "accuracy",
        [float(np.log(p.c)) for p in points[::2]],
        [p.accuracy for p in points[::2] if p.accuracy is not None],
    )
    assert Predictor.from_json(fitted.to_json()) == fitted


@pytest.mark.parametrize("ratios", [[], [0.5], [0.2, 0.5], [0.2, 0.5, 0.5, 0.2]])
def test_fewer_than_three_costs_are_rejected(ratios: list[float]) -> None:
    with pytest.raises(NotEnoughObservations, match=f"here are {len(set(ratios))}"):
        Predictor.fit([Point(c, 0.8, 1.0, 1.0) for c in ratios])


def test_three_different_costs_are_enough() -> None:
    fitted = Predictor.fit([Point(0.1, 0.5, 0.6, 0.5), Point(0.3, 0.7, 0.9, 0.6), Point(0.9, 0.9, 1.2, 0.9)])

    assert fitted.r.predict_one(float(np.log(0.3)))[0] == pytest.approx(0.7, abs=0.05)


def test_repeats_at_one_cost_count_as_noise() -> None:
    points = [Point(0.1, 0.5, 0.6, 0.5), Point(0.3, 0.7, 0.9, 0.6), Point(0.9, 0.9, 1.2, 0.9)]
    fitted = Predictor.fit([*points, replace(points[1], r=0.8)])

    assert 0.7 < fitted.r.predict_one(float(np.log(0.3)))[0] < 0.78


def test_constant_multipliers_are_predicted_closely() -> None:
    fitted = Predictor.fit([replace(point, r=1.0) for point in noisy_points()])

    assert fitted.r.predict_one(float(np.log(0.05)))[0] == pytest.approx(1.0, abs=0.01)


def test_the_uncertainty_grows_outside_of_the_data() -> None:
    predictor = published_predictor()
    least, most = predictor.range

    for gp in (predictor.r, predictor.d):
        inside = gp.predict_one(float(np.log(np.sqrt(least * most))))[1]
        assert gp.predict_one(float(np.log(least / 6)))[1] > inside
        assert gp.predict_one(float(np.log(4 * most)))[1] > inside


@pytest.mark.parametrize("name", ["r", "d"])
def test_published_curves_are_as_uncertain_as_their_leave_one_out_error(name: str) -> None:
    regression: Regression = getattr(published_predictor(), name)
    rmse = regression.quality().rmse

    assert rmse > 0.02
    assert all(regression.predict_one(x)[1] >= rmse for x in np.linspace(-7, 2, 50).tolist())


@pytest.mark.parametrize("predictor", [published_predictor, lambda: noisy_predictor()])
def test_curves_keep_falling_below_the_data_and_rise_above_the_baseline(predictor: Callable[[], Predictor]) -> None:
    curve = predictor().curve(0.005, 4, 60)

    for name in ("r", "d"):
        values = [row[name] for row in curve]
        assert values == pytest.approx(sorted(values), abs=0.01)
        below = [row[name] for row in curve if row["c"] < predictor().range[0]]
        assert below == sorted(below)
        assert values[0] < 0.9 * next(row[name] for row in curve if row["c"] >= predictor().range[0])
        assert next(row[name] for row in curve if row["c"] >= 2) > 1


@pytest.mark.parametrize("at", range(12))
@pytest.mark.parametrize("value", [0.1, 2.0])
def test_one_outlier_in_twelve_is_rejected_and_reported(at: int, value: float) -> None:
    c = np.geomspace(0.05, 1, 12)
    r = 0.9 * c**0.2 * np.exp(np.random.default_rng(0).normal(0, 0.02, 12))
    sound = Regression.fit("r", np.log(c).tolist(), r.tolist())
    r[at] = value
    fitted = Regression.fit("r", np.log(c).tolist(), r.tolist())

    assert sound.outliers == ()
    assert fitted.outliers == (at,)
    for x in np.log([0.05, 0.2, 1]).tolist():
        assert fitted.predict_one(x)[0] == pytest.approx(sound.predict_one(x)[0], abs=0.03)


@pytest.mark.parametrize("n", [5, 10, 20])
@pytest.mark.parametrize("noise", [0.03, 0.1, 0.2])
def test_bands_hold_new_points_as_often_as_they_say(n: int, noise: float) -> None:
    random = np.random.default_rng(n)
    held = []
    for _ in range(100):
        x, new = random.uniform(-3, 0, n), random.uniform(-3, 0, 20)
        y, new_y = (0.9 * np.exp(0.2 * v + random.normal(0, noise, len(v))) for v in (x, new))
        mean, sd = Regression.fit("r", x.tolist(), y.tolist()).predict(new)
        held.append(np.mean(np.abs(new_y - mean) <= 1.645 * sd))

    assert 0.85 <= np.mean(held) <= 0.95


def test_the_range_is_that_of_the_points() -> None:
    points = noisy_points()

    assert noisy_predictor().range == (min(p.c for p in points), max(p.c for p in points))


def test_curve_samples_the_regressions_evenly_over_log_c() -> None:
    predictor = published_predictor()
    curve = predictor.curve(0.05, 0.8, 5)

    assert [row["c"] for row in curve] == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8])
    for row in curve:
        assert (row["r"], row["r_sd"]) == pytest.approx(predictor.r.predict_one(float(np.log(row["c"]))))
        assert (row["d"], row["d_sd"]) == pytest.approx(predictor.d.predict_one(float(np.log(row["c"]))))


def test_quality_is_leave_one_out_error_and_coverage() -> None:
    predictor = noisy_predictor()
    mean, sd = predictor.d.leave_one_out()
    errors = np.array(predictor.d.y) - mean
    quality = predictor.quality()

    assert quality.keys() == {"r", "d", "accuracy"}
    assert quality["d"].rmse == pytest.approx(float(np.sqrt(np.mean(errors**2))))
    assert quality["d"].coverage_90 == np.mean(np.abs(errors) <= 1.645 * sd)
    assert quality["d"].coverage_50 == np.mean(np.abs(errors) <= 0.6745 * sd)


@settings(max_examples=example_count(25))
@given(
    st.lists(st.tuples(st.floats(0.02, 2), st.floats(0.1, 2), st.floats(0.1, 2)), min_size=3, max_size=25).filter(
        lambda drawn: len({round(c, 2) for c, _, _ in drawn}) >= 3
    ),
    st.booleans(),
)
def test_curves_stay_near_the_front(drawn: list[tuple[float, float, float]], outlier: bool) -> None:
    points = [Point(c, r, d, 0.8) for c, r, d in drawn]
    points += [Point(0.3, 9.0, 9.0, 0.8)] if outlier else []
    predictor = Predictor.fit(points)

    for point in predictor.curve(0.005, 5, 60):
        for name in ("r", "d"):
            values = [getattr(p, name) for p in points]
            spread = max(values) - min(values)
            assert min(values) / 2 - 1e-6 <= point[name] <= 2 * max(values) + 1e-6
            assert 0 <= point[f"{name}_sd"] <= 11 * spread + 3
