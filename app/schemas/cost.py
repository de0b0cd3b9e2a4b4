"""Exact cost."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from app.scaling.architecture import Config, Multipliers
from app.scaling.cost import Cost
from app.scaling.counters import counters
from app.scaling.families import network_cost, stage_costs
from app.schemas.architectures import ArchitectureRef, ConfigSpec, config_json
from app.schemas.common import Answer, Body, Multiplier

StageWidths = Annotated[
    list[Multiplier] | None,
    Field(
        min_length=2,
        max_length=65,
        description="Widths that differ by stage, the head's last, as answers give them: then they are used, not `w`.",
    ),
]


Deviation = Annotated[float, Field(ge=0, le=1e9)]


class AsAnswered(Body):
    """Multipliers are taken as answers give them; what an answer says beside r, d and w is of no effect."""

    w_stages: StageWidths = None
    r_sd: Deviation | None = None
    d_sd: Deviation | None = None
    w_interval: tuple[Deviation, Deviation] | None = None


class MultipliersSpec(AsAnswered):
    r: Multiplier = 1.0
    d: Multiplier = 1.0
    w: Multiplier = 1.0

    def to_multipliers(self) -> Multipliers:
        return Multipliers(self.r, self.d, self.w, None if self.w_stages is None else tuple(self.w_stages))


class NetworkRef(Body):
    """A network: an architecture at multipliers (default 1, 1, 1), or a config."""

    architecture: ArchitectureRef | None = None
    multipliers: MultipliersSpec | None = None
    config: ConfigSpec | None = None

    @model_validator(mode="after")
    def _one(self) -> NetworkRef:
        if (self.architecture is None) == (self.config is None):
            raise ValueError("give either an architecture or a config")
        if self.config is not None and self.multipliers is not None:
            raise ValueError("a config is concrete: it takes no multipliers")
        return self

    def wanted(self) -> Multipliers:
        return (self.multipliers or MultipliersSpec()).to_multipliers()


class CostSummary(Answer):
    """For one image. `flops` is the budget's convention; `fvcore_total` adds batch norm and pooling as fvcore does."""

    flops: int = Field(description="Multiply-adds of convolutions and linear layers.")
    fvcore_total: int
    by_operator: dict[str, int]
    params: int
    activations: int = Field(description="Output elements of convolutions and linear layers.")
    peak_activation_bytes: int = Field(description="An operator's input and output and what waits beside, float32.")

    @classmethod
    def of(cls, cost: Cost) -> CostSummary:
        return cls(**cost.to_json())


class StageCost(CostSummary):
    stage: str


class CounterItem(Answer):
    name: str
    value: int
    counts: str = Field(description="What it counts, and how that differs from `multiply_adds`.")


class CostDetail(CostSummary):
    stages: list[StageCost]
    counters: list[CounterItem] = Field(description="The usual FLOPs counters side by side.")


class CostAnswer(Answer):
    config: dict[str, Any]
    cost: CostDetail

    @classmethod
    def of_config(cls, config: Config) -> CostAnswer:
        stages = [StageCost(stage=name, **cost.to_json()) for name, cost in stage_costs(config)]
        whole = network_cost(config)
        items = [CounterItem.model_validate(counter) for counter in counters(whole)]
        return cls(config=config_json(config), cost=CostDetail(stages=stages, counters=items, **whole.to_json()))
