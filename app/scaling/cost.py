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

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.scaling.rounding import Channels

IMAGE = 0  # the level of the input image
POINT = -1  # the level of pooled, 1 x 1 maps

OPERATORS = ("conv", "linear", "batch_norm", "layer_norm", "adaptive_avg_pool2d")
"""fvcore's names for the operators it counts in these networks."""

BIAS = "bias"  # counted beside them, of no fvcore operator

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


@dataclass
class Part:
    """What one run of equal blocks costs: per pixel of each level, for one block."""

    stage: str
    repeats: int
    of_stage: int | None = None  # the index of the stage whose repeats, less one, these are
    counts: dict[tuple[str, int], Channels] = field(default_factory=dict)  # (operator, level) -> operations a pixel
    activations: dict[int, Channels] = field(default_factory=dict)  # level -> elements a pixel
    params: Channels = 0
    alive: list[tuple[FeatureMap, ...]] = field(default_factory=list)  # of each operator: input, output, what waits


class Ledger:
    """Books what a network's operators cost while a family walks through it."""

    def __init__(self, in_chans: int) -> None:
        self.image = FeatureMap(in_chans, IMAGE)
        self.parts: list[Part] = []
        self._reductions: list[tuple[int, int, int]] = []  # level k + 1: (from level, kernel less padding, stride)
        self._waiting: list[tuple[FeatureMap, FeatureMap]] = []

    @contextmanager
    def part(self, stage: str) -> Iterator[None]:
        """What is booked inside runs once."""
        self.parts.append(Part(stage, 1))
        yield

    @contextmanager
    def stage(self, index: int) -> Iterator[None]:
        """What is booked inside is the first block of a stage, the one with its stride."""
        self.parts.append(Part(f"stages.{index}", 1))
        yield

    @contextmanager
    def rest_of_stage(self, index: int, repeats: int) -> Iterator[None]:
        """What is booked inside is one of the equal blocks that follow the first in a stage of `repeats`."""
        self.parts.append(Part(f"stages.{index}", repeats - 1, of_stage=index))
        yield

    @contextmanager
    def held(self, x: FeatureMap, channels: Channels | None = None) -> Iterator[None]:
        """The maps `x` (or so many channels of them) stay alive while what is booked inside runs."""
        self._waiting.append((x, x if channels is None else FeatureMap(channels, x.level)))
        yield
        self._waiting.pop()

    def conv(
        self,
        x: FeatureMap,
        out: Channels,
        kernel: int = 1,
        stride: int = 1,
        *,
        group_width: Channels | None = None,
        bias: bool = False,
        padding: int | None = None,
    ) -> FeatureMap:
        """A convolution over groups of `group_width` input channels (1: depthwise; none: all of them in one).

        Padded symmetrically as timm and torchvision do, (stride - 1 + kernel - 1) // 2, unless told otherwise.
        """
        level = x.level
        if stride != 1 and level != POINT:
            level = self._reduced(level, kernel, stride, (stride + kernel - 2) // 2 if padding is None else padding)
        weights = kernel * kernel * (x.channels if group_width is None else group_width) * out
        return self._layer("conv", x, FeatureMap(out, level), weights, bias)

    def linear(self, x: FeatureMap, out: Channels) -> FeatureMap:
        """A linear layer with bias, over the channels of every pixel."""
        return self._layer("linear", x, FeatureMap(out, x.level), x.channels * out, True)

    def norm(self, x: FeatureMap) -> FeatureMap:
        """Batch normalisation with scale and shift."""
        return self._norm("batch_norm", x, 2)

    def layer_norm(self, x: FeatureMap) -> FeatureMap:
        """Layer normalisation over the channels, with scale and shift."""
        return self._norm("layer_norm", x, 5)

    def scale(self, x: FeatureMap) -> FeatureMap:
        """A learnt factor a channel (layer scale), which fvcore does not count."""
        part = self.parts[-1]
        part.params = part.params + x.channels
        return x

    def squeeze_excite(self, x: FeatureMap, squeezed: Channels) -> FeatureMap:
        """A channel gate from the maps' means through `squeezed` channels (the mean itself fvcore does not count)."""
        with self.held(x):
            self.conv(self.conv(FeatureMap(x.channels, POINT), squeezed, bias=True), x.channels, bias=True)
        return x

    def max_pool(self, x: FeatureMap, kernel: int, stride: int) -> FeatureMap:
        """Max pooling, padded as a convolution is (fvcore does not count it)."""
        return self._alive((x,), FeatureMap(x.channels, self._reduced(x.level, kernel, stride, (kernel - 1) // 2)))

    def pool(self, x: FeatureMap) -> FeatureMap:
        """Adaptive average pooling to 1 x 1."""
        self._book("adaptive_avg_pool2d", x.level, x.channels)
        return self._alive((x,), FeatureMap(x.channels, POINT))

    def concatenate(self, x: FeatureMap, y: FeatureMap) -> FeatureMap:
        """The channels of two maps of one level."""
        return self._alive((x, y), FeatureMap(x.channels + y.channels, x.level))

    def sides(self, resolution: int) -> list[int]:
        """Each level's side in px for an input of `resolution` px; the last entry is the pooled level's.

        A side of 0 says that the input is too small for the network.
        """
        sides = [resolution]
        for parent, window, stride in self._reductions:
            sides.append(max(0, (sides[parent] - window) // stride + 1))
        return [*sides, 1]

    def _reduced(self, level: int, kernel: int, stride: int, padding: int) -> int:
        reduction = (level, kernel - 2 * padding, stride)
        if reduction not in self._reductions:
            self._reductions.append(reduction)
        return self._reductions.index(reduction) + 1

    def _layer(self, operator: str, x: FeatureMap, y: FeatureMap, weights: Channels, bias: bool) -> FeatureMap:
        part, out, level = self.parts[-1], y.channels, y.level
        counts, key = part.counts, (operator, level)
        counts[key] = counts.get(key, 0) + weights
        if bias:
            self._book(BIAS, level, out)
            weights = weights + out
        part.params = part.params + weights
        part.activations[level] = part.activations.get(level, 0) + out
        return self._alive((x,), y)

    def _norm(self, operator: str, x: FeatureMap, operations: int) -> FeatureMap:
        self._book(operator, x.level, operations * x.channels)
        part = self.parts[-1]
        part.params = part.params + 2 * x.channels
        return x

    def _book(self, operator: str, level: int, per_pixel: Channels) -> None:
        counts, key = self.parts[-1].counts, (operator, level)
        counts[key] = counts.get(key, 0) + per_pixel

    def _alive(self, inputs: tuple[FeatureMap, ...], y: FeatureMap) -> FeatureMap:
        waiting = [maps for held, maps in self._waiting if not any(held is x for x in inputs)] if self._waiting else ()
        self.parts[-1].alive.append((*inputs, y, *waiting))
        return y


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
    pixels = [side * side for side in sides]
    counted: dict[str, int] = dict.fromkeys((*OPERATORS, BIAS), 0)
    params = activations = peak = 0
    for part in parts:
        repeats = part.repeats
        if repeats == 0:
            continue
        for (operator, level), per_pixel in part.counts.items():
            counted[operator] += repeats * int(per_pixel) * pixels[level]
        params += repeats * int(part.params)
        for level, elements in part.activations.items():
            activations += repeats * int(elements) * pixels[level]
        for alive in part.alive:
            elements = 0
            for channels, level in alive:
                elements += channels * pixels[level]
            if elements > peak:
                peak = int(elements)
    bias_adds = counted.pop(BIAS)
    return Cost(counted, params, activations, BYTES * peak, bias_adds)
