"""Baselines and networks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from app.scaling.architecture import Architecture, Config, Head, ScalingRules, Stage, Stem
from app.schemas.common import Answer, Body, Name

_MOST_BLOCKS = 256

Kernel = Literal[1, 3, 5, 7, 9]


class StemSpec(Body):
    channels: int = Field(ge=1, le=1024)
    kernel: Kernel = 3
    stride: Literal[1, 2] = 2


class StageSpec(Body):
    block: Annotated[str, Field(pattern=r"^[a-z]{2,12}$")] = Field(
        description="`ds` depthwise-separable, `ir` inverted residual."
    )
    repeats: int = Field(ge=1, le=64)
    channels: int = Field(ge=1, le=4096)
    kernel: Kernel = 3
    stride: Literal[1, 2] = Field(1, description="Of the stage's first block.")
    expansion: float = Field(1.0, ge=1, le=16)
    se_ratio: float = Field(
        0.0, ge=0, le=1, description="Squeeze-excite channels relative to the block's input; 0: none."
    )


class HeadSpec(Body):
    channels: int = Field(ge=1, le=8192)


class ConfigSpec(Body):
    """A concrete network, nothing left to scale."""

    family: Name
    resolution: int = Field(ge=8, le=1024, description="Side of the square input, px.")
    stem: StemSpec
    stages: list[StageSpec] = Field(min_length=1, max_length=32)
    head: HeadSpec
    activation: Literal["swish", "relu", "relu6", "hard_swish", "gelu"] = "swish"
    in_chans: int = Field(3, ge=1, le=16)
    num_classes: int = Field(1000, ge=2, le=100_000)

    @model_validator(mode="after")
    def _bounded(self) -> ConfigSpec:
        blocks = sum(stage.repeats for stage in self.stages)
        if blocks > _MOST_BLOCKS:
            raise ValueError(f"the stages have {blocks} blocks; at most {_MOST_BLOCKS} are allowed")
        return self

    def to_config(self) -> Config:
        return Config(
            family=self.family,
            resolution=self.resolution,
            stem=Stem(**self.stem.model_dump()),
            stages=tuple(Stage(**stage.model_dump()) for stage in self.stages),
            head=Head(**self.head.model_dump()),
            activation=self.activation,
            in_chans=self.in_chans,
            num_classes=self.num_classes,
        )


class RulesSpec(Body):
    """How multipliers apply: the default is the TinyNet paper's."""

    divisor: int = Field(8, ge=1, le=64, description="Channels are rounded to multiples of it.")
    depth: Literal["round", "ceil"] = "round"
    stem: Literal["fixed", "scaled"] = "fixed"
    head: Literal["fixed", "floored", "scaled"] = Field(
        "floored", description="`floored`: never narrower than the baseline's or 1280, whichever is less."
    )


class InlineArchitecture(Body):
    """A baseline given in the request."""

    name: Name = "inline"
    baseline: ConfigSpec
    rules: RulesSpec = RulesSpec()

    def to_architecture(self) -> Architecture:
        return Architecture(self.name, self.baseline.to_config(), ScalingRules(**self.rules.model_dump()))


ArchitectureRef = Annotated[
    Annotated[Name, Tag("<name>")] | Annotated[InlineArchitecture, Tag("<spec>")],
    Discriminator(lambda given: "<name>" if isinstance(given, str) else "<spec>"),
    Field(description="A name, or an inline spec."),
]


class NewArchitecture(InlineArchitecture):
    """A baseline to register under a name."""

    name: Name


class ArchitectureItem(Answer):
    name: str
    family: str
    resolution: int
    flops: int = Field(description="Multiply-adds of convolutions and linear layers, one image.")
    params: int
    built_in: bool


class ArchitectureDetail(ArchitectureItem):
    baseline: ConfigSpec
    rules: RulesSpec
