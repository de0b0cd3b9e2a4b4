"""The main call: a target in, multipliers and a network out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from app.scaling.constraints import Constraints
from app.scaling.recommend import RULES, Budget, Recommendation, Rule, SolvedRule
from app.scaling.width_solver import CLOSE
from app.schemas.architectures import ArchitectureRef, config_json
from app.schemas.common import Answer, Body, Flops, Multiplier, Name, Priority, Ratio, RecipeOrPreset, RowId, Seed
from app.schemas.cost import AsAnswered, CostSummary
from app.schemas.trials import EstimateItem

PredictorId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.\-]{0,239}$")]


class Target(Body):
    """A budget: flops, or their ratio to the baseline's."""

    flops: Flops | None = None
    ratio: Ratio | None = None

    @model_validator(mode="after")
    def _one(self) -> Target:
        if (self.flops is None) == (self.ratio is None):
            raise ValueError("give either flops or ratio")
        return self

    def in_flops(self, baseline: int) -> int:
        return self.flops if self.flops is not None else max(1, round((self.ratio or 0) * baseline))


class ManualMultipliers(AsAnswered):
    r: Multiplier
    d: Multiplier
    w: Multiplier | None = Field(None, description="None: solved to the target.")


class ResolutionConstraint(Body):
    """The input's side in px."""

    multiple_of: int = Field(1, ge=1, le=256)
    min: int = Field(32, ge=8, le=1024)
    max: int = Field(512, ge=8, le=1024)
    fixed: int | None = Field(None, ge=8, le=1024)

    @model_validator(mode="after")
    def _possible(self) -> ResolutionConstraint:
        if self.fixed is None and self.max // self.multiple_of * self.multiple_of < self.min:
            raise ValueError("no px between min and max is a multiple of multiple_of")
        return self


class ConstraintsSpec(Body):
    resolution: ResolutionConstraint = ResolutionConstraint()
    max_params: int | None = Field(None, ge=1, le=10**12)
    max_activation_bytes: int | None = Field(
        None, ge=1, le=10**13, description="Of `peak_activation_bytes`: float32, one image."
    )
    channel_divisor: int | None = Field(
        None,
        ge=1,
        le=256,
        description="Divides the outputs of stem, stages and head; inner channels follow.",
    )

    def to_constraints(self, baseline_px: int) -> Constraints:
        """Bounds that were not given make room for small baselines and large ones."""
        px = self.resolution
        given = px.model_fields_set
        return Constraints(
            multiple_of=px.multiple_of,
            min_resolution=px.min if "min" in given else min(px.min, max(8, baseline_px // 4)),
            max_resolution=px.max if "max" in given else max(px.max, min(1024, 2 * baseline_px)),
            fixed_resolution=px.fixed,
            max_params=self.max_params,
            max_activation_bytes=self.max_activation_bytes,
            channel_divisor=self.channel_divisor,
        )


class MovementSpec(Body):
    """How far the network may be from what the rule says, so that it meets the budget: as little as it takes.

    Of all input sizes and repeats within it the 2,048 nearest are looked at.
    """

    resolution: int | None = Field(
        None, ge=0, le=512, description="In px. None: 8 of 224, in proportion, or the rule's two standard deviations."
    )
    d: float | None = Field(None, ge=0, le=2, description="None: .05, or the rule's two standard deviations.")
    stages: bool = Field(True, description="Stages may step a few channels apart, within rounding of one width.")


class BudgetSpec(Body):
    mode: Literal["nearest", "at_most"] = Field("nearest", description="`at_most`: never above the target.")
    tolerance: float | None = Field(
        0.005,
        ge=0,
        le=0.5,
        description="Relative. None: the rule's r and d are kept exactly and the width alone is solved.",
    )

    movement: MovementSpec = MovementSpec()

    @property
    def quickly_met(self) -> bool:
        """Whether few places have to be looked at."""
        near = self.movement.resolution is None and self.movement.d is None
        return near and (self.tolerance is None or self.tolerance >= CLOSE)

    def to_budget(self) -> Budget:
        return Budget(self.mode, self.tolerance, self.movement.resolution, self.movement.d, self.movement.stages)


class TrainSpec(Body):
    """Train the network found. The baseline's classifier takes the data set's number of classes first."""

    dataset: Name
    recipe: RecipeOrPreset | None = Field(None, description="None: `quick`, or `detection-quick` to detect.")
    seed: Seed = 0
    when: Literal["missing"] = Field("missing", description="A trial that ran already is answered from, not run again.")
    study: RowId | None = Field(None, description="Count the trial as this study's.")
    priority: Priority = 0
    validate_only: bool = Field(False, description="Say what the training would take (`estimate`), and start nothing.")


class ScaleOptions(Body):
    """What scaling takes besides architecture and target."""

    predictor: PredictorId | None = Field(None, description="None: the architecture's active one.")
    version: int | None = Field(
        None, ge=1, le=2**31 - 1, description="Another version of that predictor's architecture and data set."
    )
    constraints: ConstraintsSpec = ConstraintsSpec()
    budget: BudgetSpec = BudgetSpec()


class ScaleRequest(ScaleOptions):
    architecture: ArchitectureRef
    target: Target | None = Field(None, description="Needed, but for `manual` with all three multipliers.")
    rule: Rule = "tiny_formula"
    multipliers: ManualMultipliers | None = Field(None, description="For the rule `manual`.")
    train: TrainSpec | None = None

    @model_validator(mode="after")
    def _consistent(self) -> ScaleRequest:
        if (self.rule == "manual") != (self.multipliers is not None):
            raise ValueError("`multipliers` belong to the rule `manual`, and it needs them")
        whole = self.multipliers is not None and self.multipliers.w is not None
        if self.target is None and not whole:
            raise ValueError("a target is needed: flops or ratio")
        return self

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
            ]
        }
    )


class FamilyRequest(ScaleOptions):
    architecture: ArchitectureRef
    targets: list[Target] = Field(min_length=1, max_length=100)
    rule: SolvedRule = "tiny_formula"

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
    architecture: ArchitectureRef
    target: Target
    rules: list[SolvedRule] = Field(list(RULES), min_length=1, max_length=len(RULES))
    multipliers: ManualMultipliers | None = Field(
        None, description="Puts `manual` beside the rules: r and d, w solved."
    )


class FoundMultipliers(Answer):
    """The network's multipliers; the rule's own uncertainty, and all widths that give this very network."""

    r: float
    d: float
    w: float
    r_sd: float | None
    d_sd: float | None
    w_interval: tuple[float, float] | None
    w_stages: tuple[float, ...] | None = Field(
        description="Where stages have stepped apart: their widths, the head's last. `w` is about theirs."
    )


class MovedBy(Answer):
    """How far the network is from what the rule said."""

    resolution: int = Field(description="In px.")
    r: float
    d: float


class PredictedAccuracy(Answer):
    mean: float
    sd: float
    dataset: str


class PredictorRef(Answer):
    id: str
    version: int
    observations: int
    provenance: str


class WarningItem(Answer):
    code: str
    detail: str


class ScaleAnswer(Answer):
    architecture: str
    rule: str
    target_flops: int | None
    multipliers: FoundMultipliers
    moved: MovedBy | None = Field(description="None where nothing was solved.")
    config: dict[str, Any]
    cost: CostSummary
    budget_error: float | None = Field(description="Signed: (flops - target) / target.")
    predicted_accuracy: PredictedAccuracy | None
    predictor: PredictorRef | None
    warnings: list[WarningItem]
    trial: dict[str, Any] | None = None
    estimate: EstimateItem | None = Field(None, description="What the training would take (`train.validate_only`).")

    @classmethod
    def of(
        cls, found: Recommendation, predictor: PredictorRef | None, accuracy: PredictedAccuracy | None
    ) -> ScaleAnswer:
        m, wanted = found.multipliers, found.wanted
        return cls(
            architecture=found.architecture.name,
            rule=found.rule,
            target_flops=found.target,
            multipliers=FoundMultipliers(
                r=m.r,
                d=m.d,
                w=m.w,
                r_sd=wanted.r_sd,
                d_sd=wanted.d_sd,
                w_interval=found.w_interval,
                w_stages=m.w_stages,
            ),
            moved=None
            if found.moved is None
            else MovedBy(
                resolution=found.moved.px,
                r=found.moved.px / found.architecture.baseline.resolution,
                d=found.moved.depth,
            ),
            config=config_json(found.config),
            cost=CostSummary.of(found.cost),
            budget_error=found.budget_error,
            predicted_accuracy=accuracy,
            predictor=predictor,
            warnings=[WarningItem(code=w.code, detail=w.detail) for w in found.warnings],
        )


class FamilyAnswer(Answer):
    items: list[ScaleAnswer]


class ComparedRule(Answer):
    """One rule's answer, or why it has none."""

    rule: str
    answer: ScaleAnswer | None
    problem: str | None


class CompareAnswer(Answer):
    target_flops: int
    items: list[ComparedRule]
