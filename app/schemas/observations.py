"""Observations: what was trained, here or elsewhere."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from app.schemas.common import Accuracy, Answer, Body, Multiplier, Title

MOST_IMPORTED = 100_000


class NewObservation(Body):
    """A result from outside, at multipliers of the study's architecture."""

    r: Multiplier
    d: Multiplier
    w: Multiplier
    accuracy: Accuracy
    seconds: float | None = Field(None, ge=0, le=1e9)
    latency_ms: float | None = Field(None, ge=0, le=1e9)


class ObservationImport(Body):
    source: Title = Field("import", description="Where the results come from.")
    observations: list[NewObservation] = Field(min_length=1, max_length=MOST_IMPORTED)


class ImportAnswer(Answer):
    imported: int


class Retraction(Body):
    reason: Title


class ObservationItem(Answer):
    id: int
    trial_id: str | None
    role: str | None = Field(description="random, active, compound, recommended, family, import or told.")
    r: float | None
    d: float | None
    w: float | None
    ratio: float | None
    resolution: int
    flops: int
    params: int
    accuracy: float
    seconds: float | None
    latency_ms: float | None = Field(description="Median of one image in onnxruntime on one thread, where measured.")
    retracted_at: datetime | None = Field(description="Since when it counts no more, …")
    retraction: str | None = Field(description="… and why.")
    provenance: dict[str, Any]
    created_at: datetime
