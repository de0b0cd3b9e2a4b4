"""What a network is: frozen values. A network scaled is a new value; nothing is edited in place.

An `Architecture` is a baseline: a concrete network (`Config`) with the rules by which it scales. Multipliers applied
to an architecture give a `Config` with nothing left to scale.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from app.scaling.rounding import Channels, DepthRounding, Floats, make_divisible, round_repeats, round_resolution


@dataclass(frozen=True)
class Multipliers:
    """Resolution, depth and width relative to a baseline."""

    r: float
    d: float
    w: float


@dataclass(frozen=True)
class Stem:
    channels: Channels
    kernel: int = 3
    stride: int = 2


@dataclass(frozen=True)
class Stage:
    """`repeats` blocks of `channels` outputs; the first one has the stride."""

    block: str
    repeats: int
    channels: Channels
    kernel: int = 3
    stride: int = 1
    expansion: float = 1.0
    se_ratio: float = 0.0  # squeeze-excite channels relative to the block's input


@dataclass(frozen=True)
class Head:
    channels: Channels


@dataclass(frozen=True)
class Config:
    """A concrete network. It alone suffices to rebuild the exact torch module."""

    family: str
    resolution: int  # side of the square input, px
    stem: Stem
    stages: tuple[Stage, ...]
    head: Head
    activation: str = "swish"
    in_chans: int = 3
    num_classes: int = 1000

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Config:
        return cls(
            **{
                **plain,
                "stem": Stem(**plain["stem"]),
                "stages": tuple(Stage(**stage) for stage in plain["stages"]),
                "head": Head(**plain["head"]),
            }
        )


@dataclass(frozen=True)
class ScalingRules:
    """How multipliers apply to a baseline.

    The default is the TinyNet paper's: repeats rounded, the stem left as it is, the head never narrower than the
    baseline's or 1280, whichever is less. EfficientNet's own: `ceil`, stem and head scaled.
    """

    divisor: int = 8
    depth: DepthRounding = "round"
    stem: Literal["fixed", "scaled"] = "fixed"
    head: Literal["fixed", "floored", "scaled"] = "floored"


EFFICIENTNET_RULES = ScalingRules(depth="ceil", stem="scaled", head="scaled")


@dataclass(frozen=True)
class Architecture:
    """A baseline network and the rules by which it scales."""

    name: str
    baseline: Config
    rules: ScalingRules = ScalingRules()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Architecture:
        return cls(plain["name"], Config.from_json(plain["baseline"]), ScalingRules(**plain["rules"]))

    def scaled(self, multipliers: Multipliers) -> Config:
        """The concrete network at (r, d, w)."""
        return self.assembled(
            round_resolution(self.baseline.resolution, multipliers.r),
            self.repeats(multipliers.d),
            multipliers.w,
        )

    def assembled(self, resolution: int, repeats: tuple[int, ...], width: float | Floats) -> Config:
        """The network of `resolution` px with these repeats by stage; an array of widths gives arrays of channels."""
        stages = tuple(
            replace(stage, repeats=n, channels=self._rounded(stage.channels, width))
            for stage, n in zip(self.baseline.stages, repeats, strict=True)
        )
        return replace(
            self.baseline,
            resolution=resolution,
            stem=replace(self.baseline.stem, channels=self._stem(width)),
            stages=stages,
            head=replace(self.baseline.head, channels=self._head(width)),
        )

    def repeats(self, depth: float) -> tuple[int, ...]:
        """Each stage's repeats at depth multiplier `depth`."""
        return tuple(round_repeats(s.repeats, depth, self.rules.depth) for s in self.baseline.stages)

    def for_classes(self, num_classes: int) -> Architecture:
        """The same baseline with a classifier for another number of classes."""
        return replace(self, baseline=replace(self.baseline, num_classes=num_classes))

    def scaled_channels(self) -> tuple[int, ...]:
        """The baseline's channel counts that follow the width."""
        base = self.baseline
        counts = [s.channels for s in base.stages]
        if self.rules.stem == "scaled":
            counts.append(base.stem.channels)
        if self.rules.head != "fixed":
            counts.append(base.head.channels)
        return tuple(int(c) for c in counts)

    def _rounded(self, channels: Channels, width: float | Floats) -> Channels:
        return make_divisible(channels * width, self.rules.divisor)

    def _stem(self, width: float | Floats) -> Channels:
        stem = self.baseline.stem.channels
        return stem if self.rules.stem == "fixed" else self._rounded(stem, width)

    def _head(self, width: float | Floats) -> Channels:
        head = self.baseline.head.channels
        if self.rules.head == "fixed":
            return head
        if self.rules.head == "scaled":
            return self._rounded(head, width)
        floor, rounded = min(int(head), 1280), self._rounded(head, width)
        return np.maximum(floor, rounded) if isinstance(rounded, np.ndarray) else max(floor, rounded)
