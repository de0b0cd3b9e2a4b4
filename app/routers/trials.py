"""Train on demand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app import deps
from app.db.repositories import TERMINAL
from app.db.tables import EventRow, TrialRow
from app.db.unit_of_work import UnitOfWork
from app.deps import Cursor, Id, IdQuery, Known, Limit, Look, NameQuery, RequestId, Work
from app.problems import RESPONSES
from app.recipes import recipe_for
from app.routers.scale import resolved, scaled
from app.scaling.architecture import Config
from app.scaling.recommend import flops_of
from app.schemas.architectures import config_json
from app.schemas.common import Listed
from app.schemas.trials import Estimated, EstimateItem, NewTrial, State, TrialDetail, TrialItem
from app.services import artifacts, datasets, trials
from app.services.artifacts import Artifact
from app.services.catalogue import Catalogue

router = APIRouter(prefix="/v1/trials", tags=["trials"], responses=RESPONSES)

_LISTEN_EVERY = 0.3  # seconds between two looks for new events
_PING_AFTER = 50  # looks without an event before a comment keeps the connection open
_MEDIA_TYPES = {
    Artifact.WEIGHTS: "application/octet-stream",
    Artifact.MODEL: "application/octet-stream",
    Artifact.LOG: "text/csv",
}


@router.post("", status_code=202, summary="Train a network", responses={200: {"model": TrialDetail | Estimated}})
def create_trial(
    body: NewTrial, work: Work, known: Known, response: Response, request_id: RequestId
) -> TrialDetail | Estimated:
    """Enqueue the training; what runs already is joined, what has completed is answered with 200.

    With `validate_only` nothing is enqueued: 200, and what it would take.
    """
    if body.validate_only:
        response.status_code = 200
        estimate = trials.estimate(work, _plan(work, known, body))
        return Estimated(estimate=EstimateItem.model_validate(estimate))
    trial = trials.request(work, _plan(work, known, body), study_id=body.study, request_id=request_id)
    work.commit()
    response.headers["Location"] = f"/v1/trials/{trial.id}"
    if trial.state == "completed":
        response.status_code = 200
    else:
        response.headers["Retry-After"] = "2"
    return _detail(trial)


@router.get("", summary="List trials")
def list_trials(
    work: Look,
    limit: Limit = 50,
    cursor: Cursor = None,
    state: State | None = None,
    study: IdQuery = None,
    architecture: NameQuery = None,
) -> Listed[TrialItem]:
    """Newest first."""
    page = work.trials.page(limit, cursor, state=state, study_id=study, architecture=architecture)
    return Listed(items=[TrialItem.model_validate(row) for row in page.items], next=page.next)


@router.get("/{id}", summary="Read a trial")
def read_trial(id: Id, work: Look) -> TrialDetail:
    """Its state, how far it is, and, once it has completed, its result."""
    return _detail(trials.find(work, id))


@router.post("/{id}/cancel", status_code=202, summary="Cancel a trial")
def cancel_trial(id: Id, work: Work) -> TrialDetail:
    """A waiting trial is cancelled at once, a running one as soon as its worker hears of it."""
    trial = trials.cancel(work, id)
    work.session.refresh(trial)
    return _detail(trial)


@router.get(
    "/{id}/artifacts/{file}",
    summary="Download what a training left",
    response_class=FileResponse,
    responses={200: {"content": {"application/octet-stream": {}, "text/csv": {}}}},
)
def read_artifact(id: Id, file: Artifact, work: Look, settings: deps.Config) -> FileResponse:
    """Its weights with the config in their metadata, the model as ONNX, or its history; 404 until it has completed."""
    path = artifacts.find(work, settings.data_dir, id, file)
    return FileResponse(path, media_type=_MEDIA_TYPES[file], filename=file.value)


def _existing(id: Id, work: Look) -> str:
    return trials.find(work, id).id


@router.get("/{id}/events", response_class=EventSourceResponse, summary="Follow a trial")
async def follow_trial(
    request: Request,
    id: Annotated[str, Depends(_existing)],
    last_event_id: Annotated[int, Header(ge=0, le=2**53)] = 0,
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: `state` and `progress`, from the start or after Last-Event-ID, until the trial has ended."""
    database, last, quiet = request.app.state.settings.database, last_event_id, 0
    while True:
        events, ended = await run_in_threadpool(_news, database, id, last)
        for event in events:
            last, quiet = event.id, 0
            yield ServerSentEvent(id=str(event.id), event=event.kind, data=_data(event))
        if ended and not events:
            return
        quiet += 1
        if quiet % _PING_AFTER == 0:
            yield ServerSentEvent(comment="still here")
        await asyncio.sleep(0 if events else _LISTEN_EVERY)


def _detail(trial: TrialRow) -> TrialDetail:
    detail = TrialDetail.model_validate(trial)
    detail.config = config_json(Config.from_json(trial.config))
    return detail


def _news(database: str, trial_id: str, last: int) -> tuple[list[EventRow], bool]:
    with UnitOfWork(database, writes=False) as work:
        ended = trials.find(work, trial_id).state in TERMINAL
        return work.events.after(trial_id, last), ended


def _data(event: EventRow) -> dict[str, Any]:
    return {**event.data, "at": event.created_at.isoformat()}


def _plan(work: UnitOfWork, known: Catalogue, body: NewTrial) -> trials.Plan:
    dataset = datasets.find(work, body.dataset)
    recipe = recipe_for(dataset.task, body.recipe, "/recipe")
    if body.config is not None:
        return trials.Plan(body.config.family, body.config.to_config("/config"), dataset, recipe, body.seed)
    architecture = resolved(known, body.architecture).for_classes(dataset.num_classes)
    multipliers = body.wanted()
    return trials.Plan(
        architecture.name,
        scaled(architecture, multipliers),
        dataset,
        recipe,
        body.seed,
        multipliers,
        flops_of(architecture),
    )
