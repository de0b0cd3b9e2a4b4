"""Ask and tell."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from app.schemas.common import Accuracy, Answer, Body, Multiplier, RowId, Title

Metric = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.\-]{0,63}$")]

Measured = Annotated[float, Field(ge=-1e30, le=1e30)]


class Ask(Body):
    client: Title = Field("client", description="Who asks: asked again it gets what it has not answered yet.")
    n: int = Field(1, ge=1, le=100)
    lease_seconds: float = Field(
        86_400, ge=1, le=2_592_000, description="What is told later is kept, and marked as late."
    )


class OwnMultipliers(Body):
    r: Multiplier
    d: Multiplier
    w: Multiplier


class Tell(Body):
    """What came of a suggestion, or of multipliers of the client's own: an accuracy, or why there is none."""

    suggestion: RowId | None = None
    multipliers: OwnMultipliers | None = None
    client: Title = Field("client", description="Who tells of its own multipliers.")
    accuracy: Accuracy | None = None
    infeasible: Title | None = Field(None, description="Why it cannot be trained; it is not suggested again.")
    seconds: float | None = Field(None, ge=0, le=1e9)
    latency_ms: float | None = Field(None, ge=0, le=1e9)
    metrics: dict[Metric, Measured] | None = Field(None, max_length=50, description="What else was measured.")

    @model_validator(mode="after")
    def _one_of_each(self) -> Tell:
        if (self.suggestion is None) == (self.multipliers is None):
            raise ValueError("give a suggestion, or multipliers of your own")
        if (self.accuracy is None) == (self.infeasible is None):
            raise ValueError("give an accuracy, or say why it is infeasible")
        if self.suggestion is None and self.accuracy is None:
            raise ValueError("only a suggestion can be infeasible")
        return self


class SuggestionItem(Answer):
    id: str
    client: str
    state: Literal["pending", "told", "infeasible"]
    multipliers: dict[str, float]
    config: dict[str, Any]
    flops: int
    params: int
    ratio: float
    predicted_accuracy: dict[str, Any] | None = Field(description="Before it is trained, where enough is known.")
    lease_expires_at: datetime
    late: bool = Field(description="It was told when its lease was over.")
    told: dict[str, Any] | None
    reason: str | None = Field(description="Why it was infeasible.")
    created_at: datetime
    told_at: datetime | None


class Suggestions(Answer):
    items: list[SuggestionItem]


class Heard(Answer):
    """`observation` is what it counts as from now on; none where it was infeasible."""

    observation: int | None
    suggestion: SuggestionItem | None
