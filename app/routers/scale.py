"""Cost, scale, and rules side by side: answered from arithmetic, no network is built."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from app.callers import allow, count_training
from app.datasets import Dataset
from app.deps import Known, writing
from app.problems import RESPONSES
from app.recipes import recipe_for
from app.safe_routes import SafeRoute
from app.scaling import families
from app.scaling.architecture import Architecture, Config, Multipliers
from app.scaling.errors import ScalingError
from app.scaling.recommend import Recommendation, Rule, at_multipliers, flops_of, recommend
from app.scaling.rules import Wanted
from app.schemas.architectures import ArchitectureRef, pointing_below
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
from app.schemas.trials import EstimateItem, TrialItem
from app.services import datasets, trials
from app.services.catalogue import Catalogue
from app.services.catalogue import Wanted as PredictorWanted
from app.services.predictors import Chosen

router = APIRouter(prefix="/v1", tags=["scale"], responses=RESPONSES, route_class=SafeRoute)


@router.post("/cost", summary="Exact cost of a network")
def cost(body: NetworkRef, known: Known) -> CostAnswer:
    """Multiply-adds, fvcore's total by operator, parameters, activations and peak memory, in all and by stage.

    With the usual counters side by side, since FLOPs are counted in many ways.
    """
    if body.config is not None:
        return CostAnswer.of_config(body.config.to_config("/config"))
    config = scaled(resolved(known, body.architecture), body.wanted())
    return CostAnswer.of_config(config)


@router.post(
    "/scale",
    summary="Scale a baseline to a budget",
    responses={202: {"model": ScaleAnswer, "description": "The network is being trained: see `Location`."}},
)
async def scale(body: ScaleRequest, request: Request, response: Response) -> ScaleAnswer:
    """The best resolution, depth and width for a budget, and the very network. With `train` it is trained as well.

    That needs a key of scope `train`.
    """
    known: Catalogue = request.app.state.catalogue
    if body.train is not None:
        await allow(request, "train")
        await count_training(request)
        return await run_in_threadpool(_scale_and_train, body, body.train, request, response)
    at_once = isinstance(body.architecture, str) and body.budget.quickly_met
    architecture = known.architecture_in_memory(body.architecture) if at_once else None
    chosen = None if architecture is None else known.predictor_in_memory(_wanted(architecture, body))
    if architecture is None or chosen is None or not _near(chosen, architecture, body.target):
        return await run_in_threadpool(_scale, body, known)
    return _answered(architecture, body.target, body.rule, body, chosen, body.multipliers)[0]


@router.post("/scale/family", summary="Scale to several budgets")
def scale_family(body: FamilyRequest, known: Known) -> FamilyAnswer:
    """One network a target: TinyNet-A to E in one call."""
    architecture = resolved(known, body.architecture)
    chosen = known.predictor(_wanted(architecture, body))
    return FamilyAnswer(items=[_answered(architecture, t, body.rule, body, chosen)[0] for t in body.targets])


@router.post("/compare", summary="Rules side by side")
def compare(body: CompareRequest, known: Known) -> CompareAnswer:
    """The same target by several rules; a rule that cannot reach it says why."""
    architecture = resolved(known, body.architecture)
    rules: list[Rule] = [*dict.fromkeys(body.rules)]
    if body.multipliers is not None:
        rules.append("manual")
    chosen = known.predictor(_wanted(architecture, body))
    items = [_compared(chosen, architecture, rule, body) for rule in rules]
    return CompareAnswer(target_flops=body.target.in_flops(flops_of(architecture)), items=items)


def resolved(known: Catalogue, given: ArchitectureRef | None) -> Architecture:
    """The architecture that a request names or brings along, checked.

    Raises: NotFound, InvalidNetwork.
    """
    if isinstance(given, str):
        return known.architecture(given)
    assert given is not None
    return given.to_architecture("/architecture")


def scaled(architecture: Architecture, multipliers: Multipliers) -> Config:
    """The network at the multipliers that a request gives, checked.

    Raises: InvalidNetwork.
    """
    with pointing_below("/multipliers"):
        config = architecture.scaled(multipliers)
        families.check(config)
    return config


def _near(chosen: Chosen, architecture: Architecture, target: Target | None) -> bool:
    """Whether the predictor is sure enough of r and d there that few px and depths have to be looked at."""
    if target is None:
        return True
    whole, (least, most) = flops_of(architecture), chosen.predictor.range
    return least / 2 <= target.in_flops(whole) / whole <= 2 * most


def _scale(body: ScaleRequest, known: Catalogue) -> ScaleAnswer:
    architecture = resolved(known, body.architecture)
    chosen = known.predictor(_wanted(architecture, body))
    return _answered(architecture, body.target, body.rule, body, chosen, body.multipliers)[0]


def _scale_and_train(body: ScaleRequest, train: TrainSpec, request: Request, response: Response) -> ScaleAnswer:
    known: Catalogue = request.app.state.catalogue
    with writing(request)() as work:
        dataset = datasets.find(work, train.dataset)
    architecture = resolved(known, body.architecture).for_classes(dataset.num_classes)
    chosen = known.predictor(_wanted(architecture, body, dataset.name))
    answer, found = _answered(architecture, body.target, body.rule, body, chosen, body.multipliers)
    plan = _plan(dataset, found, answer, train)
    with writing(request)() as work:
        if train.validate_only:
            answer.estimate = EstimateItem.model_validate(trials.estimate(work, plan))
            return answer
        row = trials.request(
            work, plan, study_id=train.study, request_id=request.state.request_id, priority=train.priority
        )
        work.commit()
        look_again = trials.look_again(work, row)
    trial = TrialItem.model_validate(row)
    answer.trial = trial.model_dump(mode="json")
    if trial.state != "completed":
        response.status_code = 202
        response.headers["Location"] = f"/v1/trials/{trial.id}"
        response.headers["Retry-After"] = str(look_again)
    return answer


def _wanted(architecture: Architecture, options: ScaleOptions, dataset: str | None = None) -> PredictorWanted:
    return PredictorWanted(architecture.name, dataset, options.predictor, options.version)


def _answered(
    architecture: Architecture,
    target: Target | None,
    rule: Rule,
    options: ScaleOptions,
    chosen: Chosen,
    manual: ManualMultipliers | None = None,
) -> tuple[ScaleAnswer, Recommendation]:
    wanted_flops = None if target is None else target.in_flops(flops_of(architecture))
    if manual is not None and manual.w is not None:
        w_stages = None if manual.w_stages is None else tuple(manual.w_stages)
        multipliers = Multipliers(manual.r, manual.d, manual.w, w_stages)
        scaled(architecture, multipliers)
        found = at_multipliers(
            architecture,
            multipliers,
            wanted_flops,
            predictor=chosen.predictor,
            transferred_from=chosen.transferred_from,
        )
        return _told(found, chosen), found
    assert wanted_flops is not None
    found = recommend(
        architecture,
        wanted_flops,
        rule,
        predictor=chosen.predictor,
        manual=None if manual is None else Wanted(manual.r, manual.d),
        constraints=options.constraints.to_constraints(architecture.baseline.resolution),
        budget=options.budget.to_budget(),
        transferred_from=chosen.transferred_from,
    )
    return _told(found, chosen), found


def _told(found: Recommendation, chosen: Chosen) -> ScaleAnswer:
    """The answer; it names the predictor where that had a say in it."""
    if found.accuracy is None and found.rule not in ("tiny_formula", "surrogate"):
        return ScaleAnswer.of(found, None, None)
    reference = PredictorRef(
        id=chosen.id,
        version=chosen.version,
        observations=len(chosen.predictor.points),
        provenance=chosen.provenance,
    )
    accuracy = None
    if found.accuracy is not None:
        accuracy = PredictedAccuracy(mean=found.accuracy[0], sd=found.accuracy[1], dataset=chosen.dataset)
    return ScaleAnswer.of(found, reference, accuracy)


def _compared(chosen: Chosen, architecture: Architecture, rule: Rule, body: CompareRequest) -> ComparedRule:
    try:
        manual = body.multipliers if rule == "manual" else None
        answer, _ = _answered(architecture, body.target, rule, body, chosen, manual)
    except ScalingError as error:
        return ComparedRule(rule=rule, answer=None, problem=str(error))
    return ComparedRule(rule=rule, answer=answer, problem=None)


def _plan(dataset: Dataset, found: Recommendation, answer: ScaleAnswer, train: TrainSpec) -> trials.Plan:
    accuracy = answer.predicted_accuracy
    predicted = None
    if accuracy is not None and accuracy.dataset == train.dataset and answer.predictor is not None:
        predicted = {"mean": accuracy.mean, "sd": accuracy.sd, "predictor": answer.predictor.id}
    return trials.Plan(
        architecture=found.architecture.name,
        config=found.config,
        dataset=dataset,
        recipe=recipe_for(dataset.task, train.recipe, "/train/recipe"),
        seed=train.seed,
        multipliers=found.multipliers,
        baseline_flops=flops_of(found.architecture),
        predicted=predicted,
    )
