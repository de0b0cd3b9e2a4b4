"""The exact cost of a network, computed without building it.

A convolution's cost is a coefficient times the pixels of its output, so a network's cost is linear in the pixels of its
few feature-map sizes. A family walks its network once over a `Ledger`, which stores the coefficients. They may be
arrays with one entry per candidate width; one small matrix product then gives the cost of thousands of networks.

Conventions, all for one image:

- `flops`: multiply-adds of convolutions and linear layers without biases. Budgets use this convention.
- `fvcore_total`: fvcore's total: `flops` plus batch norm in evaluation mode (2 per element), layer norm (5 per element)
  and adaptive average pooling (1 per input element).
- `params`: learnable parameters.
- `activations`: output elements of convolutions and linear layers (fvcore's `ActivationCountAnalysis`).
- `bias_adds`: additions of biases, which none of the above counts.
- `peak_activation_bytes`: the maximum memory of live float32 tensors: the input and the output of a convolution, linear
  layer, pooling or concatenation, and the tensors kept alive for later. Norms, activations, gates and additions work in
  place. Weights are not counted.
- `kernel_weights`, `layer_channels`, `norm_channels`: elements of the kernels of convolutions and linear layers, their
  output channels, and those of them with batch norm. The bytes of weights follow from these (`cost.memory`).

Each operation also has its form: what tells it apart from others of the same cost, for models of latency. No cost
depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.scaling.cost import memory
from app.scaling.cost.memory import PRECISIONS, Precision
from app.scaling.resolution import Resolution
from app.scaling.rounding import Channels

IMAGE = 0  # the level of the input image
POINT = -1  # the level of pooled, 1 x 1 maps

OPERATORS = ("conv", "linear", "batch_norm", "layer_norm", "adaptive_avg_pool2d")
"""fvcore's names for the operators it counts in these networks."""

BIAS = "bias"  # not an fvcore operator

_new_tuple = tuple.__new__  # twice as fast as a named tuple's own

BYTES_PER_ELEMENT = 4  # float32


class FeatureMap(NamedTuple):
    """A feature map with `channels` channels on a level, whose sides in px follow from the input's."""

    channels: Channels
    level: int


def changes_shape(x: FeatureMap, out: Channels, stride: int) -> bool | NDArray[np.bool_]:
    """Return whether a block's output has another shape than its input `x`, per width if the channels are arrays.

    The channels of a layer that exists only in that case are multiplied by the result.
    """
    return stride > 1 or x.channels != out


# Kinds of operators; the first three are layers: convolution with batch norm, convolution with bias, linear with bias.
_CONV_NORM, _CONV_BIAS, _LINEAR, _SQUEEZE, _LAYER_NORM, _SCALE, _POOL, _MAX_POOL, _CONCATENATE = range(9)

KIND_NAMES = (
    "conv", "conv", "linear", "squeeze_excite", "layer_norm", "scale", "pool", "max_pool", "concatenate"
)  # fmt: skip
"""The name of each kind of operator."""

Form = tuple[int, int, Channels | None, str | None, Channels]
"""Kernel, stride, group width (None: one group), the activation function that follows (None: none), and the channels
of the map that is added to the output before that function (0: nothing is added)."""

_RetainedMaps = tuple[tuple[FeatureMap | None, FeatureMap], ...]
_Operation = tuple[int, FeatureMap, FeatureMap, Channels, _RetainedMaps, Form]
"""Kind, input, output, weights, retained maps and form."""

_PLAIN: Form = (1, 1, None, None, 0)


class Runs(NamedTuple):
    """How often a part runs: `once`, plus for each block of a stage after the first, plus if there are such blocks."""

    once: int
    per_further_block: int = 0
    if_repeated: int = 0
    stage_index: int = 0


@dataclass(frozen=True)
class PartCost:
    """The sum of a part's operations for one block, per pixel of each level."""

    counts: dict[tuple[str, int], Channels]  # (operator, level) -> operations
    activations: dict[int, Channels]  # level -> elements
    params: Channels
    live_tensors: list[tuple[FeatureMap, ...]]  # per operator: input, output, retained maps


class Part:
    """A part is a run of equal blocks: the operations of one block, and the number of blocks.

    `runs` gives that number for any repeats.
    """

    def __init__(self, stage: str, repeats: int, runs: Runs) -> None:
        self.stage = stage
        self.repeats = repeats
        self.runs = runs
        self.operations: list[_Operation] = []

    def summarize(self) -> PartCost:
        """Sum the operations by this module's conventions."""
        counts: dict[tuple[str, int], Channels] = {}
        activations: dict[int, Channels] = {}
        params: Channels = 0
        live_tensors = []
        for kind, x, y, weights, retained, _ in self.operations:
            out, level = y
            if kind <= _LINEAR:
                key = ("linear" if kind == _LINEAR else "conv", level)
                counts[key] = counts.get(key, 0) + weights
                activations[level] = activations.get(level, 0) + out
                params = params + weights
                if kind == _CONV_NORM:
                    key = ("batch_norm", level)
                    counts[key] = counts.get(key, 0) + 2 * out
                    params = params + 2 * out
                else:
                    key = (BIAS, level)
                    counts[key] = counts.get(key, 0) + out
                    params = params + out
            elif kind == _SQUEEZE:  # two convolutions with bias on pooled maps: to `out` channels and back
                biases, pooled = out + x.channels, FeatureMap(x.channels, POINT)
                for key, count in ((("conv", POINT), weights), ((BIAS, POINT), biases)):
                    counts[key] = counts.get(key, 0) + count
                activations[POINT] = activations.get(POINT, 0) + biases
                params = params + weights + biases
                retained_maps = [x, *[maps for source, maps in retained if source is not x]]
                live_tensors += [(pooled, y, *retained_maps), (y, pooled, *retained_maps)]
                continue
            elif kind == _LAYER_NORM:
                key = ("layer_norm", level)
                counts[key] = counts.get(key, 0) + 5 * out
                params = params + 2 * out
                continue
            elif kind == _SCALE:
                params = params + out
                continue
            elif kind == _POOL:
                key = ("adaptive_avg_pool2d", x.level)
                counts[key] = counts.get(key, 0) + out
            live_tensors.append((x, y, *[maps for source, maps in retained if source is not x]) if retained else (x, y))
        return PartCost(counts, activations, params, live_tensors)


class Ledger:
    """A ledger records the cost of a network's operators while a family walks through the network.

    Its `start_` methods say which part the following operators belong to.
    """

    def __init__(self, in_chans: int) -> None:
        self.image = FeatureMap(in_chans, IMAGE)
        self.parts: list[Part] = []
        self._reductions: list[tuple[int, int, int]] = []  # level k + 1: (from level, kernel less padding, stride)
        self._retained: _RetainedMaps = ()

    def start_part(self, stage: str) -> None:
        """Start a part of operators that run once."""
        self._add_part(Part(stage, 1, Runs(1)))

    def start_stage(self, index: int) -> None:
        """Start a stage with its first block, the one that has the stride."""
        self._add_part(Part(f"stages.{index}", 1, Runs(1)))

    def start_repeated_blocks(self, index: int, repeats: int) -> None:
        """Start the equal blocks after the first one in a stage of `repeats` blocks; record one of them."""
        self._add_part(Part(f"stages.{index}", repeats - 1, Runs(0, per_further_block=1, stage_index=index)))

    def start_part_after(self, index: int, repeats: int, stage: str, *, is_repeated: bool) -> None:
        """Start a part that runs once if stage `index` has more than one block (`is_repeated`), or else only one."""
        runs = Runs(0, if_repeated=1, stage_index=index) if is_repeated else Runs(1, if_repeated=-1, stage_index=index)
        self._add_part(Part(stage, int((repeats > 1) == is_repeated), runs))

    def keep_alive(self, x: FeatureMap, channels: Channels | None = None) -> _Retained:
        """Keep the maps `x`, or `channels` of them, alive while the operators in the `with` block run."""
        return _Retained(self, (x, x if channels is None else FeatureMap(channels, x.level)))

    def conv(
        self,
        x: FeatureMap,
        out: Channels,
        kernel: int = 1,
        stride: int = 1,
        *,
        group_width: Channels | None = None,
        padding: int | None = None,
        activation: str | None = None,
        added: Channels = 0,
        kind: int = _CONV_NORM,
    ) -> FeatureMap:
        """Record a convolution with batch norm over groups of `group_width` channels (1: depthwise; None: one group).

        The default padding is symmetric as in timm and torchvision: (stride - 1 + kernel - 1) // 2. A map of `added`
        channels is added to the output, then comes the activation function.
        """
        channels, level = x
        if stride != 1 and level != POINT:
            level = self._reduced_level(
                level, kernel, stride, (stride + kernel - 2) // 2 if padding is None else padding
            )
        y = _new_tuple(FeatureMap, (out, level))
        weights = kernel * kernel * (channels if group_width is None else group_width) * out
        self._operations.append((kind, x, y, weights, self._retained, (kernel, stride, group_width, activation, added)))
        return y

    def conv_bias(
        self,
        x: FeatureMap,
        out: Channels,
        kernel: int = 1,
        stride: int = 1,
        *,
        group_width: Channels | None = None,
        padding: int | None = None,
        activation: str | None = None,
        added: Channels = 0,
    ) -> FeatureMap:
        """Record a convolution with bias and without norm."""
        return self.conv(
            x, out, kernel, stride, group_width=group_width, padding=padding, activation=activation, added=added,
            kind=_CONV_BIAS,
        )  # fmt: skip

    def linear(self, x: FeatureMap, out: Channels, *, activation: str | None = None, added: Channels = 0) -> FeatureMap:
        """Record a linear layer with bias over the channels of every pixel."""
        return self._record(_LINEAR, x, FeatureMap(out, x.level), x.channels * out, (1, 1, None, activation, added))

    def layer_norm(self, x: FeatureMap) -> FeatureMap:
        """Record a layer normalisation over the channels, with scale and shift."""
        return self._record(_LAYER_NORM, x, x)

    def scale(self, x: FeatureMap) -> FeatureMap:
        """Record a learnt factor per channel (layer scale), which fvcore does not count."""
        return self._record(_SCALE, x, x)

    def squeeze_excite(self, x: FeatureMap, squeezed: Channels, activation: str = "relu") -> FeatureMap:
        """Record a channel gate through `squeezed` channels; fvcore does not count the mean that precedes it."""
        self._record(_SQUEEZE, x, FeatureMap(squeezed, POINT), 2 * x.channels * squeezed, (1, 1, None, activation, 0))
        return x

    def max_pool(self, x: FeatureMap, kernel: int, stride: int) -> FeatureMap:
        """Record a max pooling with a convolution's padding; fvcore does not count it."""
        level = self._reduced_level(x.level, kernel, stride, (kernel - 1) // 2)
        return self._record(_MAX_POOL, x, FeatureMap(x.channels, level), form=(kernel, stride, 1, None, 0))

    def pool(self, x: FeatureMap) -> FeatureMap:
        """Record an adaptive average pooling to 1 x 1."""
        return self._record(_POOL, x, FeatureMap(x.channels, POINT))

    def concatenate(self, x: FeatureMap, other: FeatureMap, *, added: Channels = 0) -> FeatureMap:
        """Record the concatenation of two maps of one level, to which a map of `added` channels is added."""
        with _Retained(self, (None, other)):
            y = FeatureMap(x.channels + other.channels, x.level)
            return self._record(_CONCATENATE, x, y, form=(1, 1, None, None, added))

    def pixels(self, resolution: Resolution) -> list[int]:
        """Return each level's number of pixels; 0 means that the input is too small for the network."""
        if isinstance(resolution, int):
            return [side * side for side in self.sides(resolution)]
        rows, columns = (self.sides(side) for side in resolution)
        return [height * width for height, width in zip(rows, columns, strict=True)]

    def sides(self, input_side: Any) -> list[Any]:
        """Return a side of each level in px from the same side of the input (or an array); the pooled level is last.

        A side of 0 means that the input is too small for the network.
        """
        sides = [input_side]
        for parent, window, stride in self._reductions:
            side = (sides[parent] - window) // stride + 1
            sides.append(side * (side > 0))
        return [*sides, 1]

    def _add_part(self, part: Part) -> None:
        self.parts.append(part)
        self._operations = part.operations

    def _record(
        self, kind: int, x: FeatureMap, y: FeatureMap, weights: Channels = 0, form: Form = _PLAIN
    ) -> FeatureMap:
        self._operations.append((kind, x, y, weights, self._retained, form))
        return y

    def _reduced_level(self, level: int, kernel: int, stride: int, padding: int) -> int:
        reduction = (level, kernel - 2 * padding, stride)
        if reduction not in self._reductions:
            self._reductions.append(reduction)
        return self._reductions.index(reduction) + 1


class _Retained:
    """This context manager keeps maps alive in a ledger between entry and exit."""

    __slots__ = ("_ledger", "_maps", "_previous")

    def __init__(self, ledger: Ledger, maps: tuple[FeatureMap | None, FeatureMap]) -> None:
        self._ledger = ledger
        self._maps = maps

    def __enter__(self) -> None:
        self._previous = self._ledger._retained
        self._ledger._retained = (*self._previous, self._maps)

    def __exit__(self, *_: object) -> None:
        self._ledger._retained = self._previous


@dataclass(frozen=True)
class Cost:
    """The cost of a network or a stage for one image; the module's docstring explains the conventions."""

    by_operator: dict[str, int]
    params: int
    activations: int
    peak_activation_bytes: int
    bias_adds: int
    kernel_weights: int
    layer_channels: int
    norm_channels: int

    @property
    def flops(self) -> int:
        """Multiply-adds of convolutions and linear layers."""
        return self.by_operator["conv"] + self.by_operator["linear"]

    @property
    def fvcore_total(self) -> int:
        return sum(self.by_operator.values())

    def weights_bytes(self, precision: Precision) -> int:
        """Return what the weights occupy on a device."""
        others = self.params - self.kernel_weights - self.layer_channels - self.norm_channels
        return memory.weights_bytes(self.kernel_weights, self.layer_channels, others, precision)

    def activation_bytes(self, precision: Precision) -> int:
        """Return the peak memory of live tensors on a device."""
        return self.peak_activation_bytes // BYTES_PER_ELEMENT * memory.BYTES_PER_ELEMENT[precision]

    def to_json(self) -> dict[str, Any]:
        return {
            "flops": self.flops,
            "fvcore_total": self.fvcore_total,
            "by_operator": dict(self.by_operator),
            "params": self.params,
            "activations": self.activations,
            "peak_activation_bytes": self.peak_activation_bytes,
            "weights_bytes": {precision: self.weights_bytes(precision) for precision in PRECISIONS},
            "activation_bytes": {precision: self.activation_bytes(precision) for precision in PRECISIONS},
        }


def total_cost(ledger: Ledger, resolution: Resolution) -> Cost:
    """Return the whole network's cost at an input of this resolution."""
    return _sum_parts(ledger.parts, ledger.pixels(resolution))


def cost_by_stage(ledger: Ledger, resolution: Resolution) -> list[tuple[str, Cost]]:
    """Return the cost of each stage in the network's order; all but the peaks sum to the whole network's."""
    pixels = ledger.pixels(resolution)
    stages = dict.fromkeys(part.stage for part in ledger.parts)
    return [(name, _sum_parts([p for p in ledger.parts if p.stage == name], pixels)) for name in stages]


def _sum_parts(parts: list[Part], pixels: list[int]) -> Cost:
    """Sum the parts of one network, times the pixels of each level, in a single pass.

    This is `Part.summarize` for a single network, optimized for requests that concern one network at a time.
    """
    conv = linear = batch_norm = layer_norm = pool = bias = params = activations = peak = 0
    kernel_weights = layer_channels = norm_channels = 0
    for part in parts:
        repeats = part.repeats
        if repeats == 0:
            continue
        operations: Any = part.operations  # of one network: numbers, no arrays
        for kind, x, (out, level), weights, retained, _ in operations:
            elements = out * pixels[level]
            if kind <= _LINEAR:
                multiply_adds = repeats * weights * pixels[level]
                params += repeats * weights
                kernel_weights += repeats * weights
                layer_channels += repeats * out
                activations += repeats * elements
                if kind == _CONV_NORM:
                    norm_channels += repeats * out
                    conv += multiply_adds
                    batch_norm += repeats * 2 * elements
                    params += repeats * 2 * out
                elif kind == _LINEAR:
                    linear += multiply_adds
                    bias += repeats * elements
                    params += repeats * out
                else:
                    conv += multiply_adds
                    bias += repeats * elements
                    params += repeats * out
            elif kind == _SQUEEZE:
                channels = x[0]
                conv += repeats * weights
                bias += repeats * (out + channels)
                activations += repeats * (out + channels)
                params += repeats * (weights + out + channels)
                kernel_weights += repeats * weights
                layer_channels += repeats * (out + channels)
                elements += channels
            elif kind == _LAYER_NORM:
                layer_norm += repeats * 5 * elements
                params += repeats * 2 * out
                continue
            elif kind == _SCALE:
                params += repeats * out
                continue
            elif kind == _POOL:
                pool += repeats * out * pixels[x[1]]
            elements += x[0] * pixels[x[1]]
            for source, maps in retained:
                if source is not x:
                    elements += maps[0] * pixels[maps[1]]
            if elements > peak:
                peak = elements
    by_operator = dict(zip(OPERATORS, map(int, (conv, linear, batch_norm, layer_norm, pool)), strict=True))
    counts = map(
        int, (params, activations, BYTES_PER_ELEMENT * peak, bias, kernel_weights, layer_channels, norm_channels)
    )
    return Cost(by_operator, *counts)
