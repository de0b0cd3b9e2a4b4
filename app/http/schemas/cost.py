"""Schemas of networks by multipliers and of their cost."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from app.http.schemas.architectures import ArchitectureRef, BaselineInputs, ConfigJson, ConfigSpec, config_json
from app.http.schemas.common import DescribedBy, Multiplier, RequestModel, ResponseModel
from app.scaling.cost.counters import counters
from app.scaling.cost.ledger import Cost
from app.scaling.families import network_cost, stage_costs
from app.scaling.network import Config, Multipliers

StageWidths = Annotated[
    list[Multiplier] | None,
    Field(
        min_length=2,
        max_length=65,
        description="Width multiplier of each stage, then of the head, as in responses. Replaces `w`.",
    ),
]


Deviation = Annotated[float, Field(ge=0, le=1e9)]


class AnsweredMultipliers(RequestModel):
    """The fields that multipliers in responses have besides r, d and w.

    They are accepted so that multipliers from a response can be sent back. All but `w_stages` are ignored.
    """

    w_stages: StageWidths = None
    r_sd: Deviation | None = Field(None, description="Ignored.")
    d_sd: Deviation | None = Field(None, description="Ignored.")
    w_interval: tuple[Deviation, Deviation] | None = Field(None, description="Ignored.")

    @property
    def stage_widths(self) -> tuple[float, ...] | None:
        return None if self.w_stages is None else tuple(self.w_stages)


class MultipliersSpec(AnsweredMultipliers):
    """Multipliers relative to the baseline."""

    r: Multiplier = Field(1.0, description="Resolution multiplier.")
    d: Multiplier = Field(1.0, description="Depth multiplier.")
    w: Multiplier = Field(1.0, description="Width multiplier.")

    def to_multipliers(self) -> Multipliers:
        return Multipliers(self.r, self.d, self.w, self.stage_widths)


class MultipliersItem(ResponseModel):
    """Multipliers relative to the baseline."""

    r: float = Field(description="Resolution multiplier.")
    d: float = Field(description="Depth multiplier.")
    w: float = Field(description="Width multiplier.")
    w_stages: list[float] | None = Field(
        description="Width of each stage, then of the head, if they differ; `w` is then an average."
    )


def _with_stage_widths(multipliers: Any) -> Any:
    return {**multipliers, "w_stages": multipliers.get("w_stages")} if isinstance(multipliers, dict) else multipliers


MultipliersJson = Annotated[dict[str, Any], BeforeValidator(_with_stage_widths), DescribedBy(MultipliersItem)]


class NetworkRef(RequestModel):
    """A network: an architecture with multipliers (default 1, 1, 1), or a config."""

    architecture: ArchitectureRef | None = Field(None, description="Name of a baseline, or an inline baseline.")
    multipliers: MultipliersSpec | None = Field(None, description="Multipliers of the architecture; null: 1, 1, 1.")
    config: ConfigSpec | None = Field(None, description="The network as a config, without an architecture.")

    @model_validator(mode="after")
    def _check_one_of(self) -> NetworkRef:
        if (self.architecture is None) == (self.config is None):
            raise ValueError("specify either architecture or config")
        if self.config is not None and self.multipliers is not None:
            raise ValueError("multipliers cannot be combined with a config")
        return self

    def to_multipliers(self) -> Multipliers:
        return (self.multipliers or MultipliersSpec()).to_multipliers()


class CostRequest(NetworkRef, BaselineInputs):
    """A network, and the classes and channels that an architecture is counted for."""

    @model_validator(mode="after")
    def _check_config(self) -> CostRequest:
        if self.config is not None and not self.are_default:
            raise ValueError("a config has its own num_classes and in_chans")
        return self


class BytesByPrecision(ResponseModel):
    """Bytes on a device that computes in this precision."""

    float32: int = Field(description="In float32.")
    int8: int = Field(description="In int8, with int32 biases and a float32 scale per output channel.")


BytesJson = Annotated[dict[str, int], DescribedBy(BytesByPrecision)]


class CostSummary(ResponseModel):
    """The cost of one image. Budgets refer to `flops` by default; `fvcore_total` also counts batch norm and pooling."""

    flops: int = Field(description="Multiply-adds of convolutions and linear layers.")
    fvcore_total: int = Field(description="The FLOPs that fvcore counts.")
    by_operator: dict[str, int] = Field(description="`fvcore_total` by operator.")
    params: int = Field(description="Number of parameters.")
    activations: int = Field(description="Number of output elements of convolutions and linear layers.")
    peak_activation_bytes: int = Field(description="Peak memory of live tensors in bytes, in float32.")
    weights_bytes: BytesJson = Field(description="Bytes of the weights, with batch norm folded into convolutions.")
    activation_bytes: BytesJson = Field(description="Peak memory of live tensors in bytes.")

    @classmethod
    def of(cls, cost: Cost) -> CostSummary:
        return cls(**cost.to_json())


class StageCost(CostSummary):
    """The cost of one stage, the stem or the head."""

    stage: str = Field(description="Name of the stage.")

    @classmethod
    def of_config(cls, config: Config) -> list[StageCost]:
        return [cls(stage=name, **cost.to_json()) for name, cost in stage_costs(config)]


class CounterItem(ResponseModel):
    """The FLOPs by one counting convention."""

    name: str = Field(description="Name of the convention.")
    value: int = Field(description="FLOPs of one image by this convention.")
    description: str = Field(description="What the convention counts, compared with `multiply_adds`.")


class CostDetail(CostSummary):
    """The cost of a network, in total and by stage."""

    stages: list[StageCost] = Field(description="Cost by stage, with stem and head.")
    counters: list[CounterItem] = Field(description="FLOPs by the common counting conventions.")


class CostResponse(ResponseModel):
    """A network and its cost."""

    num_classes: int = Field(description="Number of classes that was counted.")
    in_chans: int = Field(description="Number of channels of the input that was counted.")
    config: ConfigJson = Field(description="The network; sufficient to build it.")
    cost: CostDetail = Field(description="The cost of one image.")

    @classmethod
    def of_config(cls, config: Config) -> CostResponse:
        whole = network_cost(config)
        items = [CounterItem.model_validate(counter) for counter in counters(whole)]
        return cls(
            num_classes=config.num_classes,
            in_chans=config.in_chans,
            config=config_json(config),
            cost=CostDetail(stages=StageCost.of_config(config), counters=items, **whole.to_json()),
        )
