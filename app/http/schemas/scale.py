"""Schemas of scaling: targets, constraints and recommended networks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from app.http.schemas.architectures import ArchitectureRef, BaselineInputs, ConfigJson, config_json
from app.http.schemas.common import (
    Flops,
    Multiplier,
    Name,
    Priority,
    RecipeOrPreset,
    RequestModel,
    ResolutionSpec,
    ResponseModel,
    RowId,
    Seed,
)
from app.http.schemas.cost import AnsweredMultipliers, CostSummary, StageCost
from app.http.schemas.targets import ActivationBytes, Params, Target, TargetJson, WeightsBytes, target_json
from app.http.schemas.trials import EstimateItem, TrialJson
from app.scaling.cost.budget_unit import FLOPS
from app.scaling.cost.memory import BYTES_PER_ELEMENT, Precision
from app.scaling.network import Architecture, Multipliers
from app.scaling.resolution import Resolution, mean_px, sides_of, to_resolution
from app.scaling.rules.batch import RecommendationRequest
from app.scaling.rules.names import DEFAULT_RULE, SOLVED_RULES, RequestedRule, SolvedOrAuto
from app.scaling.rules.recommend import Budget
from app.scaling.rules.scaling_curves import RuleTarget
from app.scaling.solver.constraints import Constraints
from app.scaling.solver.range_scan import Mode
from app.services.predictors.lookup_cache import PredictorQuery
from app.services.predictors.store import ResolvedPredictor
from app.services.recommendations import RuleOutcome, ScalingResult

PredictorId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.\-]{0,239}$")]


_BUDGET = Budget()


class ManualMultipliers(AnsweredMultipliers):
    """The multipliers of the rule `manual`."""

    r: Multiplier = Field(1.0, description="Resolution multiplier.")
    d: Multiplier = Field(1.0, description="Depth multiplier.")
    w: Multiplier | None = Field(None, description="Width multiplier; null: solved to meet the target.")

    def to_manual(self) -> RuleTarget | Multipliers:
        """Return all multipliers, or r and d alone if the width is to be solved."""
        return RuleTarget(self.r, self.d) if self.w is None else Multipliers(self.r, self.d, self.w, self.stage_widths)


class ResolutionConstraint(RequestModel, frozen=True):
    """Constraints on the sides of the input in pixels."""

    multiple_of: int = Field(1, ge=1, le=256, description="Both sides are multiples of this number.")
    min: int = Field(32, ge=8, le=1024, description="Smallest side. The default is lower for small baselines.")
    max: int = Field(1024, ge=8, le=1024, description="Largest side.")
    fixed: ResolutionSpec | None = Field(
        None, description="The exact side of a square input, or height and width in the aspect of the baseline."
    )

    @model_validator(mode="after")
    def _check_range(self) -> ResolutionConstraint:
        if self.fixed is None and self.max // self.multiple_of * self.multiple_of < self.min:
            raise ValueError("no multiple of multiple_of is between min and max")
        return self


class ConstraintsSpec(RequestModel, frozen=True):
    """Constraints on the network besides its target."""

    resolution: ResolutionConstraint = Field(
        ResolutionConstraint(), description="Constraints on the sides of the input."
    )
    max_flops: Flops | None = Field(None, description="Largest number of multiply-adds.")
    max_params: Params | None = Field(None, description="Largest number of parameters.")
    max_weights_bytes: WeightsBytes | None = Field(None, description="Most bytes of weights, by `precision`.")
    max_activation_bytes: ActivationBytes | None = Field(
        None, description="Largest peak memory of activations for one image, by `precision`."
    )
    precision: Precision | None = Field(
        None,
        description="Precision of `max_weights_bytes` and `max_activation_bytes`; null: that of the target, else "
        "float32.",
    )
    activation_bytes_per_element: Literal[1, 2, 4] | None = Field(
        None,
        description="Bytes of an element for `max_activation_bytes`, if not those of the precision: 2 for float16.",
    )
    channel_divisor: int | None = Field(
        None,
        ge=1,
        le=256,
        description="Output channels of stem, stages and head are multiples of this number.",
    )

    def to_constraints(self, baseline: Resolution, precision: Precision = "float32") -> Constraints:
        """Convert; the default minimum is lower for small baselines. The `precision` given is the default."""
        px = self.resolution
        precision = self.precision or precision
        return Constraints(
            multiple_of=px.multiple_of,
            min_resolution=px.min
            if "min" in px.model_fields_set
            else min(px.min, max(8, min(sides_of(baseline)) // 4)),
            max_resolution=px.max,
            fixed_resolution=None if px.fixed is None else to_resolution(px.fixed),
            max_flops=self.max_flops,
            max_params=self.max_params,
            max_weights_bytes=self.max_weights_bytes,
            weights_precision=precision,
            max_activation_bytes=self.max_activation_bytes,
            activation_bytes_per_element=self.activation_bytes_per_element or BYTES_PER_ELEMENT[precision],
            channel_divisor=self.channel_divisor,
        )


class MovementSpec(RequestModel, frozen=True):
    """How far the network may move from the multipliers of the rule to meet the budget.

    The network moves as little as necessary. At most 2,048 input sizes and depths are searched, nearest first. If
    neither is set and a constraint puts the budget out of reach, the input may take any size that the constraints
    allow, and d any up to 4.
    """

    resolution: int | None = Field(
        None,
        ge=0,
        le=1024,
        description="Largest change of the side in pixels, or of the geometric mean of height and width; null: 8 per "
        "224, or two standard deviations of the rule.",
    )
    d: float | None = Field(
        None,
        ge=0,
        le=2,
        description="Largest change of d; null: 0.05, or two standard deviations of the rule, and at most a twentieth "
        "of the blocks of the baseline.",
    )
    stages: bool = Field(
        _BUDGET.stages,
        description="Whether stages may have slightly different widths, within the rounding of one width.",
    )


class BudgetSpec(RequestModel, frozen=True):
    """How exactly the target must be met."""

    mode: Mode = Field(
        _BUDGET.mode, description="`nearest`: as close to the target as possible. `at_most`: never above it."
    )
    tolerance: float | None = Field(
        _BUDGET.tolerance,
        ge=0,
        le=0.5,
        description="Accepted relative error; null: keep r and d of the rule exactly and solve the width only.",
    )

    movement: MovementSpec = Field(
        MovementSpec(), description="How far the network may move from the multipliers of the rule."
    )

    def to_budget(self) -> Budget:
        return Budget(self.mode, self.tolerance, self.movement.resolution, self.movement.d, self.movement.stages)


class TrainSpec(RequestModel):
    """How to train the recommended network. It is scaled for the number of classes of the data set."""

    dataset: Name = Field(description="Name of the data set.")
    recipe: RecipeOrPreset | None = Field(
        None, description="Recipe, or name of a preset; null: `quick`, for detection `detection-quick`."
    )
    seed: Seed = Field(0, description="Seed of the training.")
    when: Literal["missing"] = Field("missing", description="`missing`: a completed trial is not run again.")
    study: RowId | None = Field(None, description="Id of a study that the trial is added to.")
    priority: Priority = 0
    validate_only: bool = Field(False, description="Return an `estimate` of the training without starting it.")


class ScaleOptions(BaselineInputs):
    """Options of scaling besides architecture and target."""

    study: RowId | None = Field(
        None,
        description="Id of a study whose newest predictor answers; neither it nor `predictor`: the active one. Without "
        "`dataset` or `num_classes`, the classes and channels of the study's data set are counted.",
    )
    predictor: PredictorId | None = Field(
        None, description="Id of a predictor; null: the active predictor of the architecture."
    )
    version: int | None = Field(
        None, ge=1, le=2**31 - 1, description="Another version for the architecture and data set of the predictor."
    )
    constraints: ConstraintsSpec = Field(ConstraintsSpec(), description="Constraints on the network.")
    budget: BudgetSpec = Field(BudgetSpec(), description="How exactly the target must be met.")

    @model_validator(mode="after")
    def _check_one_source(self) -> Self:
        if self.study is not None and (self.predictor is not None or self.version is not None):
            raise ValueError("specify either study, or predictor and version")
        return self

    def to_query(self, architecture: Architecture) -> PredictorQuery:
        """Return the query for the predictor."""
        return PredictorQuery(architecture.name, self.dataset, self.predictor, self.version, self.study)

    def counted_dataset(self, predictor: ResolvedPredictor) -> str | None:
        """Return the data set whose classes and channels are counted; None: those of the request or the baseline."""
        if self.dataset is None and self.study is not None and self.num_classes is None:
            return predictor.dataset
        return self.dataset

    def _request(
        self,
        architecture: Architecture,
        rule: RequestedRule,
        target: Target | None,
        manual: ManualMultipliers | None = None,
    ) -> RecommendationRequest:
        amount, unit = (None, FLOPS) if target is None else target.resolve(architecture)
        return RecommendationRequest(
            architecture,
            rule,
            amount,
            None if manual is None else manual.to_manual(),
            self.constraints.to_constraints(architecture.baseline.resolution, unit.precision),
            self.budget.to_budget(),
            unit,
        )


class ScaleRequest(ScaleOptions):
    """Scale a baseline to a target."""

    architecture: ArchitectureRef
    target: Target | None = Field(None, description="Required unless the rule is `manual` with r, d and w.")
    rule: RequestedRule = Field(
        DEFAULT_RULE,
        description="Rule that turns the target into r and d. `auto`: the best that the predictor of the architecture "
        "supports, else `dwr`, the best that needs no data.",
    )
    multipliers: ManualMultipliers | None = Field(None, description="Multipliers of the rule `manual`; required by it.")
    train: TrainSpec | None = Field(None, description="Also train the network.")
    include: list[Literal["stages", "comparison"]] = Field(
        [],
        max_length=2,
        description="Parts to add to the response: `stages`, the cost by stage, and `comparison`, the networks of all "
        "rules for the target, as `POST /v1/compare` returns them.",
    )

    @model_validator(mode="after")
    def _check_consistency(self) -> ScaleRequest:
        if (self.rule == "manual") != (self.multipliers is not None):
            raise ValueError("multipliers are required by the rule manual and not allowed with other rules")
        whole = self.multipliers is not None and self.multipliers.w is not None
        if self.target is None and not whole:
            raise ValueError("a target is required, for example flops or ratio")
        if "comparison" in self.include and self.target is None:
            raise ValueError("a comparison requires a target")
        if self.include and self.train is not None:
            raise ValueError("include cannot be combined with train")
        if self.train is not None:
            if self.num_classes is not None or self.dataset not in (None, self.train.dataset):
                raise ValueError("dataset and num_classes have to be those of train")
            self.dataset = self.train.dataset
        return self

    def to_request(self, architecture: Architecture) -> RecommendationRequest:
        return self._request(architecture, self.rule, self.target, self.multipliers)

    def to_requests(self, architecture: Architecture) -> list[RecommendationRequest]:
        """Return the request, then those of the comparison."""
        compared = SOLVED_RULES if "comparison" in self.include else ()
        return [
            self.to_request(architecture),
            *(self._request(architecture, rule, self.target) for rule in compared),
        ]

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"architecture": "efficientnet_b0", "target": {"flops": 200_000_000}},
                {
                    "architecture": "efficientnet_b0",
                    "target": {"flops": 202_000_000},
                    "rule": "manual",
                    "multipliers": {"r": 0.84, "d": 1.1},
                    "budget": {"tolerance": None},
                },
                {
                    "architecture": "mobilenetv2_100",
                    "num_classes": 2,
                    "target": {"weights_bytes": 900_000, "precision": "int8"},
                    "constraints": {"max_activation_bytes": 320_000},
                    "budget": {"mode": "at_most"},
                },
            ]
        }
    )


class FamilyRequest(ScaleOptions):
    """Scale a baseline to several targets."""

    architecture: ArchitectureRef
    targets: list[Target] = Field(min_length=1, max_length=100, description="Targets of the networks.")
    rule: SolvedOrAuto = Field(
        DEFAULT_RULE, description="Rule that turns each target into r and d; `auto` as in `POST /v1/scale`."
    )

    def to_requests(self, architecture: Architecture) -> list[RecommendationRequest]:
        """Return one request per target."""
        return [self._request(architecture, self.rule, target) for target in self.targets]

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "architecture": "efficientnet_b0",
                    "targets": [{"ratio": c} for c in (0.873, 0.520, 0.258, 0.134, 0.063)],
                }
            ]
        }
    )


class CompareRequest(ScaleOptions):
    """Scale a baseline to one target by several rules."""

    architecture: ArchitectureRef
    target: Target = Field(description="The target of all rules.")
    rules: list[SolvedOrAuto] = Field(
        list(SOLVED_RULES), min_length=1, max_length=len(SOLVED_RULES) + 1, description="Rules to compare."
    )
    multipliers: ManualMultipliers | None = Field(None, description="Adds the rule `manual` with these multipliers.")

    def to_requests(self, architecture: Architecture) -> list[RecommendationRequest]:
        """Return one request per rule, `manual` last."""
        requests = [self._request(architecture, rule, self.target) for rule in dict.fromkeys(self.rules)]
        if self.multipliers is not None:
            requests.append(self._request(architecture, "manual", self.target, self.multipliers))
        return requests


class SolvedMultipliers(ResponseModel):
    """The multipliers of a recommended network."""

    r: float = Field(description="Resolution multiplier.")
    d: float = Field(description="Depth multiplier.")
    w: float = Field(description="Width multiplier.")
    r_sd: float | None = Field(description="Standard deviation of r by the rule; null if the rule has none.")
    d_sd: float | None = Field(description="Standard deviation of d by the rule; null if the rule has none.")
    w_interval: tuple[float, float] | None = Field(description="All widths in this interval give the same network.")
    w_stages: tuple[float, ...] | None = Field(
        description="Width of each stage, then of the head, if they differ; `w` is then an average."
    )


class Displacement(ResponseModel):
    """How far the network has moved from the multipliers of the rule."""

    resolution: Resolution = Field(
        description="Change of the side in pixels, or of height and width, from the largest input that costs as much "
        "as the rule's."
    )
    r: float = Field(description="Change of r.")
    d: float = Field(description="Change of d.")
    blocks: int = Field(description="Blocks added, over all stages; negative: removed.")
    w: float | None = Field(description="Change of w; null if the rule leaves the width to be solved.")


class PredictedAccuracy(ResponseModel):
    """The predicted accuracy of a network."""

    mean: float = Field(description="Predicted accuracy from 0 to 1.")
    sd: float = Field(description="Standard deviation of the prediction.")
    dataset: str = Field(description="Data set that the prediction is for.")


class PredictorRef(ResponseModel):
    """The predictor behind a recommendation."""

    id: str = Field(description="Id of the version.")
    version: int = Field(description="Number of the version.")
    dataset: str = Field(description="Data set of its observations.")
    study_id: str | None = Field(
        description="Id of the study that it was fitted on; null if it is built in or that study was deleted."
    )
    observations: int = Field(description="Number of networks that it was fitted on.")
    provenance: str = Field(description="Where its observations come from.")


class WarningItem(ResponseModel):
    """A warning about a recommendation."""

    code: str = Field(
        description="Type of the warning: `extrapolated`, `transferred`, `no_skill`, `budget_missed`, `below_budget`, "
        "`better_observed`, `off_curve`, `moved_for_constraint` or `search_truncated`."
    )
    detail: str = Field(description="What the warning means for this network.")


class ScaleResponse(ResponseModel):
    """A recommended network."""

    architecture: str = Field(description="Name of the baseline.")
    num_classes: int = Field(description="Number of classes that was counted.")
    in_chans: int = Field(description="Number of channels of the input that was counted.")
    rule: str = Field(description="The rule that was applied; with `auto`, the rule that it took.")
    rule_reason: str | None = Field(description="Why `auto` took this rule; null if the request named it.")
    target: TargetJson | None = Field(description="The target in its unit; null without a target.")
    target_flops: int | None = Field(description="The target in FLOPs; null for a target in another unit.")
    multipliers: SolvedMultipliers = Field(description="The multipliers of the network.")
    moved: Displacement | None = Field(description="Null if the multipliers were given in the request.")
    config: ConfigJson = Field(description="The network; sufficient to build it.")
    cost: CostSummary = Field(description="The cost of one image.")
    budget_error: float | None = Field(description="Relative error (cost - target) / target; null without a target.")
    predicted_accuracy: PredictedAccuracy | None = Field(description="Null without an accuracy model.")
    predictor: PredictorRef | None = Field(description="The predictor that was used; null if the rule needs none.")
    warnings: list[WarningItem] = Field(description="Reasons for caution.")
    search_truncated: bool = Field(
        False, description="Whether the search reached its limit of work; a nearer network may exist."
    )
    trial: TrialJson | None = Field(None, description="The trial that trains the network (`train`).")
    estimate: EstimateItem | None = Field(
        None, description="Estimated duration of the training (`train.validate_only`)."
    )
    stages: list[StageCost] | None = Field(None, description="Cost by stage, with stem and head (`include`).")
    comparison: list[ComparedRuleItem] | None = Field(
        None, description="The networks of all rules for the target, by rule (`include`)."
    )

    @classmethod
    def including(cls, outcomes: Sequence[RuleOutcome], include: Collection[str]) -> ScaleResponse:
        """Return the response for the first outcome, with the parts to include; the other outcomes are compared.

        Raises: the error of the first outcome.
        """
        result = outcomes[0].unwrap()
        answer = cls.of(result)
        if "stages" in include:
            answer.stages = StageCost.of_config(result.recommendation.config)
        if "comparison" in include:
            answer.comparison = [ComparedRuleItem.of(outcome) for outcome in outcomes[1:]]
        return answer

    @classmethod
    def of(cls, result: ScalingResult) -> ScaleResponse:
        """Return the response, validated as a whole: a model for each part of it would take longer."""
        recommendation, predictor = result.recommendation, result.predictor
        m, rule_target, moved = recommendation.multipliers, recommendation.rule_target, recommendation.displacement
        config, accuracy = recommendation.config, recommendation.accuracy
        target, unit = recommendation.target, recommendation.unit
        return cls.model_validate(
            {
                "architecture": recommendation.architecture.name,
                "num_classes": config.num_classes,
                "in_chans": config.in_chans,
                "rule": recommendation.rule,
                "rule_reason": result.rule_reason,
                "target": None if target is None else target_json(target, unit),
                "target_flops": target if unit == FLOPS else None,
                "multipliers": {
                    "r": m.r,
                    "d": m.d,
                    "w": m.w,
                    "r_sd": rule_target.r_sd,
                    "d_sd": rule_target.d_sd,
                    "w_interval": recommendation.w_interval,
                    "w_stages": m.w_stages,
                },
                "moved": moved
                and {
                    "resolution": _change_of_sides(moved.origin, config.resolution),
                    "r": moved.px / mean_px(recommendation.architecture.baseline.resolution),
                    "d": moved.depth,
                    "blocks": moved.blocks,
                    "w": moved.w,
                },
                "config": config_json(config),
                "cost": recommendation.cost.to_json(),
                "budget_error": recommendation.budget_error,
                "predicted_accuracy": predictor
                and accuracy
                and {"mean": accuracy[0], "sd": accuracy[1], "dataset": predictor.dataset},
                "predictor": predictor
                and {
                    "id": predictor.id,
                    "version": predictor.version,
                    "dataset": predictor.dataset,
                    "study_id": predictor.study_id,
                    "observations": len(predictor.predictor.points),
                    "provenance": predictor.provenance,
                },
                "warnings": [{"code": w.code, "detail": w.detail} for w in recommendation.warnings],
                "search_truncated": recommendation.is_truncated,
            }
        )


def _change_of_sides(origin: Resolution, resolution: Resolution) -> int | tuple[int, int]:
    if isinstance(origin, int) and isinstance(resolution, int):
        return resolution - origin
    before, after = sides_of(origin), sides_of(resolution)
    return after[0] - before[0], after[1] - before[1]


class FamilyResponse(ResponseModel):
    """One network per target."""

    num_classes: int = Field(description="Number of classes that was counted.")
    in_chans: int = Field(description="Number of channels of the input that was counted.")
    items: list[ScaleResponse] = Field(description="The networks, in the order of the targets.")


class ComparedRuleItem(ResponseModel):
    """The network of one rule (`answer`), or the reason that the rule gives no network (`problem`)."""

    rule: str = Field(description="Name of the rule.")
    answer: ScaleResponse | None = Field(description="The network of the rule; null if the rule gives no network.")
    problem: str | None = Field(description="Why there is no network; null if there is one.")

    @classmethod
    def of(cls, outcome: RuleOutcome) -> ComparedRuleItem:
        answer = None if outcome.result is None else ScaleResponse.of(outcome.result)
        return cls(rule=outcome.rule, answer=answer, problem=outcome.problem)


class CompareResponse(ResponseModel):
    """One network per rule."""

    num_classes: int = Field(description="Number of classes that was counted.")
    in_chans: int = Field(description="Number of channels of the input that was counted.")
    target: TargetJson = Field(description="The target in its unit.")
    target_flops: int | None = Field(description="The target in FLOPs; null for a target in another unit.")
    items: list[ComparedRuleItem] = Field(description="The networks, by rule.")
