"""The accuracy that a surrogate predicts for a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class PredictedAccuracy:
    """An accuracy predicted before training; `predictor` is the id of the stored version that predicted it, if any."""

    mean: float
    sd: float
    predictor: str | None

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Self:
        return cls(plain["mean"], plain["sd"], plain.get("predictor"))

    def to_json(self) -> dict[str, Any]:
        return {"mean": self.mean, "sd": self.sd, "predictor": self.predictor}
