"""The fused operators of a network are those of the exported ONNX graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import pytest
from onnx import GraphProto, NodeProto, helper

from app.scaling.families import baseline
from app.scaling.latency.operators import Operator, list_operators
from app.scaling.network import Config, Multipliers
from tests.scaling.baselines import SMALLEST_NAMES
from tests.worker.onnx_memory import export_for_one_image

_ACTIVATIONS = {"Relu": "relu", "Clip": "relu6", "HardSwish": "hard_swish", "Sigmoid": "swish", "Div": "gelu"}
_VIEWS = {"Transpose", "Slice", "Identity"}
_ONE_OPERATOR = {
    "layer_norm": "LayerNormalization",
    "max_pool": "MaxPool",
    "pool": "GlobalAveragePool",
    "concatenate": "Concat",
}


class Layer(NamedTuple):
    """A convolution or linear layer."""

    in_channels: int
    out_channels: int
    in_sides: tuple[int, ...]
    out_sides: tuple[int, ...]
    kernel: int
    stride: int
    group_width: int
    activation: str | None
    is_added: bool


class Graph:
    """An exported graph whose nodes can be asked for what follows them."""

    def __init__(self, graph: GraphProto) -> None:
        self.graph = graph
        values = (*self.graph.input, *self.graph.value_info, *self.graph.output)
        self.shapes = {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in values}
        self.constants = {tensor.name: tuple(tensor.dims) for tensor in self.graph.initializer}
        for node in self.graph.node:
            if node.op_type == "Identity" and node.input[0] in self.constants:
                self.constants[node.output[0]] = self.constants[node.input[0]]
        self.consumers: dict[str, list[NodeProto]] = {}
        for node in self.graph.node:
            for name in node.input:
                self.consumers.setdefault(name, []).append(node)

    def layers(self) -> Iterator[Layer]:
        for node in self.graph.node:
            if node.op_type not in ("Conv", "Gemm", "MatMul"):
                continue
            x, y = self.shapes[node.input[0]], self.shapes[node.output[0]]
            activation, is_added = self.what_follows(node.output[0])
            if node.op_type == "Conv":
                options = {a.name: helper.get_attribute_value(a) for a in node.attribute}
                width = self.constants[node.input[1]][1]
                kernel, stride = options["kernel_shape"][0], options["strides"][0]
                yield Layer(x[1], y[1], x[2:], y[2:], kernel, stride, width, activation, is_added)
            else:
                sides = x[1:3] if len(x) == 4 else (1, 1)
                yield Layer(x[-1], y[-1], sides, sides, 1, 1, x[-1], activation, is_added)

    def what_follows(self, name: str) -> tuple[str | None, bool]:
        """Return the activation function and whether another map is added: it is the sum's second input."""
        is_added = False
        while True:
            consumers = self.consumers.get(name, [])
            for node in consumers:
                if node.op_type in _ACTIVATIONS:
                    return _ACTIVATIONS[node.op_type], is_added
            if len(consumers) != 1 and not is_added:
                return None, is_added
            node = consumers[0]
            by_constant = any(other in self.constants for other in node.input)
            if node.op_type == "Add" and not by_constant:
                if is_added or node.input[0] != name:
                    return None, is_added
                is_added = True
            elif not (node.op_type in _VIEWS or (node.op_type in ("Add", "Mul") and by_constant)):
                return None, is_added
            name = node.output[0]

    def count(self, op_type: str) -> int:
        return sum(node.op_type == op_type for node in self.graph.node)

    def count_sums(self) -> int:
        """Return how many maps are added to others."""
        return sum(
            node.op_type == "Add" and not any(name in self.constants for name in node.input)
            and not any(name.endswith(("Erf_output_0", "Constant_output_0")) for name in node.input)
            for node in self.graph.node
        )  # fmt: skip


def expected_layers(operators: list[Operator]) -> Iterator[Layer]:
    for operator in operators:
        kind, channels, out, *shape = operator
        if kind in ("conv", "linear"):
            yield Layer(channels, out, *shape)
        elif kind == "squeeze_excite":
            yield Layer(channels, out, (1, 1), (1, 1), 1, 1, channels, operator.activation, False)
            yield Layer(out, channels, (1, 1), (1, 1), 1, 1, out, None, False)


def without_gates(layers: Iterator[Layer]) -> list[Layer]:
    """Return the layers without swish on pooled maps: the graph has the sigmoid of a gate in its place."""
    return [
        layer._replace(activation=None) if layer.in_sides == (1, 1) and layer.activation == "swish" else layer
        for layer in layers
    ]


def check_operators(config: Config, exported: GraphProto) -> None:
    graph, operators = Graph(exported), list_operators(config)
    kinds = Counter(operator.kind for operator in operators)

    assert without_gates(expected_layers(operators)) == without_gates(graph.layers())
    assert sum(operator.is_added for operator in operators) == graph.count_sums()
    for kind, op_type in _ONE_OPERATOR.items():
        assert kinds[kind] == graph.count(op_type)
    assert kinds["squeeze_excite"] == graph.count("ReduceMean")


@pytest.mark.parametrize("name", SMALLEST_NAMES)
def test_operators_are_those_of_the_exported_graph(name: str) -> None:
    config = replace(baseline(name).baseline, resolution=96)
    check_operators(config, export_for_one_image(config))


@pytest.mark.parametrize("name", ["ghostnet_050", "resnet18", "regnety_002", "convnext_atto"])
def test_operators_of_scaled_networks_are_those_of_the_exported_graph(name: str) -> None:
    config = replace(baseline(name).scale(Multipliers(1, 0.6, 0.7)), resolution=(99, 70))
    check_operators(config, export_for_one_image(config))
