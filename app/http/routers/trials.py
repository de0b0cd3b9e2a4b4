"""Routes of trials."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import FileResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app.core.settings import Settings
from app.core.trials import TrialState
from app.db.pagination import Order
from app.db.tables import EventRow, TrialRow
from app.db.unit_of_work import UnitOfWork
from app.http import openapi_examples
from app.http.auth import COUNTS_AS_TRAINING, READ, TRAIN
from app.http.conditional import check_if_match
from app.http.deletion import DELETION, deletion_response
from app.http.dependencies import (
    Archived,
    CatalogDep,
    Cursor,
    DryRun,
    Force,
    Id,
    IdPrefix,
    IdQuery,
    IfMatch,
    Limit,
    NameQuery,
    ReadUow,
    RequestId,
    SettingsDep,
    WriteUow,
    example_path,
)
from app.http.openapi import identifies
from app.http.problems import RESPONSES, STALE
from app.http.route import ApiRoute
from app.http.schemas.architectures import config_json, resolve_architecture
from app.http.schemas.common import Page, ResourceUpdate, fields_in
from app.http.schemas.trials import EstimateItem, EstimateResponse, NewTrial, State, TrialDetail, TrialItem
from app.scaling.network import Config
from app.services import recommendations
from app.services.catalog import architectures, datasets
from app.services.predictors.lookup_cache import CatalogCache
from app.services.trials import artifacts, attempts, event_streams, requests, sources
from app.services.trials.artifacts import Artifact

router = APIRouter(prefix="/v1/trials", tags=["trials"], responses=RESPONSES, route_class=ApiRoute)

_MEDIA_TYPES = {
    Artifact.WEIGHTS: "application/octet-stream",
    Artifact.MODEL: "application/octet-stream",
    Artifact.LOG: "text/csv",
    Artifact.LABELS: "text/plain",
    Artifact.CONFUSION: "text/csv",
}

ArtifactName = Annotated[Artifact, example_path("log.csv")]


@router.post(
    "",
    status_code=202,
    summary="Train a network",
    responses={200: {"model": TrialDetail | EstimateResponse}, 202: identifies("trials", "/id")},
    openapi_extra=openapi_examples.TRIAL,
    dependencies=[TRAIN, COUNTS_AS_TRAINING],
)
def create_trial(
    body: NewTrial,
    work: WriteUow,
    catalog: CatalogDep,
    settings: SettingsDep,
    response: Response,
    request_id: RequestId,
) -> TrialDetail | EstimateResponse:
    """Queue a training. If the same trial is unfinished or completed, it is returned instead; with 200 if completed.

    With `validate_only` nothing is queued, and the response is an estimate.
    """
    plan = _plan(work, catalog, body, settings)
    if body.validate_only:
        response.status_code = 200
        return EstimateResponse(estimate=EstimateItem.model_validate(requests.estimate(work, plan)))
    trial = requests.submit(work, plan, study_id=body.study, request_id=request_id, priority=body.priority)
    response.headers["Location"] = f"/v1/trials/{trial.id}"
    if trial.state == TrialState.COMPLETED:
        response.status_code = 200
    else:
        response.headers["Retry-After"] = str(requests.retry_after_seconds(work, trial))
    return _detail(work, trial)


TrialSort = Annotated[
    Literal[
        "created_at", "-created_at", "accuracy", "-accuracy", "flops", "-flops", "state", "-state",
        "architecture", "-architecture",
    ],
    Query(
        description="Order of the list, decreasing with `-`. Trials of the same value are in the order of their "
        "creation; those without a result are last by `accuracy`. A cursor continues the order of its page only."
    ),
]  # fmt: skip


@router.get("", summary="List trials", responses={200: identifies("trials", "/items/0/id")}, dependencies=[READ])
def list_trials(
    work: ReadUow,
    limit: Limit = 50,
    cursor: Cursor = None,
    state: State | None = None,
    study: IdQuery = None,
    architecture: NameQuery = None,
    id_prefix: IdPrefix = None,
    archived: Archived = False,
    sort: TrialSort = "-created_at",
) -> Page[TrialItem]:
    """List the trials, newest first or as `sort` says; those of a study with the multipliers that they have in it.

    Archived ones are left out, unless `id_prefix` asks for them by their ids.
    """
    page = work.trials.page(
        limit,
        cursor,
        order=Order.parse(sort),
        state=state,
        study_id=study,
        architecture=architectures.present_name(work, architecture),
        id_prefix=id_prefix,
        archived=None if id_prefix and not archived else archived,
    )
    items = [TrialItem.model_validate(row) for row in page.items]
    in_study = work.studies.multipliers_of_trials(study, [item.id for item in items]) if study else {}
    for item in items:
        multipliers, ratio = in_study.get(item.id, (None, None))
        if multipliers and (item.multipliers is None or not multipliers.items() <= item.multipliers.items()):
            item.multipliers, item.ratio = multipliers, ratio
    return Page(items=items, next=page.next)


@router.get("/{id}", summary="Read a trial", dependencies=[READ])
def read_trial(id: Id, work: ReadUow) -> TrialDetail:
    """Read a trial with its state, progress and result."""
    return _detail(work, requests.find(work, id))


@router.post("/{id}/retry", status_code=202, summary="Retry a trial", dependencies=[TRAIN, COUNTS_AS_TRAINING])
def retry_trial(id: Id, work: WriteUow) -> TrialDetail:
    """Queue a failed or cancelled trial again. It resumes from its checkpoint, or restarts if it diverged.

    The response is 409 if the trial is in another state or an identical trial is unfinished or completed.
    """
    return _detail(work, requests.retry(work, id))


@router.post("/{id}/cancel", status_code=202, summary="Cancel a trial", dependencies=[TRAIN])
def cancel_trial(id: Id, work: WriteUow) -> TrialDetail:
    """Cancel a trial. A running one stops after its current batch and keeps its checkpoint."""
    return _detail(work, requests.cancel(work, id))


@router.patch(
    "/{id}", summary="Change a trial", responses=STALE, openapi_extra=openapi_examples.UPDATE, dependencies=[TRAIN]
)
def update_trial(id: Id, body: ResourceUpdate, work: WriteUow, if_match: IfMatch = None) -> TrialDetail:
    """Name, describe or archive a trial.

    Archived trials are left out of lists and are not retried. A training that has not ended goes on.
    """
    trial = requests.lock_own(work, id)
    check_if_match(_detail(work, trial), if_match)
    requests.update(work, trial, body.to_changes())
    return _detail(work, trial)


@router.delete("/{id}", summary="Delete a trial", dependencies=[TRAIN], **DELETION)
def delete_trial(
    id: Id, work: WriteUow, settings: SettingsDep, force: Force = False, dry_run: DryRun = False
) -> Response:
    """Delete a trial that has ended, with its observation and its files.

    Without `force` a trial is not deleted if it belongs to studies, or unfinished trials or studies use its weights;
    the problem lists them in `dependents`. If it is, those that use its weights fail.
    """
    deletion = requests.delete(work, id, force=force, dry_run=dry_run)
    if not dry_run:
        artifacts.delete_folder(settings.data_dir, id)
    return deletion_response(deletion, dry_run=dry_run)


@router.get(
    "/{id}/artifacts/{file}",
    summary="Download an artifact",
    response_class=FileResponse,
    responses={200: {"content": {"application/octet-stream": {}, "text/csv": {}}}},
    dependencies=[READ],
)
def read_artifact(id: Id, file: ArtifactName, work: ReadUow, settings: SettingsDep) -> FileResponse:
    """Download the weights (with the config as metadata), the ONNX model or the log of a completed trial."""
    stored = artifacts.find(work, settings.data_dir, id, file)
    headers = {"ETag": f'"{stored.sha256}"'} if stored.sha256 else None
    stat = stored.path.stat()
    return FileResponse(stored.path, headers=headers, media_type=_MEDIA_TYPES[file], filename=file, stat_result=stat)


def _stream_position(
    id: Id, work: ReadUow, last_event_id: Annotated[int, Header(ge=0, le=2**53)] = 0
) -> event_streams.StreamPosition:
    return event_streams.find_position(work, id, last_event_id)


@router.get(
    "/{id}/events",
    response_class=EventSourceResponse,
    summary="Follow a trial",
    dependencies=[READ],
)
async def follow_trial(
    request: Request, position: Annotated[event_streams.StreamPosition, Depends(_stream_position)]
) -> AsyncIterator[ServerSentEvent]:
    """Stream `state` and `progress` events from the start or after `Last-Event-ID`, until the trial has ended."""
    poller: event_streams.EventPoller = request.app.state.event_poller
    with poller.subscribe(position.trial_id, position.last, ended=position.ended) as events:
        while (event := await events.get()) is not None:
            yield ServerSentEvent(id=str(event.id), event=event.kind, data=_data(event))


def _detail(work: UnitOfWork, trial: TrialRow) -> TrialDetail:
    config = config_json(Config.from_json(trial.config))
    changed = {
        "attempts": attempts.list_attempts(work.events.state_changes(trial.id)),
        "config": config,
        "studies": work.studies.ids_training(trial.id),
    }
    return TrialDetail.model_validate({**fields_in(trial, TrialDetail), **changed})


def _data(event: EventRow) -> dict[str, Any]:
    return {**event.data, "at": event.created_at.isoformat()}


def _plan(work: UnitOfWork, catalog: CatalogCache, body: NewTrial, settings: Settings) -> requests.TrialPlan:
    dataset = datasets.find(work, body.dataset)
    resolve_recipe = partial(sources.resolve_recipe, work, settings.data_dir, dataset, body.recipe, "/recipe")
    if body.config is not None:
        config = body.config.to_config("/config")
        return requests.TrialPlan(body.config.family, config, dataset, resolve_recipe(config), body.seed)
    assert body.architecture is not None
    architecture = resolve_architecture(body.architecture, catalog.architecture)
    recipe = resolve_recipe(architecture.baseline, architecture.name)
    if isinstance(body.architecture, str):
        architectures.require_trainable(work, architecture)
    architecture = architecture.adapt(dataset.num_classes, dataset.in_chans)
    return recommendations.plan_training_at(architecture, body.to_multipliers(), dataset, recipe, body.seed)
