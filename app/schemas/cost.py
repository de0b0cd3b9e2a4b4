"""Exact cost."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from app.scaling.architecture import Config, Multipliers
from app.scaling.cost import Cost
from app.scaling.families import network_cost, stage_costs
from app.schemas.architectures import ArchitectureRef, ConfigSpec
from app.schemas.common import Answer, Body, Multiplier


class MultipliersSpec(Body):
    r: Multiplier = 1.0
    d: Multiplier = 1.0
    w: Multiplier = 1.0


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
        m = self.multipliers or MultipliersSpec()
        return Multipliers(m.r, m.d, m.w)


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


class CostDetail(CostSummary):
    stages: list[StageCost]


class CostAnswer(Answer):
    config: dict[str, Any]
    cost: CostDetail

    @classmethod
    def of_config(cls, config: Config) -> CostAnswer:
        stages = [StageCost(stage=name, **cost.to_json()) for name, cost in stage_costs(config)]
        return cls(config=config.to_json(), cost=CostDetail(stages=stages, **network_cost(config).to_json()))
