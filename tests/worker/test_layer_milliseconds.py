"""The nodes that onnxruntime ran are assigned to the layers of the network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.scaling.errors import InvalidProfile
from app.scaling.families import baseline
from app.scaling.latency.operators import list_operators
from app.scaling.latency.profiles import LAYER_KINDS, layer_milliseconds
from app.scaling.network import Config, Multipliers
from tests.scaling.baselines import SMALLEST_NAMES
from tests.worker.onnx_memory import convert_random_network
from worker.onnx_profile import profile


def small(name: str) -> Config:
    return replace(baseline(name).scale(Multipliers(1, 0.5, 0.5)), resolution=40)


def measure(config: Config) -> dict[str, Any]:
    return profile(convert_random_network(config).SerializeToString(), max_seconds=0.001, real_time=False)


def check_layers(config: Config) -> None:
    profiled = measure(config)
    layers = layer_milliseconds(config, profiled)

    assert len(layers) == sum(operator.kind in LAYER_KINDS for operator in list_operators(config))
    assert sum(layers) == pytest.approx(profiled["ms"])
    assert min(layers) > 0


@pytest.mark.parametrize("name", ["efficientnet_b0", "ghostnet_050", "regnety_002", "resnet50", "convnext_tiny"])
def test_layers_sum_to_the_latency_of_the_network(name: str) -> None:
    check_layers(small(name))


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", SMALLEST_NAMES)
def test_layers_of_every_family_sum_to_the_latency_of_the_network(name: str) -> None:
    check_layers(small(name))


def test_layer_has_the_time_of_its_own_node_and_of_those_after_it() -> None:
    """In resnet18 the first layer is followed by the pooling, and a block's first by nothing."""
    config = small("resnet18")
    profiled = measure(config)
    for node in profiled["nodes"]:
        node["ms"] = 0.01
    profiled["nodes"][0]["ms"] = profiled["nodes"][1]["ms"] = 5.0
    profiled["ms"] = 100.0

    layers = layer_milliseconds(config, profiled)

    assert profiled["nodes"][1]["op"] == "MaxPool"
    assert layers[0] > 90
    assert max(layers[1:]) < 1


def test_profile_of_another_network_is_refused() -> None:
    profiled = measure(small("resnet18"))

    with pytest.raises(InvalidProfile, match="layers"):
        layer_milliseconds(small("mobilenetv2_035"), profiled)
    with pytest.raises(InvalidProfile, match="not in the profile"):
        layer_milliseconds(replace(small("resnet18"), resolution=64), profiled)
