"""What a network costs, exactly, without building it.

A convolution's cost is a coefficient times the pixels of its output, so a network's cost is linear in the pixels of
its few feature-map sizes. A family walks its network once over a `Ledger`, which keeps those coefficients; they
may be arrays with one entry a candidate width, and then thousands of networks are costed by one small product.

Conventions, all for one image:

- `flops`: multiply-adds of convolutions and linear layers, biases not counted. This is the budget's convention.
- `fvcore_total`: fvcore's own total: the above, plus batch norm in evaluation mode (2 an element), layer norm (5 an
  element) and adaptive average pooling (1 an input element).
- `params`: learnable parameters.
- `activations`: output elements of convolutions and linear layers (fvcore's `ActivationCountAnalysis`).
- `bias_adds`: additions of biases, which none of the above counts.
- `peak_activation_bytes`: the most that has to be alive at once, in float32: the input and the output of a convolution,
  linear layer, pooling or concatenation, and what waits beside it for later use. Norms, activations, gates and
  additions work in place and weights are not counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.scaling.rounding import Channels

IMAGE = 0  # the level of the input image
POINT = -1  # the level of pooled, 1 x 1 maps

OPERATORS = ("conv", "linear", "batch_norm", "layer_norm", "adaptive_avg_pool2d")
"""fvcore's names for the operators it counts in these networks."""

BIAS = "bias"  # counted beside them, of no fvcore operator

_new = tuple.__new__  # of a named tuple: half the time of its own

BYTES = 4  # of an element: float32


class FeatureMap(NamedTuple):
    """`channels` maps on a level, whose side in px follows from the input's."""

    channels: Channels
    level: int


def differs(x: FeatureMap, out: Channels, stride: int) -> bool | NDArray[np.bool_]:
    """Whether a block from `x` to `out` channels has input and output of two shapes, by width where those are arrays.

    A layer that is only there in that case is booked with so many times its channels.
    """
    return stride > 1 or x.channels != out


# What runs: a convolution with batch norm, one with bias, a linear layer with bias, …; the first three are the layers.
_CONV_NORM, _CONV_BIAS, _LINEAR, _SQUEEZE, _LAYER_NORM, _SCALE, _POOL, _MAX_POOL, _CONCATENATE = range(9)

_Waiting = tuple[tuple[FeatureMap | None, FeatureMap], ...]
_Operation = tuple[int, FeatureMap, FeatureMap, Channels, _Waiting]  # kind, input, output, weights, what waits


@dataclass(frozen=True)
class Booked:
    """A part's operations added up, for one block: per pixel of each level."""

    counts: dict[tuple[str, int], Channels]  # (operator, level) -> operations
    activations: dict[int, Channels]  # level -> elements
    params: Channels
    alive: list[tuple[FeatureMap, ...]]  # of each operator: input, output, what waits


class Part:
    """One run of equal blocks: the operations of one of them, and how many there are."""

    def __init__(self, stage: str, repeats: int, of_stage: int | None = None) -> None:
        self.stage = stage
        self.repeats = repeats
        self.of_stage = of_stage  # the index of the stage whose repeats, less one, these are
        self.operations: list[_Operation] = []

    def booked(self) -> Booked:
        """What the operations come to, by this module's conventions."""
        counts: dict[tuple[str, int], Channels] = {}
        activations: dict[int, Channels] = {}
        params: Channels = 0
        alive = []
        for kind, x, y, weights, waiting in self.operations:
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
            elif kind == _SQUEEZE:  # two convolutions with bias on the pooled maps: to `out` channels and back
                both, pooled = out + x.channels, FeatureMap(x.channels, POINT)
                for key, count in ((("conv", POINT), weights), ((BIAS, POINT), both)):
                    counts[key] = counts.get(key, 0) + count
                activations[POINT] = activations.get(POINT, 0) + both
                params = params + weights + both
                beside = [x, *[maps for held, maps in waiting if held is not x]]
                alive += [(pooled, y, *beside), (y, pooled, *beside)]
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
            alive.append((x, y, *[maps for held, maps in waiting if held is not x]) if waiting else (x, y))
        return Booked(counts, activations, params, alive)


class Ledger:
    """Books what a network's operators cost while a family walks through it.

    `part`, `stage` and `rest_of_stage` say what the operators booked from there on belong to.
    """

    def __init__(self, in_chans: int) -> None:
        self.image = FeatureMap(in_chans, IMAGE)
        self.parts: list[Part] = []
        self._reductions: list[tuple[int, int, int]] = []  # level k + 1: (from level, kernel less padding, stride)
        self._waiting: _Waiting = ()

    def part(self, stage: str) -> None:
        """Operators that run once."""
        self._begin(Part(stage, 1))

    def stage(self, index: int) -> None:
        """Those of a stage's first block, the one with its stride."""
        self._begin(Part(f"stages.{index}", 1))

    def rest_of_stage(self, index: int, repeats: int) -> None:
        """Those of one of the equal blocks that follow the first in a stage of `repeats`."""
        self._begin(Part(f"stages.{index}", repeats - 1, of_stage=index))

    def held(self, x: FeatureMap, channels: Channels | None = None) -> _Held:
        """The maps `x` (or so many channels of them) stay alive while what is booked inside (`with`) runs."""
        return _Held(self, (x, x if channels is None else FeatureMap(channels, x.level)))

    def conv(
        self,
        x: FeatureMap,
        out: Channels,
        kernel: int = 1,
        stride: int = 1,
        *,
        group_width: Channels | None = None,
        padding: int | None = None,
        kind: int = _CONV_NORM,
    ) -> FeatureMap:
        """A convolution with batch norm, over groups of `group_width` input channels (1: depthwise; none: one group).

        Padded symmetrically as timm and torchvision do, (stride - 1 + kernel - 1) // 2, unless told otherwise.
        """
        channels, level = x
        if stride != 1 and level != POINT:
            level = self._reduced(level, kernel, stride, (stride + kernel - 2) // 2 if padding is None else padding)
        y = _new(FeatureMap, (out, level))
        weights = kernel * kernel * (channels if group_width is None else group_width) * out
        self._operations.append((kind, x, y, weights, self._waiting))
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
    ) -> FeatureMap:
        """A convolution with bias and no norm."""
        return self.conv(x, out, kernel, stride, group_width=group_width, padding=padding, kind=_CONV_BIAS)

    def linear(self, x: FeatureMap, out: Channels) -> FeatureMap:
        """A linear layer with bias, over the channels of every pixel."""
        return self._book(_LINEAR, x, FeatureMap(out, x.level), x.channels * out)

    def layer_norm(self, x: FeatureMap) -> FeatureMap:
        """Layer normalisation over the channels, with scale and shift."""
        return self._book(_LAYER_NORM, x, x)

    def scale(self, x: FeatureMap) -> FeatureMap:
        """A learnt factor a channel (layer scale), which fvcore does not count."""
        return self._book(_SCALE, x, x)

    def squeeze_excite(self, x: FeatureMap, squeezed: Channels) -> FeatureMap:
        """A channel gate from the maps' means through `squeezed` channels (the mean itself fvcore does not count)."""
        self._book(_SQUEEZE, x, FeatureMap(squeezed, POINT), 2 * x.channels * squeezed)
        return x

    def max_pool(self, x: FeatureMap, kernel: int, stride: int) -> FeatureMap:
        """Max pooling, padded as a convolution is (fvcore does not count it)."""
        level = self._reduced(x.level, kernel, stride, (kernel - 1) // 2)
        return self._book(_MAX_POOL, x, FeatureMap(x.channels, level))

    def pool(self, x: FeatureMap) -> FeatureMap:
        """Adaptive average pooling to 1 x 1."""
        return self._book(_POOL, x, FeatureMap(x.channels, POINT))

    def concatenate(self, x: FeatureMap, other: FeatureMap) -> FeatureMap:
        """The channels of two maps of one level."""
        with _Held(self, (None, other)):
            return self._book(_CONCATENATE, x, FeatureMap(x.channels + other.channels, x.level))

    def sides(self, resolution: Any) -> list[Any]:
        """Each level's side in px for an input of `resolution` px (or an array of them); the pooled level's comes last.

        A side of 0 says that the input is too small for the network.
        """
        sides = [resolution]
        for parent, window, stride in self._reductions:
            side = (sides[parent] - window) // stride + 1
            sides.append(side * (side > 0))
        return [*sides, 1]

    def _begin(self, part: Part) -> None:
        self.parts.append(part)
        self._operations = part.operations

    def _book(self, kind: int, x: FeatureMap, y: FeatureMap, weights: Channels = 0) -> FeatureMap:
        self._operations.append((kind, x, y, weights, self._waiting))
        return y

    def _reduced(self, level: int, kernel: int, stride: int, padding: int) -> int:
        reduction = (level, kernel - 2 * padding, stride)
        if reduction not in self._reductions:
            self._reductions.append(reduction)
        return self._reductions.index(reduction) + 1


class _Held:
    """Maps that wait, in a ledger, from entry to exit."""

    __slots__ = ("_before", "_ledger", "_maps")

    def __init__(self, ledger: Ledger, maps: tuple[FeatureMap | None, FeatureMap]) -> None:
        self._ledger = ledger
        self._maps = maps

    def __enter__(self) -> None:
        self._before = self._ledger._waiting
        self._ledger._waiting = (*self._before, self._maps)

    def __exit__(self, *_: object) -> None:
        self._ledger._waiting = self._before


@dataclass(frozen=True)
class Cost:
    """What a network, or a stage of it, costs for one image (conventions: this module's docstring)."""

    by_operator: dict[str, int]
    params: int
    activations: int
    peak_activation_bytes: int
    bias_adds: int

    @property
    def flops(self) -> int:
        """Multiply-adds of convolutions and linear layers."""
        return self.by_operator["conv"] + self.by_operator["linear"]

    @property
    def fvcore_total(self) -> int:
        return sum(self.by_operator.values())

    def to_json(self) -> dict[str, Any]:
        return {
            "flops": self.flops,
            "fvcore_total": self.fvcore_total,
            "by_operator": dict(self.by_operator),
            "params": self.params,
            "activations": self.activations,
            "peak_activation_bytes": self.peak_activation_bytes,
        }


def total(ledger: Ledger, resolution: int) -> Cost:
    """The whole network's cost at an input of `resolution` px."""
    return _summed(ledger.parts, ledger.sides(resolution))


def by_stage(ledger: Ledger, resolution: int) -> list[tuple[str, Cost]]:
    """The cost of each stage, in the network's order; they sum to the whole (the peak is a maximum)."""
    sides = ledger.sides(resolution)
    stages = dict.fromkeys(part.stage for part in ledger.parts)
    return [(name, _summed([p for p in ledger.parts if p.stage == name], sides)) for name in stages]


def _summed(parts: list[Part], sides: list[int]) -> Cost:
    """`Part.booked` of one network, times its pixels, in a single pass: as it is asked for one network at a time."""
    pixels = [side * side for side in sides]
    conv = linear = batch_norm = layer_norm = pool = bias = params = activations = peak = 0
    for part in parts:
        times = part.repeats
        if times == 0:
            continue
        operations: Any = part.operations  # of one network: numbers, no arrays
        for kind, x, (out, level), weights, waiting in operations:
            elements = out * pixels[level]
            if kind <= _LINEAR:
                multiply_adds = times * weights * pixels[level]
                params += times * weights
                activations += times * elements
                if kind == _CONV_NORM:
                    conv += multiply_adds
                    batch_norm += times * 2 * elements
                    params += times * 2 * out
                elif kind == _LINEAR:
                    linear += multiply_adds
                    bias += times * elements
                    params += times * out
                else:
                    conv += multiply_adds
                    bias += times * elements
                    params += times * out
            elif kind == _SQUEEZE:
                channels = x[0]
                conv += times * weights
                bias += times * (out + channels)
                activations += times * (out + channels)
                params += times * (weights + out + channels)
                elements += channels
            elif kind == _LAYER_NORM:
                layer_norm += times * 5 * elements
                params += times * 2 * out
                continue
            elif kind == _SCALE:
                params += times * out
                continue
            elif kind == _POOL:
                pool += times * out * pixels[x[1]]
            elements += x[0] * pixels[x[1]]
            for held, maps in waiting:
                if held is not x:
                    elements += maps[0] * pixels[maps[1]]
            if elements > peak:
                peak = elements
    by_operator = dict(zip(OPERATORS, map(int, (conv, linear, batch_norm, layer_norm, pool)), strict=True))
    return Cost(by_operator, int(params), int(activations), BYTES * int(peak), int(bias))
