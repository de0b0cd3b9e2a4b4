"""Bytes of weights and activations equal those of exported ONNX graphs, and of networks that onnxruntime quantised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import GraphProto
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from app.scaling.families import baseline, baselines, network_cost
from app.scaling.network import Config, Multipliers
from tests.scaling.baselines import SMALLEST_NAMES
from tests.support import example_count
from tests.worker.onnx_memory import convert_random_network, count_weights, export_for_one_image, peak_elements
from tests.worker.test_measuring import NO_SHRINKING
from tests.worker.test_operators import check_operators


def check_memory(config: Config, graph: GraphProto) -> None:
    cost, peak, weights = network_cost(config), peak_elements(graph), count_weights(graph)

    assert cost.activation_bytes("float32") == 4 * peak
    assert cost.activation_bytes("int8") == peak
    assert cost.weights_bytes("float32") == 4 * (weights.kernels + weights.biases + weights.others)
    assert cost.weights_bytes("int8") == weights.kernels + 8 * weights.biases + 4 * weights.others


@pytest.mark.parametrize("name", SMALLEST_NAMES)
def test_memory_is_that_of_the_exported_graph(name: str) -> None:
    config = baseline(name).baseline
    check_memory(config, export_for_one_image(config))


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", sorted(baselines()))
def test_memory_and_operators_of_every_baseline_are_those_of_the_exported_graph(name: str) -> None:
    config = replace(baseline(name).baseline, resolution=96)
    graph = export_for_one_image(config)

    check_memory(config, graph)
    check_operators(config, graph)


@settings(max_examples=example_count(5), phases=NO_SHRINKING)
@given(
    st.sampled_from(["tinynet_e", "mobilenetv3_small_050", "ghostnet_050", "resnet18", "regnety_002", "convnext_atto"]),
    st.integers(33, 160),
    st.floats(0.3, 1.2),
    st.floats(0.2, 1.2),
    st.integers(1, 4),
    st.integers(2, 20),
)
def test_memory_of_scaled_networks_is_that_of_the_exported_graph(
    name: str, px: int, d: float, w: float, channels: int, classes: int
) -> None:
    scaled = baseline(name).scale(Multipliers(1, d, w))
    config = replace(scaled, resolution=px, in_chans=channels, num_classes=classes)
    check_memory(config, export_for_one_image(config))


class RandomImages(CalibrationDataReader):  # type: ignore[misc]
    """Calibrates on two random images."""

    def __init__(self, config: Config) -> None:
        px, random = config.resolution, np.random.default_rng(0)
        shape = (1, config.in_chans, px, px)
        self._images: Iterator[dict[str, np.ndarray]] = iter(
            [{"images": random.standard_normal(shape, np.float32)} for _ in range(2)]
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._images, None)


@pytest.mark.filterwarnings("ignore")  # onnxruntime's quantisation warns of its own code
@pytest.mark.parametrize("name", ["tinynet_e", "resnet18"])
def test_int8_weights_are_those_that_onnxruntime_stores(name: str, tmp_path: Path) -> None:
    """It stores kernels in int8, and for each output channel an int32 bias and a float32 scale of the kernel."""
    config = replace(baseline(name).baseline, resolution=32)
    onnx.save(convert_random_network(config), tmp_path / "float32.onnx")
    quantize_static(
        tmp_path / "float32.onnx",
        tmp_path / "int8.onnx",
        RandomImages(config),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
    )
    elements: Counter[int] = Counter()
    for tensor in onnx.load(tmp_path / "int8.onnx").graph.initializer:
        if not tensor.name.endswith(("_scale", "_zero_point")):
            elements[tensor.data_type] += prod(tensor.dims)
    cost = network_cost(config)

    assert elements == {onnx.TensorProto.INT8: cost.kernel_weights, onnx.TensorProto.INT32: cost.layer_channels}
    assert cost.weights_bytes("int8") == cost.kernel_weights + (4 + 4) * cost.layer_channels
