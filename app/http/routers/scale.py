"""Routes of cost and scaling. Costs are computed without building the network."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from app.core.trials import TrialState
from app.data.builtin_datasets import BUILT_IN, Dataset
from app.http import openapi_examples
from app.http.auth import READ, check_scope, count_training
from app.http.dependencies import open_read, open_write
from app.http.idempotency import respond_once
from app.http.openapi import identifies
from app.http.problems import BUSY, RESPONSES
from app.http.route import ComputeRoute, respond_with
from app.http.schemas.architectures import BaselineInputs, resolve_architecture
from app.http.schemas.cost import CostRequest, CostResponse
from app.http.schemas.scale import (
    ComparedRuleItem,
    CompareRequest,
    CompareResponse,
    FamilyRequest,
    FamilyResponse,
    ScaleRequest,
    ScaleResponse,
    TrainSpec,
)
from app.http.schemas.targets import target_json
from app.http.schemas.trials import EstimateItem, TrialItem
from app.http.solving import solve, until_disconnect
from app.scaling.cost.budget_unit import FLOPS
from app.scaling.network import Architecture
from app.scaling.rules.batch import RecommendationRequest, scale_network
from app.services import recommendations
from app.services.catalog import architectures, datasets
from app.services.predictors.lookup_cache import CatalogCache
from app.services.predictors.store import ResolvedPredictor
from app.services.recommendations import ScalingResult
from app.services.trials import requests, sources

router = APIRouter(prefix="/v1", tags=["scale"], responses=RESPONSES, route_class=ComputeRoute)


@router.post("/cost", summary="Compute the cost of a network", openapi_extra=openapi_examples.COST, dependencies=[READ])
def cost(body: CostRequest, request: Request) -> CostResponse:
    """Compute FLOPs, parameters, activations and peak memory of a network, in total and by stage.

    `counters` has the FLOPs by the common counting conventions.
    """
    if body.config is not None:
        return CostResponse.of_config(body.config.to_config("/config"))
    assert body.architecture is not None
    catalog = _catalog(request)
    architecture = resolve_architecture(body.architecture, catalog.architecture)
    architecture = _adapt(architecture, body, catalog, body.dataset)
    return CostResponse.of_config(scale_network(architecture, body.to_multipliers()))


@router.post(
    "/scale",
    summary="Scale a baseline to a budget",
    response_model=ScaleResponse,
    responses={
        202: {
            "model": ScaleResponse,
            "description": "The network is being trained; `Location` is its trial.",
            **identifies("trials", "/trial/id"),
        },
        **BUSY,
    },
    openapi_extra=openapi_examples.SCALE,
    dependencies=[READ],
)
async def scale(body: ScaleRequest, request: Request) -> ScaleResponse | Response:
    """Find the resolution, depth and width for a budget, and return the network.

    With `train` the network is also trained, which requires an API key with scope `train`. `include` adds the cost by
    stage and the comparison of rules.
    """
    catalog = _catalog(request)
    if body.train is not None:
        check_scope(request, "train")
        return await respond_once(request, partial(_start_training, body, body.train))
    answer = _scale_at_once(body, catalog)
    if answer is not None:
        return answer
    searches, predictor = await run_in_threadpool(_prepare, body, catalog)
    outcomes = await until_disconnect(request, solve(request, searches, predictor))
    return await run_in_threadpool(ScaleResponse.including, outcomes, body.include)


@router.post(
    "/scale/family",
    summary="Scale to several budgets",
    responses=BUSY,
    openapi_extra=openapi_examples.SCALE_FAMILY,
    dependencies=[READ],
)
async def scale_family(body: FamilyRequest, request: Request) -> FamilyResponse:
    """Find one network per target, for example TinyNet-A to E in one request."""
    searches, predictor = await run_in_threadpool(_prepare, body, _catalog(request))
    outcomes = await until_disconnect(request, solve(request, searches, predictor))
    base = searches[0].architecture.baseline
    items = await run_in_threadpool(lambda: [ScaleResponse.of(outcome.unwrap()) for outcome in outcomes])
    return FamilyResponse(num_classes=base.num_classes, in_chans=base.in_chans, items=items)


@router.post(
    "/compare",
    summary="Compare rules",
    responses=BUSY,
    openapi_extra=openapi_examples.COMPARE,
    dependencies=[READ],
)
async def compare(body: CompareRequest, request: Request) -> CompareResponse:
    """Scale to the same target by several rules. If a rule cannot reach it, `problem` says why."""
    searches, predictor = await run_in_threadpool(_prepare, body, _catalog(request))
    outcomes = await until_disconnect(request, solve(request, searches, predictor))
    architecture = searches[0].architecture
    target, unit = body.target.resolve(architecture)
    base = architecture.baseline
    items = await run_in_threadpool(lambda: [ComparedRuleItem.of(outcome) for outcome in outcomes])
    return CompareResponse(
        num_classes=base.num_classes,
        in_chans=base.in_chans,
        target=target_json(target, unit),
        target_flops=target if unit == FLOPS else None,
        items=items,
    )


def _adapt(
    architecture: Architecture, body: BaselineInputs, catalog: CatalogCache, dataset: str | None
) -> Architecture:
    """Return the baseline for the classes and channels of the request, or of the data set."""
    if dataset is None and body.are_default:
        return architecture
    if dataset is None:
        return recommendations.adapt(architecture, body.num_classes, body.in_chans)
    num_classes, in_chans = catalog.input_of(dataset)
    return recommendations.adapt(architecture, num_classes, body.in_chans or in_chans)


def _catalog(request: Request) -> CatalogCache:
    catalog: CatalogCache = request.app.state.catalog
    return catalog


def _scale_at_once(body: ScaleRequest, catalog: CatalogCache) -> ScaleResponse | None:
    """Return the response if it needs no database and little computation, so that no thread is needed."""
    if not isinstance(body.architecture, str) or body.include:
        return None
    architecture = catalog.get_cached_architecture(body.architecture)
    if architecture is None:
        return None
    predictor = catalog.get_cached_predictor(body.to_query(architecture))
    if predictor is None:
        return None
    dataset = body.counted_dataset(predictor)
    if not (dataset is None or dataset in BUILT_IN):
        return None
    request = body.to_request(_adapt(architecture, body, catalog, dataset))
    if not recommendations.is_immediate(request, predictor):
        return None
    return ScaleResponse.of(recommendations.recommend_network(request, predictor))


def _prepare(
    body: ScaleRequest | FamilyRequest | CompareRequest, catalog: CatalogCache
) -> tuple[list[RecommendationRequest], ResolvedPredictor]:
    """Return what is to be solved, and the predictor to use."""
    architecture = resolve_architecture(body.architecture, catalog.architecture)
    predictor = catalog.predictor(body.to_query(architecture))
    architecture = _adapt(architecture, body, catalog, body.counted_dataset(predictor))
    return body.to_requests(architecture), predictor


async def _start_training(body: ScaleRequest, train: TrainSpec, request: Request) -> Response:
    await count_training(request)
    searches, predictor, dataset = await run_in_threadpool(_prepare_training, body, train, request)
    outcomes = await solve(request, searches, predictor)
    return await run_in_threadpool(_train, outcomes[0].unwrap(), dataset, body, train, request)


def _prepare_training(
    body: ScaleRequest, train: TrainSpec, request: Request
) -> tuple[list[RecommendationRequest], ResolvedPredictor, Dataset]:
    catalog = _catalog(request)
    with open_read(request)() as work:
        dataset = datasets.find(work, train.dataset)
    architecture = resolve_architecture(body.architecture, catalog.architecture)
    architecture = recommendations.adapt(architecture, dataset.num_classes, body.in_chans or dataset.in_chans)
    return body.to_requests(architecture), catalog.predictor(body.to_query(architecture)), dataset


def _train(result: ScalingResult, dataset: Dataset, body: ScaleRequest, train: TrainSpec, request: Request) -> Response:
    answer, baseline = ScaleResponse.of(result), result.recommendation.architecture
    with open_write(request)(send=request.app.state.jobs.send) as work:
        recipe = sources.resolve_recipe(
            work, request.app.state.settings.data_dir, dataset, train.recipe, "/train/recipe", baseline.baseline,
            baseline.name,
        )  # fmt: skip
        if isinstance(body.architecture, str):
            architectures.require_trainable(work, _catalog(request).architecture(body.architecture))
        plan = recommendations.plan_training(result, dataset, recipe, train.seed)
        if train.validate_only:
            answer.estimate = EstimateItem.model_validate(requests.estimate(work, plan))
            return respond_with(answer)
        row = requests.submit(
            work, plan, study_id=train.study, request_id=request.state.request_id, priority=train.priority
        )
        retry_after = requests.retry_after_seconds(work, row)
    trial = TrialItem.model_validate(row)
    answer.trial = trial.model_dump(mode="json")
    if trial.state == TrialState.COMPLETED:
        return respond_with(answer)
    return respond_with(answer, 202, {"Location": f"/v1/trials/{trial.id}", "Retry-After": str(retry_after)})
