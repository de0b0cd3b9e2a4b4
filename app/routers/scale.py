"""Cost, scale, and rules side by side: answered from arithmetic, no network is built."""

from __future__ import annotations

from fastapi import APIRouter, Response

from app.datasets import Dataset
from app.db.unit_of_work import UnitOfWork
from app.deps import Look, RequestId, Writing
from app.problems import RESPONSES
from app.scaling import families
from app.scaling.architecture import Architecture, Multipliers
from app.scaling.errors import ScalingError
from app.scaling.recommend import Recommendation, Rule, at_multipliers, flops_of, recommend
from app.scaling.rules import Wanted
from app.schemas.architectures import ArchitectureRef
from app.schemas.common import recipe_of
from app.schemas.cost import CostAnswer, NetworkRef
from app.schemas.scale import (
    CompareAnswer,
    ComparedRule,
    CompareRequest,
    FamilyAnswer,
    FamilyRequest,
    ManualMultipliers,
    PredictedAccuracy,
    PredictorRef,
    ScaleAnswer,
    ScaleOptions,
    ScaleRequest,
    Target,
    TrainSpec,
)
from app.schemas.trials import TrialItem
from app.services import architectures, datasets, predictors, trials

router = APIRouter(prefix="/v1", tags=["scale"], responses=RESPONSES)


@router.post("/cost", summary="Exact cost of a network")
def cost(body: NetworkRef, work: Look) -> CostAnswer:
    """Multiply-adds, fvcore's total by operator, parameters, activations and peak memory, in all and by stage."""
    if body.config is not None:
        config = body.config.to_config()
    else:
        config = resolved(work, body.architecture).scaled(body.wanted())
    families.check(config)
    return CostAnswer.of_config(config)


@router.post(
    "/scale",
    summary="Scale a baseline to a budget",
    responses={202: {"model": ScaleAnswer, "description": "The network is being trained: see `Location`."}},
)
def scale(body: ScaleRequest, work: Look, writing: Writing, response: Response, request_id: RequestId) -> ScaleAnswer:
    """The best resolution, depth and width for a budget, and the very network. With `train` it is trained as well."""
    architecture = resolved(work, body.architecture)
    dataset = None
    if body.train is not None:
        dataset = datasets.find(work, body.train.dataset)
        architecture = architecture.for_classes(dataset.num_classes)
    answer, found = _answered(
        work, architecture, body.target, body.rule, body, body.multipliers, dataset.name if dataset else None
    )
    if body.train is None or dataset is None:
        return answer
    trial = _train(writing, dataset, found, answer, body.train, request_id)
    answer.trial = trial.model_dump(mode="json")
    if trial.state != "completed":
        response.status_code = 202
        response.headers["Location"] = f"/v1/trials/{trial.id}"
        response.headers["Retry-After"] = "2"
    return answer


@router.post("/scale/family", summary="Scale to several budgets")
def scale_family(body: FamilyRequest, work: Look) -> FamilyAnswer:
    """One network a target: TinyNet-A to E in one call."""
    architecture = resolved(work, body.architecture)
    return FamilyAnswer(items=[_answered(work, architecture, t, body.rule, body)[0] for t in body.targets])


@router.post("/compare", summary="Rules side by side")
def compare(body: CompareRequest, work: Look) -> CompareAnswer:
    """The same target by several rules; a rule that cannot reach it says why."""
    architecture = resolved(work, body.architecture)
    items = [_compared(work, architecture, rule, body) for rule in dict.fromkeys(body.rules)]
    return CompareAnswer(target_flops=body.target.in_flops(flops_of(architecture)), items=items)


def resolved(work: UnitOfWork, given: ArchitectureRef | None) -> Architecture:
    """The architecture that a request names or brings along, checked.

    Raises: NotFound, InvalidNetwork.
    """
    if isinstance(given, str):
        return architectures.find(work, given)
    assert given is not None
    architecture = given.to_architecture()
    families.check(architecture.baseline)
    return architecture


def _answered(
    work: UnitOfWork,
    architecture: Architecture,
    target: Target | None,
    rule: Rule,
    options: ScaleOptions,
    manual: ManualMultipliers | None = None,
    dataset: str | None = None,
) -> tuple[ScaleAnswer, Recommendation]:
    wanted_flops = None if target is None else target.in_flops(flops_of(architecture))
    if manual is not None and manual.w is not None:
        found = at_multipliers(architecture, Multipliers(manual.r, manual.d, manual.w), wanted_flops)
        return ScaleAnswer.of(found, None, None), found
    assert wanted_flops is not None
    constraints = options.constraints.to_constraints(architecture.baseline.resolution)
    budget = options.budget.to_budget()
    if rule != "tiny_formula":
        wanted = Wanted(manual.r, manual.d) if manual else None
        found = recommend(architecture, wanted_flops, rule, manual=wanted, constraints=constraints, budget=budget)
        return ScaleAnswer.of(found, None, None), found
    chosen = predictors.choose(work, architecture.name, dataset, options.predictor)
    found = recommend(
        architecture,
        wanted_flops,
        rule,
        predictor=chosen.predictor,
        constraints=constraints,
        budget=budget,
        transferred_from=chosen.transferred_from,
    )
    row = chosen.row
    reference = PredictorRef(
        id=row.id, version=row.version, observations=len(chosen.predictor.points), provenance=row.provenance
    )
    accuracy = None
    if found.accuracy is not None:
        accuracy = PredictedAccuracy(mean=found.accuracy[0], sd=found.accuracy[1], dataset=row.dataset)
    return ScaleAnswer.of(found, reference, accuracy), found


def _compared(work: UnitOfWork, architecture: Architecture, rule: Rule, body: CompareRequest) -> ComparedRule:
    try:
        answer, _ = _answered(work, architecture, body.target, rule, body)
    except ScalingError as error:
        return ComparedRule(rule=rule, answer=None, problem=str(error))
    return ComparedRule(rule=rule, answer=answer, problem=None)


def _train(
    writing: Writing, dataset: Dataset, found: Recommendation, answer: ScaleAnswer, train: TrainSpec, request_id: str
) -> TrialItem:
    accuracy = answer.predicted_accuracy
    predicted = None
    if accuracy is not None and accuracy.dataset == train.dataset and answer.predictor is not None:
        predicted = {"mean": accuracy.mean, "sd": accuracy.sd, "predictor": answer.predictor.id}
    plan = trials.Plan(
        architecture=found.architecture.name,
        config=found.config,
        dataset=dataset,
        recipe=recipe_of(train.recipe),
        seed=train.seed,
        multipliers=found.multipliers,
        baseline_flops=flops_of(found.architecture),
        predicted=predicted,
    )
    with writing() as work:
        trial = trials.request(work, plan, study_id=train.study, request_id=request_id)
        work.commit()
    return TrialItem.model_validate(trial)
