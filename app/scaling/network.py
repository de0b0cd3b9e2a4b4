"""What a network is: frozen values. A network scaled is a new value; nothing is edited in place.

An `Architecture` is a baseline: a concrete network (`Config`) with the rules by which it scales. Multipliers applied
to an architecture give a `Config` with nothing left to scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from itertools import chain
from typing import Any, Literal

import numpy as np

from app.scaling.errors import InvalidNetwork
from app.scaling.rounding import (
    Channels,
    DepthRounding,
    Floats,
    make_divisible,
    round_repeats,
    round_resolution,
    share_repeats,
    whole_groups,
)


@dataclass(frozen=True)
class Multipliers:
    """Resolution, depth and width relative to a baseline.

    `w_stages` are widths that differ by stage, the head's last; the stem goes with the first. Then `w` is about theirs.
    """

    r: float
    d: float
    w: float
    w_stages: tuple[float, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        plain: dict[str, Any] = {"r": self.r, "d": self.d, "w": self.w}
        return plain if self.w_stages is None else {**plain, "w_stages": list(self.w_stages)}


@dataclass(frozen=True)
class Stem:
    channels: Channels
    kernel: int = 3
    stride: int = 2


@dataclass(frozen=True)
class Stage:
    """`repeats` equal blocks of `channels` outputs; the first one has the stride.

    What the inner channels and the squeeze-excite's are relative to is the family's to say.
    """

    block: str
    repeats: int
    channels: Channels
    kernel: int = 3
    stride: int = 1
    expansion: float = 1.0  # inner channels, relative to the block's input or output
    se_ratio: float = 0.0  # squeeze-excite channels, relative to the block's input or inner channels; 0: none
    groups: int = 1  # of the block's grouped convolution (ResNeXt's cardinality)
    group_width: Channels = 0  # channels a group instead, kept as the width changes (RegNet); 0: `groups` says
    activation: str | None = None  # where it is not the network's
    skip: bool = True  # a shortcut where the block's input and output are of one shape
    joined: bool = False  # with the entry before it one stage of several kinds of blocks, which scale in depth together

    def to_json(self) -> dict[str, Any]:
        """What few families use is there only where it is used."""
        return dict(self._plain)

    @cached_property
    def _plain(self) -> dict[str, Any]:
        plain = {name: getattr(self, name) for name in _STAGE_ALWAYS}
        rarely = {name: getattr(self, name) for name in _STAGE_RARELY}
        return plain | {name: value for name, value in rarely.items() if value != _STAGE_RARELY[name]}


_STAGE_ALWAYS = ("block", "repeats", "channels", "kernel", "stride", "expansion", "se_ratio")
_STAGE_RARELY = {f.name: f.default for f in fields(Stage) if f.name not in _STAGE_ALWAYS}


@dataclass(frozen=True)
class Head:
    """A last layer before the classifier; 0 channels: none."""

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

    def joined(self) -> list[list[Stage]]:
        """The entries of `stages`, those of one stage together."""
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
            "resolution": self.resolution,
            "stem": {"channels": stem.channels, "kernel": stem.kernel, "stride": stem.stride},
            "stages": [stage.to_json() for stage in self.stages],
            "head": {"channels": self.head.channels},
            "activation": self.activation,
            "in_chans": self.in_chans,
            "num_classes": self.num_classes,
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Config:
        """From `to_json`'s plain data; what answers carry beside it is left aside."""
        known = {f.name: plain[f.name] for f in fields(cls) if f.name in plain}
        return cls(
            **{
                **known,
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

    def scaled(self, multipliers: Multipliers) -> Config:
        """The concrete network at (r, d, w)."""
        return self.assembled(
            round_resolution(self.baseline.resolution, multipliers.r),
            self.repeats(multipliers.d),
            multipliers.w,
            multipliers.w_stages,
        )

    def assembled(
        self,
        resolution: int,
        repeats: tuple[int, ...],
        width: float | Floats,
        w_stages: tuple[float, ...] | None = None,
    ) -> Config:
        """The network of `resolution` px with these repeats by stage; an array of widths gives arrays of channels.

        Raises: InvalidNetwork where `w_stages` are not one a stage and one for the head.
        """
        widths = (width,) * (len(repeats) + 1) if w_stages is None else w_stages
        if len(widths) != len(repeats) + 1:
            raise InvalidNetwork("/w_stages", f"a width a stage and one for the head: {len(repeats) + 1} of them")
        stages = tuple(
            self._stage(stage, n, w) for stage, n, w in zip(self.baseline.stages, repeats, widths, strict=False)
        )
        return replace(
            self.baseline,
            resolution=resolution,
            stem=replace(self.baseline.stem, channels=self._stem(widths[0])),
            stages=stages,
            head=replace(self.baseline.head, channels=self._head(widths[-1])),
        )

    def repeats(self, depth: float) -> tuple[int, ...]:
        """Each stage's repeats at depth multiplier `depth`.

        Entries that are joined to one stage share its repeats as timm's `_scale_stage_depth` has them do.
        """
        of_stages = [[s.repeats for s in joined] for joined in self.baseline.joined()]
        return tuple(
            chain.from_iterable(share_repeats(n, round_repeats(sum(n), depth, self.rules.depth)) for n in of_stages)
        )

    def for_classes(self, num_classes: int) -> Architecture:
        """The same baseline with a classifier for another number of classes."""
        return replace(self, baseline=replace(self.baseline, num_classes=num_classes))

    def scaled_channels(self) -> tuple[int, ...]:
        """The baseline's channel counts that follow the width."""
        base = self.baseline
        counts = [s.channels for s in base.stages]
        if self.rules.stem == "scaled":
            counts.append(base.stem.channels)
        if self.rules.head != "fixed" and base.head.channels:
            counts.append(base.head.channels)
        return tuple(int(c) for c in counts)

    def _stage(self, stage: Stage, repeats: int, width: float | Floats) -> Stage:
        channels = self._rounded(stage.channels, width)
        if stage.group_width == 0:
            return replace(stage, repeats=repeats, channels=channels)
        of_group = make_divisible(float(stage.group_width), self.rules.divisor)
        channels, group_width = whole_groups(channels, of_group)
        return replace(stage, repeats=repeats, channels=channels, group_width=group_width)

    def _rounded(self, channels: Channels, width: float | Floats) -> Channels:
        return make_divisible(channels * width, self.rules.divisor)

    def _stem(self, width: float | Floats) -> Channels:
        stem = self.baseline.stem.channels
        return stem if self.rules.stem == "fixed" else self._rounded(stem, width)

    def _head(self, width: float | Floats) -> Channels:
        head = self.baseline.head.channels
        if self.rules.head == "fixed" or head == 0:
            return head
        if self.rules.head == "scaled":
            return self._rounded(head, width)
        floor, rounded = self._rounded(min(int(head), 1280), 1.0), self._rounded(head, width)
        return np.maximum(floor, rounded) if isinstance(rounded, np.ndarray) else max(floor, rounded)
