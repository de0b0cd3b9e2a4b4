"""Memory counted on ONNX graphs, independently of the ledger: from tensor shapes and the order of the nodes alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import onnx
import torch
from onnx import GraphProto, ModelProto, NodeProto

from app.scaling.network import Config
from worker.export import convert_to_onnx
from worker.networks import build

_ELEMENTWISE = {
    "Add", "Clip", "Div", "Erf", "HardSigmoid", "HardSwish", "LayerNormalization", "Mul", "Relu", "Sigmoid", "Softplus",
    "Sub", "Tanh",
}  # fmt: skip
_SAME_DATA = {"Flatten", "Identity", "Reshape", "Slice", "Squeeze", "Transpose"}  # other views or layouts of a tensor
_LAYERS = {"Conv", "Gemm", "MatMul"}


def convert_random_network(config: Config) -> ModelProto:
    """Return the model of the network with random weights: equal ones, such as the zeros of biases, are stored once."""
    network = build(config).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    return convert_to_onnx(network, config)


def export_for_one_image(config: Config) -> GraphProto:
    """Return the graph of the network with the shapes of all tensors."""
    model = convert_random_network(config)
    for value in (*model.graph.input, *model.graph.output):
        batch = value.type.tensor_type.shape.dim[0]
        batch.ClearField("dim_param")
        batch.dim_value = 1
    del model.graph.value_info[:]
    return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph


@dataclass(frozen=True)
class WeightCounts:
    """Elements of kernels, output channels of layers with bias, and elements of other constants."""

    kernels: int
    biases: int
    others: int


def count_weights(graph: GraphProto) -> WeightCounts:
    """Count the constants with more than one element that nodes compute with; each use counts."""
    constants = {initializer.name: tuple(initializer.dims) for initializer in graph.initializer}
    for node in graph.node:
        if node.op_type == "Identity" and node.input[0] in constants:
            constants[node.output[0]] = constants[node.input[0]]
    kernels = biases = others = 0
    linear_outputs: set[str] = set()
    for node in graph.node:
        sizes = [prod(constants[name]) for name in node.input if name in constants and prod(constants[name]) > 1]
        if node.op_type in _LAYERS:
            kernels += sizes[0]
            biases += sum(sizes[1:])
            if node.op_type == "MatMul":
                linear_outputs.add(node.output[0])
        elif node.op_type == "Add" and linear_outputs & set(node.input):  # the bias of a linear layer
            biases += sum(sizes)
        elif node.op_type in _ELEMENTWISE:
            others += sum(sizes)
    return WeightCounts(kernels, biases, others)


def peak_elements(graph: GraphProto) -> int:
    """Return the most elements of tensors that are in memory at once, if nodes run one by one in the graph's order.

    An elementwise node and another view share the memory of the input that they change, the largest; all other nodes
    have their inputs and outputs in memory at once. An activation function that is exported as several nodes, such as
    x * sigmoid(x), is thereby fused.
    """
    elements = _elements_by_tensor(graph)
    buffers = _assign_buffers(graph, elements)
    last_use = {buffers[name]: step for step, node in enumerate(graph.node) for name in node.input if name in buffers}
    sizes: dict[str, int] = {}
    for name, buffer in buffers.items():
        sizes[buffer] = max(sizes.get(buffer, 0), elements[name])
    alive = {value.name for value in graph.input}
    peak = 0
    for step, node in enumerate(graph.node):
        if any(name in buffers for name in node.input):
            alive |= {buffers[name] for name in node.output}
            peak = max(peak, sum(sizes[buffer] for buffer in alive))
            alive = {buffer for buffer in alive if last_use.get(buffer, -1) > step}
    return peak


def _elements_by_tensor(graph: GraphProto) -> dict[str, int]:
    values = (*graph.input, *graph.value_info, *graph.output)
    return {value.name: prod(dim.dim_value for dim in value.type.tensor_type.shape.dim) for value in values}


def _assign_buffers(graph: GraphProto, elements: dict[str, int]) -> dict[str, str]:
    """Return for each tensor that depends on the image the name of the tensor whose memory it shares."""
    buffers = {value.name: value.name for value in graph.input}
    for node in graph.node:
        inputs = [name for name in node.input if name in buffers]
        if inputs:
            shared = _shared_input(node, inputs, elements)
            buffers |= {name: name if shared is None else buffers[shared] for name in node.output}
    return buffers


def _shared_input(node: NodeProto, inputs: list[str], elements: dict[str, int]) -> str | None:
    if node.op_type in _SAME_DATA:
        return inputs[0]
    if node.op_type not in _ELEMENTWISE:
        return None
    return max(_newest_first(inputs), key=lambda name: elements[name])


def _newest_first(inputs: list[str]) -> Iterator[str]:
    """Yield the inputs in the order from last to first computed: of a shortcut and a block's output, the latter."""
    yield from reversed(inputs)
