"""Train on demand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.responses import FileResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app import deps
from app.callers import stream_place
from app.db.tables import EventRow, TrialRow
from app.db.unit_of_work import UnitOfWork
from app.deps import Cursor, Id, IdQuery, Known, Limit, Look, NameQuery, RequestId, Work
from app.problems import OVERLOADED, RESPONSES
from app.recipes import recipe_for
from app.routers.scale import resolved, scaled
from app.safe_routes import SafeRoute
from app.scaling.architecture import Config
from app.scaling.recommend import flops_of
from app.schemas.architectures import config_json
from app.schemas.common import Listed
from app.schemas.trials import Estimated, EstimateItem, NewTrial, State, TrialDetail, TrialItem
from app.services import artifacts, attempts, datasets, listeners, trials
from app.services.artifacts import Artifact
from app.services.catalogue import Catalogue

router = APIRouter(prefix="/v1/trials", tags=["trials"], responses=RESPONSES, route_class=SafeRoute)

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
    plan = _plan(work, known, body)
    trial = trials.request(work, plan, study_id=body.study, request_id=request_id, priority=body.priority)
    work.commit()
    response.headers["Location"] = f"/v1/trials/{trial.id}"
    if trial.state == "completed":
        response.status_code = 200
    else:
        response.headers["Retry-After"] = str(trials.look_again(work, trial))
    return _detail(work, trial)


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
    return _detail(work, trials.find(work, id))


@router.post("/{id}/retry", status_code=202, summary="Retry a trial")
def retry_trial(id: Id, work: Work) -> TrialDetail:
    """A failed or cancelled trial waits again and goes on from its checkpoint; one that diverged starts anew.

    409 where it has not ended so, or where another trial that trains the same lives or has completed: it is named.
    """
    return _detail(work, trials.retry(work, id))


@router.post("/{id}/cancel", status_code=202, summary="Cancel a trial")
def cancel_trial(id: Id, work: Work) -> TrialDetail:
    """A waiting trial is cancelled at once, a running one after its next batch, within 2 s; its checkpoint stays."""
    trial = trials.cancel(work, id)
    work.session.refresh(trial)
    return _detail(work, trial)


@router.get(
    "/{id}/artifacts/{file}",
    summary="Download what a training left",
    response_class=FileResponse,
    responses={200: {"content": {"application/octet-stream": {}, "text/csv": {}}}},
)
def read_artifact(id: Id, file: Artifact, work: Look, settings: deps.Config) -> FileResponse:
    """Its weights with the config in their metadata, the model as ONNX, or its history; 404 until it has completed."""
    path = artifacts.find(work, settings.data_dir, id, file)
    return FileResponse(path, media_type=_MEDIA_TYPES[file], filename=file.value, stat_result=path.stat())


def _place(id: Id, work: Look, last_event_id: Annotated[int, Header(ge=0, le=2**53)] = 0) -> listeners.Place:
    return listeners.place(work, id, last_event_id)


@router.get(
    "/{id}/events",
    response_class=EventSourceResponse,
    summary="Follow a trial",
    dependencies=[Depends(stream_place)],
    responses=OVERLOADED,
)
async def follow_trial(
    request: Request, place: Annotated[listeners.Place, Depends(_place)]
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: `state` and `progress`, from the start or after Last-Event-ID, until the trial has ended."""
    all_that_listen: listeners.Listeners = request.app.state.listeners
    with all_that_listen.listening(place.trial_id, place.last, ended=place.ended) as news:
        while (event := await news.get()) is not None:
            yield ServerSentEvent(id=str(event.id), event=event.kind, data=_data(event))


def _detail(work: UnitOfWork, trial: TrialRow) -> TrialDetail:
    plain = {name: getattr(trial, name) for name in TrialDetail.model_fields if name not in ("attempts", "config")}
    made = attempts.attempts(work.events.of_states(trial.id))
    return TrialDetail.model_validate(
        {**plain, "attempts": made, "config": config_json(Config.from_json(trial.config))}
    )


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
