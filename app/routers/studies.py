"""Studies: random networks, the front, its correlations and figures, refits."""

from __future__ import annotations

import csv
import io
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Response

from app import figures
from app.db.tables import ObservationRow, StudyRow
from app.db.unit_of_work import UnitOfWork
from app.deps import Cursor, Id, K, Known, Limit, Look, NameQuery, RequestId, Work
from app.problems import CONFLICT, RESPONSES
from app.recipes import recipe_for
from app.routers.predictors import detail as predictor_detail
from app.routers.scale import resolved
from app.scaling.architecture import Multipliers
from app.scaling.published import published_predictor
from app.schemas.common import Listed
from app.schemas.predictors import PredictorDetail
from app.schemas.studies import (
    CorrelationsAnswer,
    FrontAnswer,
    FrontItem,
    ImportAnswer,
    NewStudy,
    ObservationImport,
    ObservationItem,
    RefitRequest,
    StudyDetail,
    StudyItem,
)
from app.schemas.trials import Estimated, EstimateItem
from app.services import datasets, predictors, studies

router = APIRouter(prefix="/v1/studies", tags=["studies"], responses=RESPONSES)

FigureName = Annotated[Literal[tuple(figures.FIGURES)], Path()]  # type: ignore[valid-type]

_DEFAULT_REFIT = RefitRequest()
_MEDIA_TYPES = {"svg": "image/svg+xml", "png": "image/png", "csv": "text/csv"}
_CSV_COLUMNS = (
    "id",
    "trial_id",
    "r",
    "d",
    "w",
    "ratio",
    "resolution",
    "flops",
    "params",
    "accuracy",
    "seconds",
    "latency_ms",
    "created_at",
)


@router.post("", status_code=201, summary="Create a study", responses={200: {"model": Estimated}})
def create_study(body: NewStudy, work: Work, known: Known, response: Response) -> StudyDetail | Estimated:
    """Draws the networks at once: a space that has too few of them is refused. Nothing is trained yet.

    With `validate_only` nothing is kept: 200, and what all its trials would take, one after the other.
    """
    dataset = datasets.find(work, body.dataset)
    wanted: dict[str, Any] = {
        "architecture": resolved(known, body.architecture),
        "dataset": dataset,
        "recipe": recipe_for(dataset.task, body.recipe, "/recipe"),
        "space": body.space.model_dump(mode="json"),
        "size": body.trials,
        "seed": body.seed,
    }
    if body.validate_only:
        response.status_code = 200
        return Estimated(estimate=EstimateItem.model_validate(studies.estimate(work, **wanted)))
    study = studies.create(work, name=body.name, **wanted)
    response.headers["Location"] = f"/v1/studies/{study.id}"
    return _detail(work, study)


@router.get("", summary="List studies")
def list_studies(
    work: Look, limit: Limit = 50, cursor: Cursor = None, architecture: NameQuery = None
) -> Listed[StudyItem]:
    """Newest first."""
    page = work.studies.page(limit, cursor, architecture)
    progress = studies.progress(work, page.items)
    return Listed(items=[StudyItem(**_fields(s, progress[s.id])) for s in page.items], next=page.next)


@router.get("/{id}", summary="Read a study")
def read_study(id: Id, work: Look) -> StudyDetail:
    """Its state, and how many of its trials are in which."""
    return _detail(work, studies.find(work, id))


@router.post("/{id}/start", status_code=202, summary="Train a study's networks", responses=CONFLICT)
def start_study(id: Id, work: Work, request_id: RequestId) -> StudyDetail:
    """Enqueues all its trials; started again, nothing happens twice."""
    return _detail(work, studies.start(work, id, request_id))


@router.post("/{id}/pause", status_code=202, summary="Pause a study", responses=CONFLICT)
def pause_study(id: Id, work: Work) -> StudyDetail:
    """Its queued trials wait, but for those that another started study or a client wants; running ones go on."""
    return _detail(work, studies.pause(work, id))


@router.post("/{id}/resume", status_code=202, summary="Resume a study", responses=CONFLICT)
def resume_study(id: Id, work: Work) -> StudyDetail:
    """Its queued trials take their turns again."""
    return _detail(work, studies.resume(work, id))


@router.post("/{id}/cancel", status_code=202, summary="Stop a study", responses=CONFLICT)
def cancel_study(id: Id, work: Work) -> StudyDetail:
    """Cancels its trials, but for those that another study or a client counts on; finished ones stay."""
    return _detail(work, studies.cancel(work, id))


@router.get(
    "/{id}/observations",
    summary="Read a study's observations",
    response_model=Listed[ObservationItem],
    responses={200: {"content": {"text/csv": {}}}},
)
def read_observations(id: Id, work: Look, accept: Annotated[str, Header()] = "application/json") -> Any:
    """As JSON, or as CSV where `Accept: text/csv` asks for it."""
    rows = work.observations.of_study(studies.find(work, id).id)
    if "text/csv" in accept:
        return Response(_csv(rows), media_type="text/csv")
    return Listed(items=[ObservationItem.model_validate(row) for row in rows])


@router.post("/{id}/observations", status_code=201, summary="Import observations")
def import_observations(id: Id, body: ObservationImport, work: Work) -> ImportAnswer:
    """Results of trainings elsewhere, at multipliers of the study's architecture: all of them, or none."""
    imported = [
        studies.Imported(Multipliers(o.r, o.d, o.w), o.accuracy, o.seconds, body.source) for o in body.observations
    ]
    return ImportAnswer(imported=studies.import_observations(work, id, imported))


@router.get("/{id}/front", summary="The accuracy-FLOPs front")
def read_front(id: Id, work: Look, k: K = 20) -> FrontAnswer:
    """At most k networks, as NSGA-III selects them, by rising flops."""
    front = studies.front(work, id, k)
    return FrontAnswer(items=[FrontItem.model_validate(o) for o in front.selected], hypervolume=front.hypervolume)


@router.get("/{id}/correlations", summary="Correlations on the front")
def read_correlations(id: Id, work: Look, k: K = 20) -> CorrelationsAnswer:
    """Of r, d and w with FLOPs over the front's networks."""
    return CorrelationsAnswer.model_validate(studies.front_correlations(work, id, k))


@router.get("/{id}/figures/{name}.{format}", summary="The paper's figures", response_class=Response)
def read_figure(id: Id, name: FigureName, format: figures.Format, work: Look) -> Response:
    """As SVG or PNG, from the study's observations so far; its data as CSV."""
    return Response(_figure(work, id, name).render(format), media_type=_MEDIA_TYPES[format])


@router.post("/{id}/predictors", status_code=201, summary="Refit the predictor")
def refit_predictor(
    id: Id, work: Work, known: Known, response: Response, body: RefitRequest = _DEFAULT_REFIT
) -> PredictorDetail:
    """Fits r(c), d(c) and accuracy(c) on the study's front: a new version, in use at once only with `activate`."""
    row = studies.refit(work, id, body.k)
    if body.activate:
        predictors.activate(work, row.id)
        known.forget_predictors()
    response.headers["Location"] = f"/v1/predictors/{row.id}"
    return predictor_detail(row)


def _figure(work: UnitOfWork, study_id: str, name: str) -> figures.Drawing:
    if name == "predicted-against-measured":
        return figures.predicted_against_measured(studies.predicted_and_measured(work, study_id))
    front = studies.front(work, study_id, 20)
    if name == "accuracy-against-multipliers":
        return figures.accuracy_against_multipliers(front.observations)
    if name == "accuracy-against-flops":
        return figures.accuracy_against_flops(front.observations, front.selected)
    if name == "accuracy-against-latency":
        return figures.accuracy_against_latency(front.observations, front.selected)
    if name == "multipliers-against-flops":
        return figures.multipliers_against_flops(front.selected)
    if name == "hypervolume":
        epochs = studies.find(work, study_id).recipe["epochs"]
        trained = [figures.Finished(epochs, o.flops, o.accuracy) for o in front.observations if o.trial is not None]
        return figures.hypervolume({"networks as they finished": trained})
    if name == "family":
        return figures.family([])
    newest = work.predictors.page(1, None, None, study_id).items
    predictor = predictors.restored(newest[0]) if newest else front.fitted()
    return figures.predictor_curve(predictor, published_predictor().points)


def _detail(work: UnitOfWork, study: StudyRow) -> StudyDetail:
    fields = _fields(study, studies.progress(work, [study])[study.id])
    return StudyDetail(**fields, spec=study.spec, recipe=study.recipe, space=study.space)


def _fields(study: StudyRow, progress: studies.Progress) -> dict[str, Any]:
    kept = ("id", "name", "architecture", "dataset", "size", "seed", "created_at")
    return {**{k: getattr(study, k) for k in kept}, "state": progress.state, "trials": progress.trials}


def _csv(rows: list[ObservationRow]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_CSV_COLUMNS)
    writer.writerows([getattr(row, column) for column in _CSV_COLUMNS] for row in rows)
    return text.getvalue()
