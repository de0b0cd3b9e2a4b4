"""Studies, their observations and fronts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from app.schemas.architectures import ArchitectureRef
from app.schemas.common import Accuracy, Answer, Body, Multiplier, Name, Ratio, RecipeOrPreset, Seed, Title


def _rising(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError("the first number is the least, the second the most")
    return pair


MultiplierRange = Annotated[tuple[Multiplier, Multiplier], AfterValidator(_rising)]
RatioRange = Annotated[tuple[Ratio, Ratio], AfterValidator(_rising)]


class SpaceSpec(Body):
    """Where networks are drawn: r and d at random, the flops ratio at random over its logarithm, w solved."""

    r: MultiplierRange = (0.4, 1.2)
    d: MultiplierRange = (0.4, 1.4)
    w: MultiplierRange = (0.2, 2.0)
    ratio: RatioRange = (0.1, 1.0)


class NewStudy(Body):
    name: Title
    architecture: ArchitectureRef
    dataset: Name
    recipe: RecipeOrPreset | None = Field(None, description="None: `quick`, or `detection-quick` to detect.")
    space: SpaceSpec = SpaceSpec()
    trials: int = Field(12, ge=1, le=1000)
    seed: Seed = 0
    validate_only: bool = Field(False, description="Check, and answer what its trials would take, without keeping it.")


class StudyItem(Answer):
    id: str
    name: str
    state: str = Field(description="created, running, paused, completed or cancelled.")
    architecture: str
    dataset: str
    size: int
    seed: int
    trials: dict[str, int] = Field(description="How many of its trials are in which state.")
    created_at: datetime


class StudyDetail(StudyItem):
    spec: dict[str, Any]
    recipe: dict[str, Any]
    space: dict[str, Any]


class NewObservation(Body):
    """A result from outside, at multipliers of the study's architecture."""

    r: Multiplier
    d: Multiplier
    w: Multiplier
    accuracy: Accuracy
    seconds: float | None = Field(None, ge=0, le=1e9)


class ObservationImport(Body):
    source: Title = Field("import", description="Where the results come from.")
    observations: list[NewObservation] = Field(min_length=1, max_length=10_000)


class ImportAnswer(Answer):
    imported: int


class ObservationItem(Answer):
    id: int
    trial_id: str | None
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
    provenance: dict[str, Any]
    created_at: datetime


class FrontItem(Answer):
    r: float
    d: float
    w: float
    c: float
    flops: int
    params: int
    accuracy: float
    trial: str | None


class FrontAnswer(Answer):
    items: list[FrontItem]
    hypervolume: float | None = Field(description="Of log10 flops and accuracy, below the whole front.")


class Correlation(Answer):
    """Each with its 90 % interval (bootstrap over the networks): least, most."""

    pearson: float | None
    pearson_interval: tuple[float, float] | None
    spearman: float | None
    spearman_interval: tuple[float, float] | None


class CorrelationsAnswer(Answer):
    """With FLOPs, over the front's networks; none where it is not defined."""

    r: Correlation
    d: Correlation
    w: Correlation


class RefitRequest(Body):
    k: int = Field(20, ge=3, le=200, description="At most so many networks of the front.")
    activate: bool = False
