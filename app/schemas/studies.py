"""Studies, their fronts and families."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from app.scaling.recommend import SolvedRule
from app.schemas.architectures import ArchitectureRef
from app.schemas.common import Answer, Body, Multiplier, Name, Ratio, RecipeOrPreset, Seed, Title
from app.schemas.scale import Target
from app.schemas.trials import State


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


class GateSpec(Body):
    """The promotion gate: what is asked of a new predictor version before it becomes active by itself."""

    least_points: int = Field(6, ge=3, le=200, description="Networks of different costs that it was fitted on.")
    least_coverage: float = Field(
        0.7, ge=0, le=1, description="Share of them within the 90 % bands of r and of d, each foretold by the others."
    )
    most_error: float = Field(
        1.1,
        gt=0,
        le=1e6,
        description="Its error at networks that the active version has not seen, relative to that one's.",
    )


class RefitSpec(Body):
    """When the study's predictor is fitted anew by itself."""

    every: int | None = Field(20, ge=1, le=100_000, description="After so many new observations; none: on demand.")
    k: int = Field(20, ge=3, le=200, description="On at most so many networks of the front.")
    gate: GateSpec = GateSpec()


class HalvingSpec(Body):
    """Successive halving: networks train to the first rung, and the most promising of each rung to the next."""

    eta: int = Field(3, ge=2, le=10, description="One in so many goes on; rungs lie that factor of epochs apart.")
    least_epochs: int = Field(1, ge=1, le=1000, description="Epochs of the first rung, at least.")


class NewStudy(Body):
    name: Title
    architecture: ArchitectureRef
    dataset: Name
    recipe: RecipeOrPreset | None = Field(None, description="None: `quick`, or `detection-quick` to detect.")
    space: SpaceSpec = SpaceSpec()
    trials: int = Field(12, ge=1, le=1000, description="How many networks are drawn.")
    sampler: Literal["random", "active"] = Field(
        "random",
        description="`active`: a few at random, then those that promise most to the front, as results come in.",
    )
    compound: int = Field(0, ge=0, le=100, description="Compound-shrunk networks that are trained beside, to compare.")
    seeds: int = Field(1, ge=1, le=20, description="Each network is trained with so many seeds, from `seed` up.")
    halving: HalvingSpec | None = Field(None, description="Stop networks early that promise little.")
    refit: RefitSpec = RefitSpec()
    seed: Seed = 0
    validate_only: bool = Field(False, description="Check, and answer what its trials would take, without keeping it.")


class StudyItem(Answer):
    id: str
    name: str
    state: str = Field(description="created, running, paused, completed or cancelled.")
    architecture: str
    dataset: str
    sampler: str
    size: int = Field(description="How many networks it draws, …")
    proposed: int = Field(description="… and has drawn so far.")
    seed: int
    trials: dict[str, int] = Field(description="How many of its trials are in which state.")
    created_at: datetime


class StudyDetail(StudyItem):
    spec: dict[str, Any]
    recipe: dict[str, Any]
    space: dict[str, Any]
    options: dict[str, Any] = Field(description="`compound`, `seeds`, `halving`, `refit`, as it was created.")


class FrontItem(Answer):
    r: float
    d: float
    w: float
    c: float
    flops: int
    params: int
    accuracy: float = Field(description="The mean over seeds.")
    trial: str | None
    role: str
    dominated: bool = Field(description="Another one is as good in both; it fills up a front of fewer than five.")


class FrontAnswer(Answer):
    items: list[FrontItem]
    hypervolume: float | None = Field(description="Of log10 flops and accuracy, below the whole front.")


class Correlation(Answer):
    """With intervals that hold 90 % of bootstrap resamples of the networks."""

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
    activate: bool | Literal["gate"] = Field(False, description="`gate`: if the promotion gate lets it through.")


class NewFamily(Body):
    """Networks for some budgets by some rules, each trained by some recipes with some seeds."""

    targets: list[Target] = Field(min_length=1, max_length=20)
    rules: list[SolvedRule] = Field(
        ["tiny_formula", "surrogate", "compound"], min_length=1, max_length=8, description="Each once."
    )
    recipes: list[Literal["same", "randaugment"]] = Field(
        ["same"], min_length=1, max_length=2, description="The study's recipe, and that with RandAugment."
    )
    seeds: int = Field(1, ge=1, le=20)
    predictor: str | None = Field(None, max_length=240, description="None: the study's newest.")


class FamilyTrial(Answer):
    id: str
    state: State
    seed: int


class MemberItem(Answer):
    target_flops: int
    rule: str
    recipe: str
    problem: str | None = Field(description="Why the rule has no network for this budget.")
    multipliers: dict[str, Any] | None
    config: dict[str, Any] | None
    flops: int | None
    params: int | None
    latency_ms: float | None
    predicted_accuracy: dict[str, Any] | None = Field(description="Before it was trained.")
    accuracies: list[float] = Field(description="On validation, of the seeds that have completed.")
    mean: float | None
    sd: float | None = Field(description="Between seeds.")
    trials: list[FamilyTrial]


class FamilyMembers(Answer):
    items: list[MemberItem]
