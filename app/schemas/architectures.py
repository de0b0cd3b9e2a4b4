"""Baselines and networks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, ValidationError, model_validator

from app.scaling import families
from app.scaling.architecture import Architecture, Config, Head, ScalingRules, Stage, Stem
from app.scaling.cost_table import check_steps
from app.scaling.errors import InvalidNetwork
from app.schemas.common import Answer, Body, Name

_MOST_BLOCKS = 256

Kernel = Literal[1, 3, 5, 7, 9, 11]
Activation = Literal["swish", "relu", "relu6", "hard_swish", "gelu"]


class StemSpec(Body):
    channels: int = Field(ge=1, le=1024)
    kernel: Literal[1, 3, 4, 5, 7, 9] = 3
    stride: Literal[1, 2, 4] = 2


class StageSpec(Body):
    """A run of equal blocks. What a family has no use for it refuses."""

    block: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,31}$")] = Field(
        description="MBConv families: `ds` depthwise-separable, `dsa` with an activation after it, `ir` inverted "
        "residual, `cn` convolution. Others: `basic`, `bottleneck`, `regnet`, `ghost`, `convnext_conv`, "
        "`convnext_linear`."
    )
    repeats: int = Field(ge=1, le=64)
    channels: int = Field(ge=1, le=8192, description="Of the block's output.")
    kernel: Kernel = 3
    stride: Literal[1, 2] = Field(1, description="Of the stage's first block.")
    expansion: float = Field(
        1.0,
        gt=0,
        le=16,
        description="Inner channels, relative to the block's input (`ir`, `ghost`, `convnext_*`) or output "
        "(`basic`, `bottleneck`, `regnet`).",
    )
    se_ratio: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Squeeze-excite channels, relative to the block's input, in mobilenetv3 and ghostnet to the inner "
        "channels; 0: none.",
    )
    groups: int = Field(1, ge=1, le=1024, description="ResNeXt's cardinality.")
    group_width: int = Field(0, ge=0, le=8192, description="RegNet's channels a group; 0: `groups` says.")
    activation: Activation | None = Field(None, description="Where it is not the network's.")
    skip: bool = Field(True, description="A shortcut where the block's input and output are of one shape.")
    joined: bool = Field(False, description="One stage with the entry before it: both scale in depth together.")

    def to_stage(self) -> Stage:
        return Stage(**self.model_dump())


class HeadSpec(Body):
    channels: int = Field(ge=0, le=8192, description="0: no layer between the last stage and the classifier.")


ArchDef = Annotated[
    list[Annotated[list[Annotated[str, Field(max_length=80)]], Field(min_length=1, max_length=16)]],
    Field(min_length=1, max_length=32),
]


class ConfigSpec(Body):
    """A concrete network, nothing left to scale: its `stages`, or timm's `arch_def` strings in the MBConv families."""

    family: Name
    resolution: int = Field(ge=8, le=1024, description="Side of the square input, px.")
    stem: StemSpec
    stages: list[StageSpec] | None = Field(None, min_length=1, max_length=64)
    arch_def: ArchDef | None = Field(
        None, description="Instead of `stages`: timm's strings, a list a stage, such as `ir_r2_k3_s2_e6_c24_se0.25`."
    )
    head: HeadSpec
    activation: Activation = "swish"
    in_chans: int = Field(3, ge=1, le=16)
    num_classes: int = Field(1000, ge=2, le=100_000)
    timm: dict[str, Any] | None = Field(
        None, max_length=100, description="How stock timm builds the network. In answers; of no effect in requests."
    )

    @model_validator(mode="after")
    def _one(self) -> ConfigSpec:
        if (self.stages is None) == (self.arch_def is None):
            raise ValueError("give either stages or arch_def")
        return self

    def to_config(self, at: str) -> Config:
        """The network, checked; `at` is the JSON pointer of this spec in the request.

        Raises: InvalidNetwork.
        """
        with pointing_below(at):
            config = Config(
                family=self.family,
                resolution=self.resolution,
                stem=Stem(**self.stem.model_dump()),
                stages=self._decoded() if self.arch_def else tuple(s.to_stage() for s in self.stages or ()),
                head=Head(**self.head.model_dump()),
                activation=self.activation,
                in_chans=self.in_chans,
                num_classes=self.num_classes,
            )
            blocks = sum(stage.repeats for stage in config.stages)
            if blocks > _MOST_BLOCKS:
                raise InvalidNetwork("/stages", f"the stages have {blocks} blocks; at most {_MOST_BLOCKS} are allowed")
            families.check(config)
        return config

    def _decoded(self) -> tuple[Stage, ...]:
        """The stages that `arch_def` says, within the bounds that `stages` have."""
        arch_def = self.arch_def or []
        stages = families.decoded(self.family, arch_def)
        places = [f"/arch_def/{i}/{j}" for i, strings in enumerate(arch_def) for j in range(len(strings))]
        for place, stage in zip(places, stages, strict=True):
            try:
                StageSpec(**stage.to_json())
            except ValidationError as error:
                wrong = error.errors()[0]
                raise InvalidNetwork(place, f"{wrong['loc'][0]}: {wrong['msg']}") from None
        return stages


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
    rules: RulesSpec | None = Field(None, description="None: those of the family's built-in baselines.")

    def to_architecture(self, at: str) -> Architecture:
        """The baseline, checked, at narrow widths and wide ones; `at` is the JSON pointer of this spec in the request.

        Raises: InvalidNetwork.
        """
        baseline = self.baseline.to_config(f"{at}/baseline")
        rules = families.family_of(baseline).baselines[0].rules
        if self.rules is not None:
            rules = ScalingRules(**self.rules.model_dump())
        architecture = Architecture(self.name, baseline, rules)
        with pointing_below(at):
            check_steps(architecture)
        for width in (0.01, 1.0, 2.0):
            try:
                families.check(architecture.assembled(baseline.resolution, architecture.repeats(1.0), width))
            except InvalidNetwork as error:
                detail = f"by these rules the network at width {width:g} is none: {error.message} ({error.pointer})"
                raise InvalidNetwork(f"{at}/rules", detail) from None
        return architecture


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
    baseline: dict[str, Any]
    rules: RulesSpec


def config_json(config: Config) -> dict[str, Any]:
    """A config as answers carry it: with the recipe by which stock timm builds it."""
    return {**config.to_json(), "timm": families.rebuild(config)}


@contextmanager
def pointing_below(at: str) -> Iterator[None]:
    """Makes the pointers of what is raised inside start at `at`."""
    try:
        yield
    except InvalidNetwork as error:
        raise InvalidNetwork(f"{at}{error.pointer}", error.message) from None
