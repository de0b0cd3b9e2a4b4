"""Schemas of ask and tell."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from app.core.studies import SuggestionState
from app.http.schemas.architectures import ConfigJson
from app.http.schemas.common import Accuracy, DescribedBy, Multiplier, RequestModel, ResponseModel, RowId, Title
from app.http.schemas.cost import MultipliersJson
from app.http.schemas.trials import PredictionJson

Metric = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.\-]{0,63}$")]

Measured = Annotated[float, Field(ge=-1e30, le=1e30)]


class AskRequest(RequestModel):
    """A request for suggestions."""

    client: Title = Field("client", description="Name of the client; its unanswered suggestions are returned again.")
    n: int = Field(1, ge=1, le=100, description="Number of suggestions.")
    lease_seconds: float = Field(
        86_400,
        ge=1,
        le=2_592_000,
        description="Seconds until the suggestions expire. A later result is accepted and marked as late.",
    )


class ReportedMultipliers(RequestModel):
    """Multipliers of a network that the client chose itself."""

    r: Multiplier = Field(description="Resolution multiplier.")
    d: Multiplier = Field(description="Depth multiplier.")
    w: Multiplier = Field(description="Width multiplier.")


class TellRequest(RequestModel):
    """The result of a suggestion, or of a network that the client chose itself.

    Exactly one of `suggestion` and `multipliers` and exactly one of `accuracy` and `infeasible` is required.
    """

    suggestion: RowId | None = Field(None, description="Id of the suggestion.")
    multipliers: ReportedMultipliers | None = Field(None, description="Multipliers that the client chose itself.")
    client: Title = Field("client", description="Name of the client; used with `multipliers`.")
    accuracy: Accuracy | None = Field(None, description="Measured accuracy from 0 to 1.")
    infeasible: Title | None = Field(None, description="Why the network cannot be trained. It is not suggested again.")
    seconds: float | None = Field(None, ge=0, le=1e9, description="Duration of the training.")
    latency_ms: float | None = Field(None, ge=0, le=1e9, description="Latency of one image in milliseconds.")
    metrics: dict[Metric, Measured] | None = Field(None, max_length=50, description="Further measurements, by name.")
    epoch: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="The accuracy is an interim result after this epoch: it is no observation; `go_on` says whether "
        "to continue the training.",
    )

    @model_validator(mode="after")
    def _check_one_of(self) -> TellRequest:
        if (self.suggestion is None) == (self.multipliers is None):
            raise ValueError("specify either suggestion or multipliers")
        if (self.accuracy is None) == (self.infeasible is None):
            raise ValueError("specify either accuracy or infeasible")
        if self.suggestion is None and self.accuracy is None:
            raise ValueError("infeasible requires a suggestion")
        if self.epoch is not None and (self.suggestion is None or self.accuracy is None):
            raise ValueError("epoch requires a suggestion and an accuracy")
        return self


class InterimItem(ResponseModel):
    """An accuracy that was reported during the training of a suggestion."""

    epoch: int = Field(description="Number of completed epochs.")
    accuracy: float = Field(description="Measured accuracy from 0 to 1.")
    go_on: bool = Field(description="Whether the client was told to continue.")


class ReportedResultItem(ResponseModel):
    """A reported result. Fields without a value are left out."""

    accuracy: float | None = Field(None, description="Measured accuracy from 0 to 1.")
    infeasible: str | None = Field(None, description="Why the network cannot be trained.")
    seconds: float | None = Field(None, description="Duration of the training.")
    latency_ms: float | None = Field(None, description="Latency of one image in milliseconds.")
    metrics: dict[str, float] | None = Field(None, description="Further measurements, by name.")
    observation: int | None = Field(None, description="Id of the observation.")


ReportedResultJson = Annotated[dict[str, Any], DescribedBy(ReportedResultItem)]


class SuggestionItem(ResponseModel):
    """A network that the study proposes to a client."""

    id: str = Field(description="Id of the suggestion.")
    client: str = Field(description="Name of the client that got the suggestion.")
    state: Literal[SuggestionState.PENDING, SuggestionState.REPORTED, SuggestionState.INFEASIBLE] = Field(
        description="`reported`: the accuracy was reported. `infeasible`: the network cannot be trained."
    )
    multipliers: MultipliersJson = Field(description="The multipliers r, d and w.")
    config: ConfigJson = Field(description="The network; sufficient to build it.")
    flops: int = Field(description="Multiply-adds of convolutions and linear layers for one image.")
    params: int = Field(description="Number of parameters.")
    ratio: float = Field(description="FLOPs divided by those of the baseline.")
    predicted_accuracy: PredictionJson | None = Field(
        description="Accuracy predicted before the training; null without enough observations."
    )
    lease_expires_at: datetime = Field(description="When the suggestion expires.")
    late: bool = Field(description="Whether the result was reported after the suggestion had expired.")
    reported: ReportedResultJson | None = Field(
        description="The reported result; null while the suggestion is pending."
    )
    interim: list[InterimItem] = Field(description="Accuracies reported before the final result, by rising epoch.")
    reason: str | None = Field(description="Why the network was infeasible.")
    created_at: datetime = Field(description="When it was proposed.")
    reported_at: datetime | None = Field(description="When the result was reported.")


class AskResponse(ResponseModel):
    """Suggestions for a client."""

    items: list[SuggestionItem] = Field(description="The suggestions.")


class TellResponse(ResponseModel):
    """The stored result."""

    observation: int | None = Field(
        description="Id of the new observation; null if the network was infeasible, and for an interim result."
    )
    suggestion: SuggestionItem | None = Field(description="The answered suggestion; null for `multipliers`.")
    go_on: bool | None = Field(
        None,
        description="For an interim result: whether to continue the training. False if successive halving stops it.",
    )
