"""The memory of a network on a device: what its weights occupy in flash, and its feature maps in RAM.

The rules are those of a runtime that fuses what can be fused and plans its memory ahead, such as onnxruntime with all
optimizations or TinyEngine. They hold for one image, and for both precisions of a device:

- Batch norm is folded into the convolution before it, and leaves one bias per output channel. An activation function
  runs with the layer before it.
- Operators run one by one in the network's order. The input and the output of an operator are in memory at once,
  together with every tensor that a later operator reads: the input of a block up to its shortcut, a map up to its
  squeeze-excite gate or its concatenation.
- Elementwise operators (additions of shortcuts, gates, norms that are not folded) write their result over an input.
- A tensor is freed as soon as nothing reads it any more. Tensors are never split: patch-based inference, which computes
  the first layers tile by tile, needs less.

`float32`: every weight and every element of a tensor has 4 bytes.

`int8`: every kernel weight and every element of a tensor has 1 byte, also of the image and the logits. A bias is an
int32, and each output channel has a float32 scale, since weights are quantised per channel. The int32 accumulators are
in registers and never a tensor. Parameters of layers that are not quantised (layer norm, layer scale) keep 4 bytes.

Not counted: the runtime's code, the description of the graph (some kB, by the file format), and workspaces of kernels,
such as im2col's.
"""

from __future__ import annotations

from typing import Literal, get_args

Precision = Literal["float32", "int8"]

PRECISIONS: tuple[Precision, ...] = get_args(Precision)

BYTES_PER_ELEMENT: dict[Precision, int] = {"float32": 4, "int8": 1}
"""Of a tensor, and of a kernel's weight."""

_BIAS_BYTES = 4  # float32, or int32 where kernels are int8
_SCALE_BYTES = {"float32": 0, "int8": 4}  # of an output channel


def weights_bytes(kernel_weights: int, layer_channels: int, others: int, precision: Precision) -> int:
    """Return the bytes of kernels, of biases and scales per output channel of a layer, and of other parameters."""
    per_channel = _BIAS_BYTES + _SCALE_BYTES[precision]
    return BYTES_PER_ELEMENT[precision] * kernel_weights + per_channel * layer_channels + 4 * others
