"""Schemas of studies, their fronts and families."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from app.core.studies import RefitPolicy, StudyOptions
from app.http.schemas.architectures import ArchitectureRef, ArchitectureSpecItem, ConfigJson
from app.http.schemas.common import (
    DescribedBy,
    Multiplier,
    Name,
    Owner,
    Ratio,
    RecipeOrPreset,
    RequestModel,
    ResourceUpdate,
    ResponseModel,
    Seed,
    Title,
)
from app.http.schemas.cost import MultipliersJson
from app.http.schemas.targets import FlopsTarget
from app.http.schemas.trials import PredictionJson, RecipeJson, State
from app.scaling.predictors.promotion_gate import Gate
from app.scaling.resolution import Resolution
from app.scaling.rules.names import SolvedRule
from app.scaling.search.asha import Halving
from app.scaling.search.random_sampler import SearchSpace


def _require_ordered(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError("the first number must not be greater than the second")
    return pair


MultiplierRange = Annotated[tuple[Multiplier, Multiplier], AfterValidator(_require_ordered)]
RatioRange = Annotated[tuple[Ratio, Ratio], AfterValidator(_require_ordered)]


class SpaceSpec(RequestModel):
    """The ranges (min, max) from which networks are sampled; w is solved to meet the sampled ratio."""

    r: MultiplierRange = Field(SearchSpace.r, description="Range of the resolution multiplier, sampled uniformly.")
    d: MultiplierRange = Field(SearchSpace.d, description="Range of the depth multiplier, sampled uniformly.")
    w: MultiplierRange = Field(SearchSpace.w, description="Range that the solved width multiplier must be in.")
    ratio: RatioRange = Field(
        SearchSpace.ratio, description="Range of FLOPs divided by those of the baseline, sampled log-uniformly."
    )

    def to_space(self) -> SearchSpace:
        return SearchSpace(self.r, self.d, self.w, self.ratio)


class GateSpec(RequestModel):
    """The promotion gate: requirements on a new predictor version before it becomes active automatically.

    A study may require more than the defaults, but not less.
    """

    min_points: int = Field(
        Gate.min_points,
        ge=Gate.min_points,
        le=200,
        description="Smallest number of networks of different costs in the fit.",
    )
    min_coverage: float = Field(
        Gate.min_coverage,
        ge=Gate.min_coverage,
        le=1,
        description="Smallest leave-one-out coverage of the 90 % bands of r and d.",
    )
    max_error: float = Field(
        Gate.max_error,
        gt=0,
        le=Gate.max_error,
        description="Largest error relative to the active version, on networks that are new to that version.",
    )

    def to_gate(self) -> Gate:
        return Gate(self.min_points, self.min_coverage, self.max_error)


class RefitSpec(RequestModel):
    """When and how the predictor of the study is refitted automatically."""

    every: int | None = Field(
        RefitPolicy.every,
        ge=1,
        le=100_000,
        description="Number of new observations after which to refit; null: on demand only.",
    )
    k: int = Field(RefitPolicy.k, ge=3, le=200, description="Largest number of front networks in the fit.")
    gate: GateSpec = Field(GateSpec(), description="Requirements for automatic activation.")
    promote: bool = Field(
        RefitPolicy.promote,
        description="Whether a version that passes the gate becomes active, so that it answers everybody; this needs "
        "scope `admin`. Otherwise it answers requests with this `study` only.",
    )

    def to_policy(self) -> RefitPolicy:
        return RefitPolicy(self.every, self.k, self.gate.to_gate(), self.promote)


class HalvingSpec(RequestModel):
    """Successive halving: all networks train to the first rung, and the best of each rung continue to the next."""

    eta: int = Field(
        Halving.eta, ge=2, le=10, description="One in `eta` networks continues, to the rung at `eta` times the epochs."
    )
    min_epochs: int = Field(Halving.min_epochs, ge=1, le=1000, description="Smallest epoch of the first rung.")

    def to_halving(self) -> Halving:
        return Halving(self.eta, self.min_epochs)


class NewStudy(RequestModel):
    """A study to create."""

    name: Title = Field(description="Name of the study.")
    architecture: ArchitectureRef
    dataset: Name = Field(description="Name of the data set.")
    recipe: RecipeOrPreset | None = Field(
        None, description="Recipe, or name of a preset; null: `quick`, for detection `detection-quick`."
    )
    space: SpaceSpec = Field(SpaceSpec(), description="Search space.")
    trials: int = Field(12, ge=1, le=1000, description="Number of networks to sample.")
    sampler: Literal["random", "active"] = Field(
        "random",
        description="`active`: after a few random networks, those that improve the front most by expectation.",
    )
    compound: int = Field(
        StudyOptions.compound, ge=0, le=100, description="Number of compound-scaled networks, for comparison only."
    )
    seeds: int = Field(StudyOptions.seeds, ge=1, le=20, description="Number of seeds per network, starting at `seed`.")
    halving: HalvingSpec | None = Field(
        None, description="Stop less promising networks early; null: train all to the end."
    )
    refit: RefitSpec = Field(RefitSpec(), description="Automatic refits of the predictor.")
    seed: Seed = Field(0, description="Seed of the sampler, and first seed of the trainings.")
    validate_only: bool = Field(False, description="Validate and estimate the study without creating it.")
    load_if_exists: bool = Field(
        False, description="Return the newest study of this name that is not archived, if there is one."
    )

    def to_options(self) -> StudyOptions:
        halving = self.halving.to_halving() if self.halving else None
        return StudyOptions(self.compound, self.seeds, halving, self.refit.to_policy())


class StudyUpdate(ResourceUpdate):
    """A change of a study; fields that are null stay as they are."""

    promote: bool | None = Field(
        None, description="Whether its automatic refits may become active (`refit.promote`); needs scope `admin`."
    )


class StudyCounts(ResponseModel):
    """What a study has so far."""

    observations: int = Field(description="Number of observations that are not retracted.")
    suggestions_open: int = Field(description="Number of suggestions without a final result.")
    suggestions_answered: int = Field(description="Number of suggestions with a result, or infeasible.")
    trials: dict[str, int] = Field(description="Number of trials by state.")


class BestNetwork(ResponseModel):
    """The most accurate network of a study so far."""

    observation: int = Field(description="Id of its observation.")
    trial: str | None = Field(description="Id of its trial; null if it was trained outside the service.")
    accuracy: float = Field(description="Accuracy from 0 to 1.")
    r: float = Field(description="Resolution multiplier.")
    d: float = Field(description="Depth multiplier.")
    w: float = Field(description="Width multiplier.")
    resolution: Resolution = Field(description="Side of the square input in pixels, or height and width.")
    flops: int = Field(description="Multiply-adds of convolutions and linear layers for one image.")
    params: int = Field(description="Number of parameters.")


class StudyItem(ResponseModel):
    """A study."""

    id: str = Field(description="Id of the study.")
    owner: Owner
    name: str = Field(description="Name of the study.")
    state: str = Field(description="State of the study: created, running, paused, completed or cancelled.")
    architecture: str = Field(description="Name of the baseline.")
    dataset: str = Field(description="Name of the data set.")
    sampler: str = Field(description="Sampler: random or active.")
    size: int = Field(description="Number of networks to sample.")
    proposed: int = Field(description="Number of networks sampled so far.")
    seed: int = Field(description="Seed of the sampler, and first seed of the trainings.")
    trials: dict[str, int] = Field(description="Number of trials by state.")
    counts: StudyCounts
    description: str | None = Field(description="Description of the study; null without one.")
    archived_at: datetime | None = Field(description="When the study was archived; null if it was not.")
    created_at: datetime = Field(description="When it was created.")


class StudyOptionsItem(ResponseModel):
    """How a study is carried out."""

    compound: int = Field(description="Number of compound-scaled networks, for comparison only.")
    seeds: int = Field(description="Number of seeds per network.")
    halving: HalvingSpec | None = Field(description="Successive halving; null: all networks train to the end.")
    refit: RefitSpec = Field(description="Automatic refits of the predictor.")


ArchitectureSpecJson = Annotated[dict[str, Any], DescribedBy(ArchitectureSpecItem)]
SpaceJson = Annotated[dict[str, Any], DescribedBy(SpaceSpec)]
StudyOptionsJson = Annotated[dict[str, Any], DescribedBy(StudyOptionsItem)]


class StudyDetail(StudyItem):
    """A study with its baseline, recipe, search space and options."""

    spec: ArchitectureSpecJson = Field(description="The baseline, with the number of classes of the data set.")
    recipe: RecipeJson = Field(description="The recipe of the trainings.")
    space: SpaceJson = Field(description="Search space: ranges of r, d, w and ratio.")
    options: StudyOptionsJson = Field(
        description="`compound`, `seeds`, `halving` and `refit` as specified on creation."
    )
    best: BestNetwork | None = Field(description="The most accurate network so far; null without observations.")


class FrontItem(ResponseModel):
    """A network on the front."""

    r: float = Field(description="Resolution multiplier.")
    d: float = Field(description="Depth multiplier.")
    w: float = Field(description="Width multiplier.")
    c: float = Field(description="FLOPs divided by those of the baseline.")
    flops: int = Field(description="Multiply-adds of convolutions and linear layers for one image.")
    params: int = Field(description="Number of parameters.")
    accuracy: float = Field(description="Mean accuracy over seeds, from 0 to 1.")
    trial: str | None = Field(description="Id of its trial; null if it was trained outside the service.")
    role: str = Field(description="Why the network was trained.")
    dominated: bool = Field(
        description="Whether another network is at least as good in accuracy and FLOPs. Fills up small fronts."
    )


class FrontResponse(ResponseModel):
    """The Pareto front of accuracy and FLOPs."""

    items: list[FrontItem] = Field(description="The networks, by rising FLOPs.")
    hypervolume: float | None = Field(
        description="Hypervolume of the whole front in log10 FLOPs and accuracy; null without networks."
    )


class Correlation(ResponseModel):
    """Correlation coefficients with 90 % bootstrap intervals; null if they are not defined."""

    pearson: float | None = Field(description="Pearson correlation, from -1 to 1.")
    pearson_interval: tuple[float, float] | None = Field(description="90 % interval of `pearson`.")
    spearman: float | None = Field(description="Spearman rank correlation, from -1 to 1.")
    spearman_interval: tuple[float, float] | None = Field(description="90 % interval of `spearman`.")


class CorrelationsResponse(ResponseModel):
    """Correlations of r, d and w with FLOPs over the networks of the front."""

    r: Correlation = Field(description="Correlations of r with FLOPs.")
    d: Correlation = Field(description="Correlations of d with FLOPs.")
    w: Correlation = Field(description="Correlations of w with FLOPs.")


class RefitRequest(RequestModel):
    """How to refit the predictor of a study."""

    k: int = Field(RefitPolicy.k, ge=3, le=200, description="Largest number of front networks in the fit.")
    activate: bool | Literal["gate"] = Field(
        False,
        description="Whether to activate the new version, so that it answers everybody. `gate`: if it passes the "
        "promotion gate. Needs scope `admin`; without it, the version answers requests with this `study` only.",
    )


class NewFamily(RequestModel):
    """A family to train: the networks of each rule for each target, by each recipe, with each seed."""

    targets: list[FlopsTarget] = Field(min_length=1, max_length=20, description="Targets of the networks.")
    rules: list[SolvedRule] = Field(
        ["tiny_formula", "surrogate", "compound"],
        min_length=1,
        max_length=8,
        description="Rules that scale to each target; repeated rules are ignored.",
    )
    recipes: list[Literal["same", "randaugment"]] = Field(
        ["same"],
        min_length=1,
        max_length=2,
        description="`same`: the recipe of the study. `randaugment`: the same with RandAugment.",
    )
    seeds: int = Field(1, ge=1, le=20, description="Number of seeds per network.")
    predictor: str | None = Field(
        None, max_length=240, description="Id of the predictor; null: the newest of the study."
    )


class FamilyTrialItem(ResponseModel):
    """A trial of a family."""

    id: str = Field(description="Id of the trial.")
    state: State = Field(description="State of the trial.")
    seed: int = Field(description="Seed of the training.")


class FamilyMemberItem(ResponseModel):
    """The network of one rule for one target, trained by one recipe."""

    target_flops: int = Field(description="The target in FLOPs.")
    rule: str = Field(description="Name of the rule.")
    recipe: str = Field(description="`same` or `randaugment`.")
    problem: str | None = Field(description="Why the rule has no network for this target; null if it has one.")
    multipliers: MultipliersJson | None = Field(description="The multipliers of the network.")
    config: ConfigJson | None = Field(description="The network; null if the rule gives no network.")
    flops: int | None = Field(description="Multiply-adds of convolutions and linear layers for one image.")
    params: int | None = Field(description="Number of parameters.")
    latency_ms: float | None = Field(description="Median latency of one image in milliseconds.")
    predicted_accuracy: PredictionJson | None = Field(description="Accuracy predicted before the training.")
    accuracies: list[float] = Field(description="Validation accuracies of the completed seeds.")
    mean: float | None = Field(description="Mean of `accuracies`; null without any.")
    sd: float | None = Field(description="Standard deviation over seeds; null with fewer than two.")
    trials: list[FamilyTrialItem] = Field(description="The trials of the network, one per seed.")


class TrainedFamilyResponse(ResponseModel):
    """The networks of a family with their results so far."""

    items: list[FamilyMemberItem] = Field(description="The networks of the family.")
