"""Trials."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field, computed_field

from app.datasets import Task, task_of
from app.schemas.common import Answer, Name, Priority, RecipeOrPreset, RowId, Seed
from app.schemas.cost import NetworkRef
from app.services.attempts import Outcome

State = Literal["queued", "running", "completed", "failed", "cancelled"]


class EstimateItem(Answer):
    """What a training would take, from what trainings took: seconds of one worker, validation and export on top."""

    seconds: float
    low: float = Field(description="Nine times in ten it takes at least so long, …")
    high: float = Field(description="… and at most so long.")
    trainings: int = Field(description="Finished trainings that the figure comes from; 0: it is a guess.")


class Estimated(Answer):
    """Nothing was started (`validate_only`): what it would take."""

    estimate: EstimateItem


class NewTrial(NetworkRef):
    """A network to train; a config has the data set's number of classes."""

    dataset: Name
    recipe: RecipeOrPreset | None = Field(None, description="None: `quick`, or `detection-quick` to detect.")
    seed: Seed = 0
    study: RowId | None = Field(None, description="Count the trial as this study's.")
    priority: Priority = 0
    validate_only: bool = Field(False, description="Check, and answer what it would take, without starting anything.")


class TrialItem(Answer):
    id: str
    state: State
    architecture: str
    dataset: str
    multipliers: dict[str, float | list[float]] | None
    flops: int
    params: int
    ratio: float | None
    seed: int
    priority: int
    attempt: int = Field(description="Since it was last requested: one whose worker died is tried again.")
    cancel_requested: bool
    until_epoch: int | None = Field(description="Where its study halves: it goes to this epoch first.")
    held: bool = Field(description="It is there, and waits for its study to let it go on.")
    rungs: list[dict[str, float]] | None = Field(description="Accuracies on validation at the epochs it waited after.")
    progress: dict[str, Any] | None
    predicted: dict[str, Any] | None
    result: dict[str, Any] | None
    error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @computed_field(description="What is learned, which the data set decides.")  # type: ignore[prop-decorator]
    @property
    def kind(self) -> Task:
        return task_of(self.dataset)


class AttemptItem(Answer):
    """One worker's go at the trial; how it ended is none while it is under way."""

    worker: str
    started_at: datetime
    ended_at: datetime | None
    outcome: Outcome | None = Field(
        description="`lost`: the worker died or fell silent. `handed_back`: it was told to stop. "
        "`held`: it came to the epoch after which its study compares."
    )
    reason: str | None


class TrialDetail(TrialItem):
    config: dict[str, Any]
    recipe: dict[str, Any]
    dataset_digest: str
    fingerprint: str
    request_id: str | None
    attempts: list[AttemptItem]
    log: list[str] | None = Field(description="The last lines of its worker's log.")
