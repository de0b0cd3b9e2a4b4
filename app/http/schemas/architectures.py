"""Schemas of baselines and configs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, ValidationError, model_validator

from app.http.schemas.common import (
    AnyName,
    DescribedBy,
    Name,
    Owner,
    RequestModel,
    ResolutionSpec,
    ResponseModel,
)
from app.scaling import families
from app.scaling.errors import InvalidNetwork, prefix_pointer
from app.scaling.network import Architecture, Config, Head, ScalingRules, Stage, Stem
from app.scaling.resolution import Resolution, to_resolution
from app.scaling.solver.width_grid import check_steps

_MAX_BLOCKS = 256

Kernel = Literal[1, 3, 5, 7, 9, 11]
Activation = Literal["swish", "relu", "relu6", "hard_swish", "gelu"]


class StemSpec(RequestModel):
    """The first convolution of the network."""

    channels: int = Field(ge=1, le=1024, description="Number of output channels.")
    kernel: Literal[1, 3, 4, 5, 7, 9] = Field(3, description="Side of the kernel in pixels.")
    stride: Literal[1, 2, 4] = Field(2, description="Stride in pixels.")


class StageSpec(RequestModel):
    """A sequence of equal blocks. Fields that the family does not use must have their default."""

    block: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,31}$")] = Field(
        description="Type of block. MBConv families: `ds` (depthwise separable), `dsa` (the same with a final "
        "activation), `ir` (inverted residual), `cn` (convolution). Other families: `basic`, `bottleneck`, `regnet`, "
        "`ghost`, `convnext_conv`, `convnext_linear`."
    )
    repeats: int = Field(ge=1, le=64, description="Number of blocks.")
    channels: int = Field(ge=1, le=8192, description="Number of output channels of the blocks.")
    kernel: Kernel = Field(3, description="Side of the kernel in pixels.")
    stride: Literal[1, 2] = Field(1, description="Stride of the first block; the others have stride 1.")
    expansion: float = Field(
        1.0,
        gt=0,
        le=16,
        description="Inner channels divided by the input channels (`ir`, `ghost`, `convnext_*`) or the output channels "
        "(`basic`, `bottleneck`, `regnet`) of the block.",
    )
    se_ratio: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Squeeze-and-excitation channels divided by the input channels of the block (mobilenetv3 and "
        "ghostnet: by the inner channels); 0: no squeeze-and-excitation.",
    )
    groups: int = Field(
        1, ge=1, le=1024, description="Number of groups of the convolution (the cardinality of ResNeXt)."
    )
    group_width: int = Field(0, ge=0, le=8192, description="Channels per group (RegNet); 0: `groups` applies.")
    activation: Activation | None = Field(None, description="Activation of the blocks; null: the network's activation.")
    skip: bool = Field(True, description="Whether blocks have a shortcut when input and output have the same shape.")
    joined: bool = Field(
        False, description="Whether depth scaling treats this stage and the previous one as a single stage."
    )

    def to_stage(self) -> Stage:
        return Stage(**self.model_dump())


class HeadSpec(RequestModel):
    """The last layer before the classifier."""

    channels: int = Field(ge=0, le=8192, description="Number of output channels; 0: no such layer.")


ArchDef = Annotated[
    list[Annotated[list[Annotated[str, Field(max_length=80)]], Field(min_length=1, max_length=16)]],
    Field(min_length=1, max_length=32),
]


class ConfigSpec(RequestModel):
    """A concrete network, with nothing left to scale.

    Exactly one of `stages` and `arch_def` is required; only the MBConv families have `arch_def`.
    """

    family: Name = Field(description="Network family, such as `efficientnet`.")
    resolution: ResolutionSpec = Field(
        description="Side of the square input in pixels, or height and width: `[32, 64]`."
    )
    stem: StemSpec = Field(description="The first convolution.")
    stages: list[StageSpec] | None = Field(None, min_length=1, max_length=64, description="The stages, input first.")
    arch_def: ArchDef | None = Field(
        None, description="The stages as timm strings such as `ir_r2_k3_s2_e6_c24_se0.25`, one list per stage."
    )
    head: HeadSpec = Field(description="The last layer before the classifier.")
    activation: Activation = Field("swish", description="Activation function.")
    in_chans: int = Field(3, ge=1, le=16, description="Number of input channels.")
    num_classes: int = Field(1000, ge=2, le=100_000, description="Number of classes.")
    timm: dict[str, Any] | None = Field(
        None, max_length=100, description="How timm builds the network (responses only; ignored in requests)."
    )

    @model_validator(mode="after")
    def _check_one_of(self) -> ConfigSpec:
        if (self.stages is None) == (self.arch_def is None):
            raise ValueError("specify either stages or arch_def")
        return self

    def to_config(self, pointer: str) -> Config:
        """Return the validated network; `pointer` is the JSON pointer of this spec in the request.

        Raises: InvalidNetwork.
        """
        with prefix_pointer(pointer):
            config = Config(
                family=self.family,
                resolution=to_resolution(self.resolution),
                stem=Stem(**self.stem.model_dump()),
                stages=self._decode_arch_def() if self.arch_def else tuple(s.to_stage() for s in self.stages or ()),
                head=Head(**self.head.model_dump()),
                activation=self.activation,
                in_chans=self.in_chans,
                num_classes=self.num_classes,
            )
            blocks = sum(stage.repeats for stage in config.stages)
            if blocks > _MAX_BLOCKS:
                raise InvalidNetwork("/stages", f"the stages have {blocks} blocks; at most {_MAX_BLOCKS} are allowed")
            families.check(config)
        return config

    def _decode_arch_def(self) -> tuple[Stage, ...]:
        """Parse `arch_def` and check that its stages are within the bounds of `stages`."""
        arch_def = self.arch_def or []
        stages = families.decode_arch_def(self.family, arch_def)
        pointers = [f"/arch_def/{i}/{j}" for i, strings in enumerate(arch_def) for j in range(len(strings))]
        for pointer, stage in zip(pointers, stages, strict=True):
            try:
                StageSpec(**stage.to_json())
            except ValidationError as error:
                first = error.errors()[0]
                raise InvalidNetwork(pointer, f"{first['loc'][0]}: {first['msg']}") from None
        return stages


class RulesSpec(RequestModel):
    """How multipliers are applied to a baseline. The defaults are those of the TinyNet paper."""

    divisor: int = Field(8, ge=1, le=64, description="Channel counts are rounded to multiples of this number.")
    depth: Literal["round", "ceil"] = Field("round", description="How the scaled number of blocks is rounded.")
    stem: Literal["fixed", "scaled"] = Field("fixed", description="Whether w scales the stem.")
    head: Literal["fixed", "floored", "scaled"] = Field(
        "floored",
        description="Whether w scales the head. `floored`: it does, but not below the smaller of 1280 and the "
        "baseline's head.",
    )


class InlineArchitecture(RequestModel):
    """A baseline that is part of the request."""

    name: Name = Field("inline", description="Name of the baseline in the response.")
    baseline: ConfigSpec = Field(description="The network at the multipliers 1, 1, 1.")
    rules: RulesSpec | None = Field(None, description="Scaling rules; null: those of the family's built-in baselines.")

    def to_architecture(self, pointer: str) -> Architecture:
        """Return the baseline, validated at several widths; `pointer` is the JSON pointer of this spec in the request.

        Raises: InvalidNetwork.
        """
        baseline = self.baseline.to_config(f"{pointer}/baseline")
        rules = families.get_family(baseline).baselines[0].rules
        if self.rules is not None:
            rules = ScalingRules(**self.rules.model_dump())
        architecture = Architecture(self.name, baseline, rules)
        with prefix_pointer(pointer):
            check_steps(architecture)
        for width in (0.01, 1.0, 2.0):
            try:
                families.check(architecture.assemble(baseline.resolution, architecture.repeats(1.0), width))
            except InvalidNetwork as error:
                detail = f"the network scaled to width {width:g} is invalid: {error.message} ({error.pointer})"
                raise InvalidNetwork(f"{pointer}/rules", detail) from None
        return architecture


ArchitectureRef = Annotated[
    Annotated[AnyName, Tag("<name>")] | Annotated[InlineArchitecture, Tag("<spec>")],
    Discriminator(lambda value: "<name>" if isinstance(value, str) else "<spec>"),
    Field(
        description="Name of a baseline, or an inline baseline. Names of the same network in timm and torchvision are "
        "understood, also with capitals or hyphens, such as `tf_efficientnet_b0` or `efficientnet-b0.ra_in1k`."
    ),
]


class BaselineInputs(RequestModel):
    """The classes and channels that a baseline is counted for."""

    dataset: Name | None = Field(None, description="Count the classes of this data set, as a training does.")
    num_classes: int | None = Field(None, ge=2, le=100_000, description="Number of classes; null: the baseline's.")
    in_chans: int | None = Field(None, ge=1, le=16, description="Channels of the input; null: the baseline's.")

    @model_validator(mode="after")
    def _check_classes(self) -> BaselineInputs:
        if self.dataset is not None and self.num_classes is not None:
            raise ValueError("specify either dataset or num_classes")
        return self

    @property
    def are_default(self) -> bool:
        """Whether the baseline is counted as it is."""
        return self.dataset is None and self.num_classes is None and self.in_chans is None


def resolve_architecture(reference: str | InlineArchitecture, find: Callable[[str], Architecture]) -> Architecture:
    """Return the architecture of a request: `find` looks up names, inline baselines are converted.

    Raises: InvalidNetwork; whatever `find` does.
    """
    return find(reference) if isinstance(reference, str) else reference.to_architecture("/architecture")


class NewArchitecture(InlineArchitecture):
    """A baseline to register."""

    name: Name = Field(description="Name under which it is registered.")


class ArchitectureItem(ResponseModel):
    """A baseline that can be scaled."""

    name: str = Field(description="Name of the baseline.")
    owner: Owner
    family: str = Field(description="Network family, such as `efficientnet`.")
    resolution: Resolution = Field(description="Side of the square input in pixels, or height and width.")
    flops: int = Field(description="Multiply-adds of convolutions and linear layers for one image.")
    params: int = Field(description="Number of parameters.")
    built_in: bool = Field(description="Whether it is built in; otherwise it was registered.")
    description: str | None = Field(None, description="Description of a registered baseline.")
    archived_at: datetime | None = Field(
        None, description="When the baseline was archived and closed to new trainings; null if it was not."
    )


class StemItem(ResponseModel):
    """The first convolution of a network."""

    channels: int = Field(description="Number of output channels.")
    kernel: int = Field(description="Side of the kernel in pixels.")
    stride: int = Field(description="Stride in pixels.")


class StageItem(ResponseModel):
    """A sequence of equal blocks. Fields with a default are left out if they have it; `StageSpec` describes them."""

    block: str = Field(description="Type of block.")
    repeats: int = Field(description="Number of blocks.")
    channels: int = Field(description="Number of output channels of the blocks.")
    kernel: int = Field(description="Side of the kernel in pixels.")
    stride: int = Field(description="Stride of the first block; the others have stride 1.")
    expansion: float = Field(description="Inner channels divided by input or output channels.")
    se_ratio: float = Field(description="Squeeze-and-excitation channels, as a fraction; 0: none.")
    groups: int = Field(1, description="Number of groups of the convolution.")
    group_width: int = Field(0, description="Channels per group (RegNet); 0: `groups` applies.")
    activation: str | None = Field(None, description="Activation of the blocks; null: the network's activation.")
    skip: bool = Field(True, description="Whether blocks have a shortcut.")
    joined: bool = Field(False, description="Whether depth scaling joins this stage to the previous one.")


class HeadItem(ResponseModel):
    """The last layer before the classifier."""

    channels: int = Field(description="Number of output channels; 0: no such layer.")


class ConfigItem(ResponseModel):
    """A concrete network, with nothing left to scale. It can be sent back as `ConfigSpec`."""

    family: str = Field(description="Network family, such as `efficientnet`.")
    resolution: Resolution = Field(description="Side of the square input in pixels, or height and width.")
    stem: StemItem = Field(description="The first convolution.")
    stages: list[StageItem] = Field(description="The stages, input first.")
    head: HeadItem = Field(description="The last layer before the classifier.")
    activation: str = Field(description="Activation function.")
    in_chans: int = Field(description="Number of input channels.")
    num_classes: int = Field(description="Number of classes.")
    timm: dict[str, Any] | None = Field(None, description="How timm builds the network.")


ConfigJson = Annotated[dict[str, Any], DescribedBy(ConfigItem)]


class ArchitectureSpecItem(ResponseModel):
    """A baseline and how it scales."""

    name: str = Field(description="Name of the baseline.")
    baseline: ConfigJson = Field(description="The network at the multipliers 1, 1, 1.")
    rules: RulesSpec = Field(description="How the baseline scales.")


class ArchitectureDetail(ArchitectureItem):
    """A baseline with its network and scaling rules."""

    baseline: ConfigJson = Field(description="The config of the baseline.")
    rules: RulesSpec = Field(description="How the baseline scales.")


def config_json(config: Config) -> dict[str, Any]:
    """Convert a config to JSON and add how timm builds the network."""
    return {**config.to_json(), "timm": families.rebuild_recipe(config)}
