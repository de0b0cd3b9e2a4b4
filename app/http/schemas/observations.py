"""Schemas of observations."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from app.http.schemas.common import Accuracy, Multiplier, RequestModel, ResponseModel, Title
from app.scaling.resolution import Resolution
from app.scaling.search.observations import Role

MAX_IMPORTED_OBSERVATIONS = 100_000


AnyRole = Literal[Role.RANDOM, Role.ACTIVE, Role.COMPOUND, Role.RECOMMENDED, Role.FAMILY, Role.IMPORT, Role.REPORTED]
Exported = Annotated[Any, Field(description="Of an exported observation; ignored.")]


class NewObservation(RequestModel):
    """The result of a training outside the service, at multipliers of the study's architecture; or an exported one."""

    r: Multiplier
    d: Multiplier
    w: Multiplier
    accuracy: Accuracy
    seconds: float | None = Field(None, ge=0, le=1e9, description="Duration of the training.")
    latency_ms: float | None = Field(None, ge=0, le=1e9, description="Latency of one image in milliseconds.")
    role: AnyRole | None = Field(None, description="Role in the study that it was exported from; null: `import`.")
    retracted_at: datetime | None = Field(None, description="When it was retracted; null if it was not.")
    retraction_reason: Title | None = Field(None, description="Why it was retracted.")
    id: Exported = None
    trial_id: Exported = None
    ratio: Exported = None
    resolution: Exported = None
    flops: Exported = None
    params: Exported = None
    provenance: Exported = None
    created_at: Exported = None


class ObservationImport(RequestModel):
    """Results to import, all of them or none."""

    source: Title = Field("import", description="Where the results come from; stored with each observation.")
    observations: list[NewObservation] = Field(min_length=1, max_length=MAX_IMPORTED_OBSERVATIONS)


class ImportResponse(ResponseModel):
    """The result of an import."""

    imported: int = Field(description="Number of new observations.")
    duplicates: int = Field(description="Number of results that the study has already.")
    skipped_rows: int = Field(description="Number of unfinished trainings and of networks without multipliers.")
    ignored_columns: list[str] = Field(description="Columns of the table that are not fields of an observation.")


class RetractRequest(RequestModel):
    """Why an observation is retracted."""

    reason: Title = Field(description="Why the observation is wrong.")


class ObservationItem(ResponseModel):
    """A trained network: its multipliers, cost and accuracy."""

    id: int = Field(description="Id of the observation.")
    trial_id: str | None = Field(description="Id of its trial; null if it was trained outside the service.")
    role: str | None = Field(
        description="Why the network was trained: random, active, compound, recommended, family, import or reported."
    )
    r: float | None = Field(description="Resolution multiplier; null if a config was trained.")
    d: float | None = Field(description="Depth multiplier; null if a config was trained.")
    w: float | None = Field(description="Width multiplier; null if a config was trained.")
    ratio: float | None = Field(description="FLOPs divided by those of the baseline.")
    resolution: Resolution = Field(description="Side of the square input in pixels, or height and width.")
    flops: int = Field(description="Multiply-adds of convolutions and linear layers for one image.")
    params: int = Field(description="Number of parameters.")
    accuracy: float = Field(description="Accuracy from 0 to 1.")
    seconds: float | None = Field(description="Duration of the training.")
    latency_ms: float | None = Field(
        description="Median latency of one image in milliseconds; null if it was not measured."
    )
    retracted_at: datetime | None = Field(description="When the observation was retracted; null if it was not.")
    retraction_reason: str | None = Field(description="Why the observation was retracted.")
    provenance: dict[str, Any] = Field(description="Where the observation comes from.")
    created_at: datetime = Field(description="When it was recorded.")
