"""Assigns the nodes that a runtime ran to the operators of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from app.scaling.errors import InvalidProfile
from app.scaling.latency.operators import Operator, list_operators
from app.scaling.network import Config

LAYER_KINDS = ("conv", "linear", "squeeze_excite")
"""Kinds of operators that are measured; the time of another one counts to the layer before it."""

_LAYER_NODES = frozenset(("Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul"))
_NODES_OF_NEXT_LAYER = frozenset(("ReorderInput", "ReduceMean"))
_WINDOW = 4  # a runtime rarely moves a layer past more others
_PROFILING_MS = 0.0015  # of a node, with onnxruntime's profiler
_NEVER = 1e9  # the distance of layers of different shapes
_MAX_BLOCK = 16  # channels are padded to multiples of this at most


class _Layer(NamedTuple):
    """A layer as its node shows it. Linear layers have no kernel."""

    in_channels: int
    out_channels: int
    in_pixels: int
    out_pixels: int
    kernel: int
    is_added: bool


def layer_milliseconds(config: Config, profile: Mapping[str, Any]) -> list[float]:
    """Return the time of each layer of the network in the order of its operators, from a profile.

    A layer's time includes that of the nodes after it up to the next layer, which compute what the runtime did not
    fuse. A change of the memory layout counts to the layer that needs it, the mean of a squeeze-excite to that. The
    profiler makes each node slower; without that, the layers sum to the latency of the network.

    Raises: InvalidProfile if the nodes are not those of the network.
    """
    nodes = profile["nodes"]
    positions = [index for index, node in enumerate(nodes) if node["op"] in _LAYER_NODES]
    times = _times_by_layer(nodes, positions)
    factor = profile["ms"] / sum(times)
    layers = [_layer_of(nodes[position]) for position in positions]
    operators = [operator for operator in list_operators(config) if operator.kind in LAYER_KINDS]
    expected = [layer for operator in operators for layer in _expected_layers(operator)]
    if len(layers) != len(expected):
        raise InvalidProfile(f"the profile has {len(layers)} layers, the network {len(expected)}")
    order = iter(_match(expected, layers))
    return [factor * sum(times[next(order)] for _ in _expected_layers(operator)) for operator in operators]


def _times_by_layer(nodes: Sequence[dict[str, Any]], positions: list[int]) -> list[float]:
    times = [0.0] * len(positions)
    next_layer = 0
    for index, node in enumerate(nodes):
        if next_layer < len(positions) and index == positions[next_layer]:
            next_layer += 1
        if node["op"] in _NODES_OF_NEXT_LAYER and next_layer < len(positions):
            layer = _layer_with_input(nodes, positions[next_layer : next_layer + _WINDOW], node["output"]) + next_layer
        else:
            layer = max(0, next_layer - 1)
        times[layer] += node["ms"] - min(_PROFILING_MS, node["ms"] / 2)
    return times


def _layer_with_input(nodes: Sequence[dict[str, Any]], positions: list[int], shape: list[int]) -> int:
    """Return which of the layers is the first one with an input of the shape, or else 0."""
    return next((i for i, position in enumerate(positions) if shape in nodes[position]["inputs"]), 0)


def _layer_of(node: dict[str, Any]) -> _Layer:
    inputs, output = node["inputs"], node["output"]
    image = inputs[0]
    if "Conv" not in node["op"]:
        pixels = image[1] * image[2] if len(image) == 4 else 1
        return _Layer(image[-1], output[-1], pixels, pixels, 0, False)
    return _Layer(image[1], output[1], image[2] * image[3], output[2] * output[3], inputs[1][2], len(inputs) > 3)


def _expected_layers(operator: Operator) -> list[_Layer]:
    channels, out = operator.in_channels, operator.out_channels
    if operator.kind == "squeeze_excite":
        return [_Layer(channels, out, 1, 1, 1, False), _Layer(out, channels, 1, 1, 1, False)]
    (height, width), (out_height, out_width) = operator.in_sides, operator.out_sides
    kernel = operator.kernel if operator.kind == "conv" else 0
    return [_Layer(channels, out, height * width, out_height * out_width, kernel, operator.is_added)]


def _match(expected: list[_Layer], layers: list[_Layer]) -> NDArray[np.int64]:
    """Return for each expected layer the position of the layer that it is, which is the nearest one of its shape.

    Layers of the same shape that the runtime moved past each other may be exchanged; their times are nearly equal.
    """
    distance = np.subtract.outer(np.arange(len(expected)), np.arange(len(layers))) ** 2.0
    for i, wanted in enumerate(expected):
        for j, layer in enumerate(layers):
            if not _is_same(wanted, layer):
                distance[i, j] = _NEVER
            elif wanted.is_added != layer.is_added:
                distance[i, j] += _WINDOW**2
    _, order = linear_sum_assignment(distance)
    for i, j in enumerate(order.tolist()):
        if distance[i, j] == _NEVER:
            raise InvalidProfile(f"layer {i} of the network is not in the profile: {tuple(expected[i])}")
    return np.asarray(order)


def _is_same(expected: _Layer, layer: _Layer) -> bool:
    return (
        (expected.in_pixels, expected.out_pixels, expected.kernel) == (layer.in_pixels, layer.out_pixels, layer.kernel)
        and 0 <= layer.in_channels - expected.in_channels < _MAX_BLOCK
        and 0 <= layer.out_channels - expected.out_channels < _MAX_BLOCK
    )
