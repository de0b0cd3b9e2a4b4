"""Networks as frozen values: scaling a network returns a new value.

An `Architecture` is a baseline: a concrete network (`Config`) with the rules by which it scales. Applying multipliers
to an architecture returns a `Config`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from itertools import chain
from typing import Any, Literal

import numpy as np

from app.scaling.errors import InvalidNetwork
from app.scaling.input_sizes import scale_resolution
from app.scaling.pickling import SentByFields
from app.scaling.resolution import Resolution, resolution_json, sides_of, to_resolution
from app.scaling.rounding import (
    Channels,
    DepthRounding,
    Floats,
    distribute_repeats,
    make_divisible,
    round_repeats,
    round_to_groups,
)


@dataclass(frozen=True)
class Multipliers:
    """Resolution, depth and width relative to a baseline.

    `w_stages` are separate widths per stage, the head's last; the stem uses the first. `w` is then close to them.
    """

    r: float
    d: float
    w: float
    w_stages: tuple[float, ...] | None = None

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Multipliers:
        stages = plain.get("w_stages")
        return cls(plain["r"], plain["d"], plain["w"], None if stages is None else tuple(stages))

    def to_json(self) -> dict[str, Any]:
        plain: dict[str, Any] = {"r": self.r, "d": self.d, "w": self.w}
        return plain if self.w_stages is None else {**plain, "w_stages": list(self.w_stages)}


@dataclass(frozen=True)
class Stem:
    channels: Channels
    kernel: int = 3
    stride: int = 2


@dataclass(frozen=True)
class Stage(SentByFields):
    """A stage has `repeats` equal blocks with `channels` outputs; the first one has the stride.

    The family defines what the inner and the squeeze-excite channels are relative to.
    """

    block: str
    repeats: int
    channels: Channels
    kernel: int = 3
    stride: int = 1
    expansion: float = 1.0  # inner channels, relative to the block's input or output
    se_ratio: float = 0.0  # squeeze-excite channels relative to the block's input or inner ones; 0: no gate
    groups: int = 1  # of the block's grouped convolution (ResNeXt's cardinality)
    group_width: Channels = 0  # channels per group, constant as the width changes (RegNet); 0: `groups` applies
    activation: str | None = None  # overrides the network's
    skip: bool = True  # a shortcut if the block's input and output have the same shape
    joined: bool = False  # part of the previous entry's stage; such entries scale in depth together

    def to_json(self) -> dict[str, Any]:
        """Return plain data, in which optional fields appear only if they differ from their defaults.

        Equal stages have the same text as JSON: 3 and 3.0 are equal, and a cache may return one for the other.
        """
        return dict(self._plain)

    @cached_property
    def _plain(self) -> dict[str, Any]:
        plain = {name: getattr(self, name) for name in _REQUIRED_STAGE_FIELDS}
        plain |= {"expansion": float(self.expansion), "se_ratio": float(self.se_ratio)}
        optional = {name: getattr(self, name) for name in _OPTIONAL_STAGE_DEFAULTS}
        return plain | {name: value for name, value in optional.items() if value != _OPTIONAL_STAGE_DEFAULTS[name]}


_REQUIRED_STAGE_FIELDS = ("block", "repeats", "channels", "kernel", "stride", "expansion", "se_ratio")
_OPTIONAL_STAGE_DEFAULTS = {f.name: f.default for f in fields(Stage) if f.name not in _REQUIRED_STAGE_FIELDS}


@dataclass(frozen=True)
class Head:
    """The last layer before the classifier; 0 channels: no head."""

    channels: Channels


@dataclass(frozen=True)
class Config:
    """A concrete network, which alone suffices to rebuild the exact torch module."""

    family: str
    resolution: Resolution
    stem: Stem
    stages: tuple[Stage, ...]
    head: Head
    activation: str = "swish"
    in_chans: int = 3
    num_classes: int = 1000

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width of the input in px."""
        return sides_of(self.resolution)

    def joined_stages(self) -> list[list[Stage]]:
        """Return the entries of `stages`, grouped by the stage they belong to."""
        stages: list[list[Stage]] = []
        for stage in self.stages:
            if stage.joined and stages:
                stages[-1].append(stage)
            else:
                stages.append([stage])
        return stages

    def to_json(self) -> dict[str, Any]:
        stem = self.stem
        return {
            "family": self.family,
            "resolution": resolution_json(self.resolution),
            "stem": {"channels": stem.channels, "kernel": stem.kernel, "stride": stem.stride},
            "stages": [stage.to_json() for stage in self.stages],
            "head": {"channels": self.head.channels},
            "activation": self.activation,
            "in_chans": self.in_chans,
            "num_classes": self.num_classes,
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Config:
        """Rebuild a config from `to_json`'s plain data and ignore other keys, such as those of API responses."""
        own = {f.name: plain[f.name] for f in fields(cls) if f.name in plain}
        return cls(
            **{
                **own,
                "resolution": to_resolution(plain["resolution"]),
                "stem": Stem(**plain["stem"]),
                "stages": tuple(Stage(**stage) for stage in plain["stages"]),
                "head": Head(**plain["head"]),
            }
        )


@dataclass(frozen=True)
class ScalingRules:
    """How multipliers apply to a baseline.

    The defaults are the TinyNet paper's: repeats are rounded, the stem is fixed, and the head never gets narrower than
    the smaller of the baseline's head and 1280. EfficientNet's own rules are `ceil` with stem and head scaled.
    """

    divisor: int = 8
    depth: DepthRounding = "round"
    stem: Literal["fixed", "scaled"] = "fixed"
    head: Literal["fixed", "floored", "scaled"] = "floored"


EFFICIENTNET_RULES = ScalingRules(depth="ceil", stem="scaled", head="scaled")


@dataclass(frozen=True)
class Architecture(SentByFields):
    """A baseline network with the rules by which it scales."""

    name: str
    baseline: Config
    rules: ScalingRules = ScalingRules()

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.name, self.baseline, self.rules))

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "baseline": self.baseline.to_json(), "rules": asdict(self.rules)}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Architecture:
        return cls(plain["name"], Config.from_json(plain["baseline"]), ScalingRules(**plain["rules"]))

    def scale(self, multipliers: Multipliers) -> Config:
        """Return the concrete network at (r, d, w)."""
        return self.assemble(
            scale_resolution(self.baseline.resolution, multipliers.r),
            self.repeats(multipliers.d),
            multipliers.w,
            multipliers.w_stages,
        )

    def assemble(
        self,
        resolution: Resolution,
        repeats: tuple[int, ...],
        width: float | Floats,
        w_stages: tuple[float, ...] | None = None,
    ) -> Config:
        """Return the network with these repeats per stage; an array of widths gives arrays of channels.

        Raises: InvalidNetwork if `w_stages` does not have one width per stage and one for the head.
        """
        widths = (width,) * (len(repeats) + 1) if w_stages is None else w_stages
        if len(widths) != len(repeats) + 1:
            raise InvalidNetwork(
                "/w_stages", f"{len(repeats) + 1} widths are required: one per stage and one for the head"
            )
        stages = tuple(
            self._scale_stage(stage, n, w) for stage, n, w in zip(self.baseline.stages, repeats, widths, strict=False)
        )
        return replace(
            self.baseline,
            resolution=resolution,
            stem=replace(self.baseline.stem, channels=self._scale_stem(widths[0])),
            stages=stages,
            head=replace(self.baseline.head, channels=self._scale_head(widths[-1])),
        )

    def repeats(self, depth: float) -> tuple[int, ...]:
        """Return each stage's repeats at depth multiplier `depth`.

        Entries that are joined to one stage share its repeats as in timm's `_scale_stage_depth`.
        """
        repeats_by_stage = [[s.repeats for s in joined] for joined in self.baseline.joined_stages()]
        scaled = (distribute_repeats(n, round_repeats(sum(n), depth, self.rules.depth)) for n in repeats_by_stage)
        return tuple(chain.from_iterable(scaled))

    def adapt(self, num_classes: int | None = None, in_chans: int | None = None) -> Architecture:
        """Return the same baseline for another number of classes or of the input's channels."""
        base = self.baseline
        adapted = replace(base, num_classes=num_classes or base.num_classes, in_chans=in_chans or base.in_chans)
        return self if adapted == base else replace(self, baseline=adapted)

    def scaled_channels(self) -> tuple[int, ...]:
        """Return the baseline's channel counts that depend on the width."""
        base = self.baseline
        counts = [s.channels for s in base.stages]
        if self.rules.stem == "scaled":
            counts.append(base.stem.channels)
        if self.rules.head != "fixed" and base.head.channels:
            counts.append(base.head.channels)
        return tuple(int(c) for c in counts)

    def _scale_stage(self, stage: Stage, repeats: int, width: float | Floats) -> Stage:
        channels = self._round_channels(stage.channels, width)
        if stage.group_width == 0:
            return replace(stage, repeats=repeats, channels=channels)
        group_width = make_divisible(float(stage.group_width), self.rules.divisor)
        channels, group_width = round_to_groups(channels, group_width)
        return replace(stage, repeats=repeats, channels=channels, group_width=group_width)

    def _round_channels(self, channels: Channels, width: float | Floats) -> Channels:
        return make_divisible(channels * width, self.rules.divisor)

    def _scale_stem(self, width: float | Floats) -> Channels:
        stem = self.baseline.stem.channels
        return stem if self.rules.stem == "fixed" else self._round_channels(stem, width)

    def _scale_head(self, width: float | Floats) -> Channels:
        head = self.baseline.head.channels
        if self.rules.head == "fixed" or head == 0:
            return head
        if self.rules.head == "scaled":
            return self._round_channels(head, width)
        floor, rounded = self._round_channels(min(int(head), 1280), 1.0), self._round_channels(head, width)
        return np.maximum(floor, rounded) if isinstance(rounded, np.ndarray) else max(floor, rounded)
