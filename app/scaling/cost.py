"""What a network costs, exactly, without building it.

A convolution's cost is a coefficient times the pixels of its output, so a network's cost is linear in the pixels of
its few feature-map sizes. A family walks its network once over a `Ledger`, which keeps those coefficients; they
may be arrays with one entry a candidate width, and then thousands of networks are costed by one small product.

Conventions, all for one image:

- `flops`: multiply-adds of convolutions and linear layers, biases not counted. This is the budget's convention.
- `fvcore_total`: fvcore's own total: the above, plus batch norm in evaluation mode (2 an element) and adaptive average
  pooling (1 an input element).
- `params`: learnable parameters.
- `activations`: output elements of convolutions and linear layers (fvcore's `ActivationCountAnalysis`).
- `peak_activation_bytes`: the most that has to be alive at once, in float32: an operator's input and output, and the
  residual waiting beside it. Activations and additions work in place and weights are not counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from app.scaling.rounding import Channels

IMAGE = 0  # the level of the input image
POINT = -1  # the level of pooled, 1 x 1 maps

OPERATORS = ("conv", "linear", "batch_norm", "adaptive_avg_pool2d")
"""fvcore's names for the operators it counts in these networks."""

BYTES = 4  # of an element: float32


@dataclass(frozen=True)
class FeatureMap:
    """`channels` maps on a level, whose side in px follows from the input's."""

    channels: Channels
    level: int


@dataclass
class Part:
    """What one run of equal blocks costs: per pixel of each level, for one block."""

    stage: str
    repeats: int
    of_stage: int | None = None  # the index of the stage whose repeats, less one, these are
    counts: Counter[tuple[str, int]] = field(default_factory=Counter)  # (operator, level) -> operations a pixel
    activations: Counter[int] = field(default_factory=Counter)  # level -> elements a pixel
    params: Channels = 0
    alive: list[Counter[int]] = field(default_factory=list)  # an operator: level -> elements a pixel


class Ledger:
    """Books what a network's operators cost while a family walks through it."""

    def __init__(self, in_chans: int) -> None:
        self.image = FeatureMap(in_chans, IMAGE)
        self.parts: list[Part] = []
        self._reductions: list[tuple[int, int, int, int]] = []  # level k + 1: (from level, kernel, stride, padding)
        self._held: list[tuple[FeatureMap, Channels]] = []

    @contextmanager
    def part(self, stage: str) -> Iterator[None]:
        """What is booked inside runs once."""
        self.parts.append(Part(stage, 1))
        yield

    @contextmanager
    def stage(self, index: int) -> Iterator[None]:
        """What is booked inside is the first block of a stage, the one with its stride."""
        with self.part(f"stages.{index}"):
            yield

    @contextmanager
    def rest_of_stage(self, index: int, repeats: int) -> Iterator[None]:
        """What is booked inside is one of the equal blocks that follow the first in a stage of `repeats`."""
        self.parts.append(Part(f"stages.{index}", repeats - 1, of_stage=index))
        yield

    @contextmanager
    def held(self, x: FeatureMap, channels: Channels) -> Iterator[None]:
        """`channels` of the maps `x` stay alive while what is booked inside runs."""
        self._held.append((x, channels))
        yield
        self._held.pop()

    def conv(
        self,
        x: FeatureMap,
        out: Channels,
        kernel: int = 1,
        stride: int = 1,
        *,
        depthwise: bool = False,
        bias: bool = False,
    ) -> FeatureMap:
        """A convolution, padded symmetrically as timm does: (stride - 1 + kernel - 1) // 2."""
        y = FeatureMap(out, self._reduced(x.level, kernel, stride, (stride + kernel - 2) // 2))
        weights = kernel * kernel * (out if depthwise else x.channels * out)
        self._book("conv", y.level, weights)
        self._book_output(x, y, weights + out if bias else weights)
        return y

    def norm(self, x: FeatureMap) -> FeatureMap:
        """Batch normalisation with scale and shift."""
        self._book("batch_norm", x.level, 2 * x.channels)
        self._part.params = self._part.params + 2 * x.channels
        return x

    def squeeze_excite(self, x: FeatureMap, squeezed: Channels) -> FeatureMap:
        """A channel gate from the maps' means through `squeezed` channels (the mean itself fvcore does not count)."""
        with self.held(x, x.channels):
            self.conv(self.conv(FeatureMap(x.channels, POINT), squeezed, bias=True), x.channels, bias=True)
        return x

    def pool(self, x: FeatureMap) -> FeatureMap:
        """Adaptive average pooling to 1 x 1."""
        self._book("adaptive_avg_pool2d", x.level, x.channels)
        return FeatureMap(x.channels, POINT)

    def linear(self, x: FeatureMap, out: int) -> FeatureMap:
        """A linear layer with bias."""
        y = FeatureMap(out, POINT)
        self._book("linear", POINT, x.channels * out)
        self._book_output(x, y, x.channels * out + out)
        return y

    def sides(self, resolution: int) -> list[int]:
        """Each level's side in px for an input of `resolution` px; the last entry is the pooled level's."""
        sides = [resolution]
        for parent, kernel, stride, padding in self._reductions:
            sides.append((sides[parent] + 2 * padding - kernel) // stride + 1)
        return [*sides, 1]

    @property
    def _part(self) -> Part:
        return self.parts[-1]

    def _reduced(self, level: int, kernel: int, stride: int, padding: int) -> int:
        if stride == 1 or level == POINT:
            return level
        reduction = (level, kernel, stride, padding)
        if reduction not in self._reductions:
            self._reductions.append(reduction)
        return self._reductions.index(reduction) + 1

    def _book(self, operator: str, level: int, per_pixel: Channels) -> None:
        counts = self._part.counts
        counts[operator, level] = counts[operator, level] + per_pixel  # type: ignore[assignment]

    def _book_output(self, x: FeatureMap, y: FeatureMap, params: Channels) -> None:
        part = self._part
        part.params = part.params + params
        part.activations[y.level] = part.activations[y.level] + y.channels  # type: ignore[assignment]
        alive: Counter[int] = Counter()
        waiting = [(held, channels) for held, channels in self._held if held is not x]
        for feature_map, channels in [(x, x.channels), (y, y.channels), *waiting]:
            alive[feature_map.level] = alive[feature_map.level] + channels  # type: ignore[assignment]
        part.alive.append(alive)


@dataclass(frozen=True)
class Cost:
    """What a network, or a stage of it, costs for one image (conventions: this module's docstring)."""

    by_operator: dict[str, int]
    params: int
    activations: int
    peak_activation_bytes: int

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
    by_operator: dict[str, int] = dict.fromkeys(OPERATORS, 0)
    params = activations = peak = 0
    for part in parts:
        if part.repeats == 0:
            continue
        for (operator, level), per_pixel in part.counts.items():
            by_operator[operator] += part.repeats * int(per_pixel) * pixels[level]
        params += part.repeats * int(part.params)
        activations += part.repeats * sum(int(n) * pixels[level] for level, n in part.activations.items())
        for alive in part.alive:
            peak = max(peak, BYTES * sum(int(n) * pixels[level] for level, n in alive.items()))
    return Cost(by_operator, params, activations, peak)
