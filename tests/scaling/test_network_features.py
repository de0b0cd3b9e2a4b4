from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.scaling.families import flops_of, network_cost
from app.scaling.network import Architecture, Multipliers
from app.scaling.predictors.network_features import features_at, features_of
from app.scaling.predictors.point import BuiltPoint
from app.scaling.predictors.predictor import Predictor
from app.scaling.rules.recommend import evaluate_multipliers
from app.scaling.search.observations import Observation, to_built_points, to_points
from tests.scaling.baselines import ARCHITECTURES, B0, SMALL
from tests.support import example_count


@settings(max_examples=example_count(40))
@given(st.sampled_from(ARCHITECTURES), st.floats(0.5, 1.3), st.floats(0.2, 1.6), st.floats(0.3, 1.5))
def test_features_are_those_of_the_built_network(architecture: Architecture, r: float, d: float, w: float) -> None:
    config = architecture.scale(Multipliers(r, d, w))
    flops = network_cost(config).flops
    found = features_of(architecture, config, flops)

    assert features_at(architecture, [flops / flops_of(architecture)], [r], [d]) == pytest.approx(found)
    assert np.exp(found[0, 1]) == pytest.approx(config.resolution / architecture.baseline.resolution)


def test_the_baseline_has_features_of_zero() -> None:
    for architecture in ARCHITECTURES:
        assert features_at(architecture, [1.0], [1.0], [1.0]) == pytest.approx(0)


def test_one_network_has_one_prediction() -> None:
    """Depths of .30, .36 and .49 are often the same blocks, and a px has many resolution multipliers."""
    random = np.random.default_rng(0)
    observed = []
    for r, d, w in random.uniform([0.5, 0.3, 0.4], [1.2, 1.4, 1.4], (30, 3)).tolist():
        cost = network_cost(SMALL.scale(Multipliers(r, d, w)))
        c = cost.flops / flops_of(SMALL)
        observed.append(Observation(r, d, w, c, cost.flops, cost.params, 0.7 + 0.1 * np.log(c) - 0.1 * (d - 1) ** 2))
    predictor = Predictor.fit(to_points(observed), [*to_built_points(SMALL, observed)])

    base = SMALL.baseline.resolution
    networks: dict[object, set[tuple[float, float] | None]] = {}
    for d in np.arange(0.25, 0.8, 0.01).tolist():
        for r in (24.1 / base, 24.9 / base):
            found = evaluate_multipliers(SMALL, Multipliers(r, d, 0.8), predictor=predictor)
            networks.setdefault(found.config, set()).add(found.accuracy)

    assert len(networks) < 20
    assert all(len(predictions) == 1 for predictions in networks.values())


def test_trainings_of_one_network_are_one_point_of_the_surrogate() -> None:
    cost = network_cost(B0.scale(Multipliers(0.8, 0.4, 0.8)))
    same = [
        Observation(r, d, 0.8, cost.flops / flops_of(B0), cost.flops, cost.params, accuracy)
        for r, d, accuracy in ((0.8, 0.4, 0.71), (0.8002, 0.41, 0.73))
    ]
    assert {B0.scale(Multipliers(o.r, o.d, o.w)) for o in same} == {B0.scale(Multipliers(0.8, 0.4, 0.8))}

    first, second = to_built_points(B0, same)
    assert isinstance(first, BuiltPoint)
    assert first.features == second.features
