"""Schemas of targets: a budget in one of several units."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from app.http.schemas.common import DescribedBy, Flops, Ratio, RequestModel, ResponseModel
from app.scaling.cost.budget_unit import FLOPS, BudgetUnit
from app.scaling.cost.memory import Precision
from app.scaling.families import flops_of
from app.scaling.network import Architecture

Params = Annotated[int, Field(ge=1, le=10**12)]
WeightsBytes = Annotated[int, Field(ge=1, le=10**13)]
ActivationBytes = Annotated[int, Field(ge=1, le=10**13)]


class FlopsTarget(RequestModel):
    """A target in multiply-adds: exactly one of `flops` and `ratio`."""

    flops: Flops | None = Field(None, description="Multiply-adds of convolutions and linear layers for one image.")
    ratio: Ratio | None = Field(None, description="FLOPs divided by those of the baseline.")

    @model_validator(mode="after")
    def _check_one_of(self) -> FlopsTarget:
        if (self.flops is None) == (self.ratio is None):
            raise ValueError("specify either flops or ratio")
        return self

    def in_flops(self, baseline: int) -> int:
        return self.flops if self.flops is not None else max(1, round((self.ratio or 0) * baseline))


class Target(FlopsTarget):
    """The target of scaling: exactly one of `flops`, `ratio`, `params`, `weights_bytes` and `activation_bytes`."""

    params: Params | None = Field(None, description="Number of parameters.")
    weights_bytes: WeightsBytes | None = Field(None, description="Bytes of the weights on a device, by `precision`.")
    activation_bytes: ActivationBytes | None = Field(
        None, description="Peak memory in bytes of the activations for one image on a device, by `precision`."
    )
    precision: Precision | None = Field(
        None, description="Precision of `weights_bytes` or `activation_bytes`; null: float32."
    )

    @model_validator(mode="after")
    def _check_one_of(self) -> Target:
        in_bytes = (self.weights_bytes, self.activation_bytes)
        if sum(amount is not None for amount in (self.flops, self.ratio, self.params, *in_bytes)) != 1:
            raise ValueError("specify exactly one of flops, ratio, params, weights_bytes and activation_bytes")
        if self.precision is not None and in_bytes == (None, None):
            raise ValueError("precision belongs to weights_bytes and activation_bytes")
        return self

    def resolve(self, architecture: Architecture) -> tuple[int, BudgetUnit]:
        """Return the target as an amount of a unit; a ratio is in multiply-adds."""
        precision = self.precision or "float32"
        if self.params is not None:
            return self.params, BudgetUnit("params")
        if self.weights_bytes is not None:
            return self.weights_bytes, BudgetUnit("weights_bytes", precision)
        if self.activation_bytes is not None:
            return self.activation_bytes, BudgetUnit("activation_bytes", precision)
        return self.in_flops(flops_of(architecture)), FLOPS


class TargetItem(ResponseModel):
    """A target in its unit; it can be sent back. A ratio is answered in FLOPs."""

    flops: int | None = Field(None, description="Multiply-adds of convolutions and linear layers for one image.")
    params: int | None = Field(None, description="Number of parameters.")
    weights_bytes: int | None = Field(None, description="Bytes of the weights on a device, by `precision`.")
    activation_bytes: int | None = Field(None, description="Peak memory of the activations in bytes, by `precision`.")
    precision: Precision | None = Field(None, description="Precision of a target in bytes.")


TargetJson = Annotated[dict[str, Any], DescribedBy(TargetItem)]
"""Only the unit of the target is present."""


def target_json(amount: int, unit: BudgetUnit) -> dict[str, Any]:
    """Return a target as its unit and amount, with the precision of bytes."""
    return {unit.name: amount, "precision": unit.precision} if unit.has_precision else {unit.name: amount}
