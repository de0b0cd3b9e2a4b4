"""Trials."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field, model_validator

from app.schemas.architectures import ArchitectureRef, ConfigSpec
from app.schemas.common import Answer, Body, Name, RecipeOrPreset, RowId, Seed
from app.schemas.cost import MultipliersSpec

State = Literal["queued", "running", "completed", "failed", "cancelled"]


class NewTrial(Body):
    """A network to train: an architecture at multipliers, or a config with the data set's number of classes."""

    architecture: ArchitectureRef | None = None
    multipliers: MultipliersSpec | None = None
    config: ConfigSpec | None = None
    dataset: Name
    recipe: RecipeOrPreset = "quick"
    seed: Seed = 0
    study: RowId | None = Field(None, description="Count the trial as this study's.")

    @model_validator(mode="after")
    def _one(self) -> NewTrial:
        if (self.architecture is None) == (self.config is None):
            raise ValueError("give either an architecture or a config")
        if self.config is not None and self.multipliers is not None:
            raise ValueError("a config is concrete: it takes no multipliers")
        return self


class TrialItem(Answer):
    id: str
    state: State
    architecture: str
    dataset: str
    multipliers: dict[str, float] | None
    flops: int
    params: int
    ratio: float | None
    seed: int
    attempt: int
    cancel_requested: bool
    progress: dict[str, Any] | None
    predicted: dict[str, Any] | None
    result: dict[str, Any] | None
    error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class TrialDetail(TrialItem):
    config: dict[str, Any]
    recipe: dict[str, Any]
    dataset_digest: str
    fingerprint: str
    request_id: str | None
