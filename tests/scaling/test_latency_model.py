"""The latency model predicts networks that it has not seen, and many at once."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace

import numpy as np
import pytest

from app.scaling.errors import KindNotMeasured, NotEnoughObservations
from app.scaling.families import baseline, network_cost
from app.scaling.latency.model import LatencyBatch, LatencyModel, MeasuredNetwork, fit_latency_model
from app.scaling.latency.operators import Operator, list_operators
from app.scaling.latency.profiles import LAYER_KINDS
from app.scaling.latency.trees import BoostedTrees
from app.scaling.network import Config, Multipliers

FITTED = ("mobilenetv3_small_050", "ghostnet_050", "regnety_002", "resnext50_32x4d")
DEVICE = {"runtime": "a test"}


def layer_milliseconds(operator: Operator) -> float:
    """Return the time on a device that computes slowly where channels are not multiples of 16, or few."""
    pixels = math.prod(operator.out_sides)
    width = operator.in_channels if operator.kind == "squeeze_excite" else operator.group_width
    multiply_adds = operator.kernel**2 * width * operator.out_channels * pixels
    elements = operator.in_channels * math.prod(operator.in_sides) + operator.out_channels * pixels
    efficiency = (1 if operator.out_channels % 16 == 0 else 0.8) * (0.7 if operator.in_channels < 32 else 1)
    return (1e-8 * multiply_adds / efficiency + 5e-8 * elements) + 0.003


def measure(config: Config) -> MeasuredNetwork:
    layers = [layer_milliseconds(o) for o in list_operators(config) if o.kind in LAYER_KINDS]
    return MeasuredNetwork(config, sum(layers), tuple(layers))


def random_network(name: str, rng: random.Random) -> Config:
    return baseline(name).scale(Multipliers(rng.uniform(0.3, 1), rng.uniform(0.4, 1.2), rng.uniform(0.3, 1.2)))


def random_networks(names: tuple[str, ...], n: int) -> list[MeasuredNetwork]:
    rng = random.Random(n)
    return [measure(random_network(names[i % len(names)], rng)) for i in range(n)]


@pytest.fixture(scope="module")
def model() -> LatencyModel:
    return fit_latency_model(random_networks(FITTED, 40), DEVICE)


def test_new_networks_are_predicted_closely(model: LatencyModel) -> None:
    new = random_networks(FITTED, 20)
    measured = np.array([network.ms for network in new])
    predicted = np.array([model.predict(network.config) for network in new])
    flops = np.array([network_cost(network.config).flops for network in new])
    by_flops = flops * np.exp(np.median(np.log(measured / flops)))

    assert np.median(abs(predicted / measured - 1)) < 0.03
    assert np.median(abs(predicted / measured - 1)) < 0.5 * np.median(abs(by_flops / measured - 1))


def test_error_is_that_of_networks_left_out(model: LatencyModel) -> None:
    assert model.networks == model.error.networks == 40
    assert 0 < model.error.median < 0.05
    assert model.error.within_10 > 0.9
    assert model.error.spearman > 0.99


def test_model_from_its_plain_data_predicts_the_same_bits(model: LatencyModel) -> None:
    restored = LatencyModel.from_json(json.loads(json.dumps(model.to_json())))
    config = baseline("ghostnet_050").baseline

    assert restored == model
    assert restored.predict(config) == model.predict(config)
    assert restored.device == DEVICE


@pytest.mark.parametrize("name", FITTED)
def test_batch_predicts_what_single_networks_are_predicted(name: str, model: LatencyModel) -> None:
    architecture, rng = baseline(name), random.Random(name)
    widths = np.array([rng.uniform(0.3, 1.2) for _ in range(6)])
    networks = architecture.assemble(224, architecture.repeats(1), widths)
    configs = [architecture.scale(Multipliers(rng.uniform(0.3, 1), rng.uniform(0.4, 2), w)) for w in widths.tolist()]
    repeats = np.array([[stage.repeats for stage in config.stages] for config in configs])
    sizes = np.array([config.sides[0] for config in configs])

    batch = LatencyBatch(model, networks, len(widths))
    together = batch.milliseconds(np.arange(len(widths)), repeats, sizes)

    assert together.tolist() == pytest.approx([model.predict(config) for config in configs], rel=1e-9)


def test_kind_of_layer_that_was_not_measured_is_refused(model: LatencyModel) -> None:
    del (kinds := dict(model.kinds))["squeeze_excite"]
    partial = replace(model, kinds=kinds)

    assert partial.predict(baseline("resnet50").baseline) == model.predict(baseline("resnet50").baseline)
    with pytest.raises(KindNotMeasured, match="squeeze_excite"):
        partial.predict(baseline("regnety_002").baseline)


def test_few_networks_are_refused() -> None:
    with pytest.raises(NotEnoughObservations, match="9 networks"):
        fit_latency_model(random_networks(FITTED, 9), DEVICE)


def test_trees_follow_their_splits() -> None:
    """The first tree has x0 <= 1 (else right: x1 <= 5), the second no split."""
    trees = BoostedTrees(
        splits=(((0, 1.0, 0b11111110), (1, 5.0, 0b11111101)), ()),
        leaves=((1.0, 2.0, 3.0), (10.0,)),
    )

    predicted = trees.predict(np.array([[1.0, 9.0], [1.5, 5.0], [1.5, 5.5]]))

    assert predicted.tolist() == [11.0, 12.0, 13.0]


def test_fitted_trees_follow_the_data() -> None:
    features = np.random.default_rng(0).uniform(0, 1, (600, 3))
    targets = np.where(features[:, 0] > 0.4, 1.0, -1.0) + 0.5 * (features[:, 1] > 0.7)

    trees = BoostedTrees.fit(features, targets, np.ones(len(features)))

    assert np.abs(trees.predict(features) - targets).mean() < 0.02
    assert BoostedTrees.from_json(json.loads(json.dumps(trees.to_json()))) == trees
