"""The units in which a budget may be given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.scaling.cost.ledger import Cost
from app.scaling.cost.memory import Precision

UnitName = Literal["flops", "params", "weights_bytes", "activation_bytes"]


@dataclass(frozen=True)
class BudgetUnit:
    """A unit of cost: multiply-adds, parameters, or bytes of weights or of live tensors (`cost.memory`).

    Only bytes depend on the precision.
    """

    name: UnitName = "flops"
    precision: Precision = "float32"

    @property
    def label(self) -> str:
        """What is counted, in the plural, for messages."""
        return {
            "flops": "multiply-adds",
            "params": "parameters",
            "weights_bytes": f"bytes of {self.precision} weights",
            "activation_bytes": f"bytes of {self.precision} activations",
        }[self.name]

    @property
    def depends_on_resolution(self) -> bool:
        return self.name in ("flops", "activation_bytes")

    @property
    def has_precision(self) -> bool:
        return self.name in ("weights_bytes", "activation_bytes")

    def measure(self, cost: Cost) -> int:
        """Return a network's cost in this unit."""
        if self.name == "flops":
            return cost.flops
        if self.name == "params":
            return cost.params
        bytes_of = cost.weights_bytes if self.name == "weights_bytes" else cost.activation_bytes
        return bytes_of(self.precision)


FLOPS = BudgetUnit()
