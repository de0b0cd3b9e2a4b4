"""Routes of predictors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Response

from app.core.errors import InvalidRequest
from app.db.tables import PredictorRow
from app.db.unit_of_work import UnitOfWork
from app.http import openapi_examples
from app.http.auth import ADMIN, READ
from app.http.conditional import check_if_match
from app.http.deletion import DELETION, deletion_response
from app.http.dependencies import (
    Archived,
    CatalogDep,
    Cursor,
    DryRun,
    Force,
    IfMatch,
    Limit,
    NameQuery,
    PredictorId,
    ReadUow,
    WriteUow,
)
from app.http.openapi import identifies
from app.http.problems import RESPONSES, STALE
from app.http.route import ApiRoute
from app.http.schemas.common import Page, ResourceUpdate
from app.http.schemas.predictors import CalibrationResponse, CurvePoint, CurveResponse, PredictorDetail, PredictorItem
from app.services.catalog import architectures
from app.services.predictors import store
from app.services.predictors.lookup_cache import CatalogCache
from app.services.studies import front

router = APIRouter(prefix="/v1/predictors", tags=["predictors"], responses=RESPONSES, route_class=ApiRoute)

RatioQuery = Annotated[
    float | None,
    Query(gt=0, le=1000, allow_inf_nan=False, description="FLOPs divided by those of the baseline; default: the data."),
]


@router.get(
    "", summary="List predictors", responses={200: identifies("predictors", "/items/0/id")}, dependencies=[READ]
)
def list_predictors(
    work: ReadUow,
    limit: Limit = 50,
    cursor: Cursor = None,
    architecture: NameQuery = None,
    archived: Archived = False,
) -> Page[PredictorItem]:
    """List the versions of all predictors, newest first. Archived ones are left out."""
    architecture = architectures.present_name(work, architecture)
    page = work.predictors.page(limit, cursor, architecture=architecture, archived=archived)
    return Page(items=[PredictorItem.of(row) for row in page.items], next=page.next)


@router.get("/{id}", summary="Read a predictor", dependencies=[READ])
def read_predictor(id: PredictorId, work: ReadUow) -> PredictorDetail:
    """Read a version with its training points, hyperparameters and fit quality."""
    row = store.find(work, id)
    return PredictorDetail.with_trials(row, store.trials_of_points(work, row))


@router.get("/{id}/curve", summary="r(c), d(c) and accuracy(c)", dependencies=[READ])
def read_curve(
    id: PredictorId,
    work: ReadUow,
    min_c: RatioQuery = None,
    max_c: RatioQuery = None,
    steps: Annotated[int, Query(ge=2, le=1000, description="Number of points.")] = 50,
) -> CurveResponse:
    """Predict means and standard deviations at points that are evenly spaced in log c."""
    predictor = store.load(work, store.find(work, id))
    data_min_c, data_max_c = predictor.range
    lower, upper = min_c or data_min_c, max_c or data_max_c
    if lower > upper:
        raise InvalidRequest("min_c", "min_c is greater than max_c")
    items = [CurvePoint(**point) for point in predictor.curve(lower, upper, steps)]
    return CurveResponse(min_c=data_min_c, max_c=data_max_c, items=items)


@router.get("/{id}/calibration", summary="Read the calibration", dependencies=[READ])
def read_predictor_calibration(id: PredictorId, work: ReadUow) -> CalibrationResponse:
    """Compare predictions with measurements, over the latest 1,000 trials that this version predicted."""
    return CalibrationResponse.model_validate(front.predictor_calibration(work, store.find(work, id)))


@router.patch(
    "/{id}", summary="Change a version", responses=STALE, openapi_extra=openapi_examples.UPDATE, dependencies=[ADMIN]
)
def update_predictor(
    id: PredictorId, body: ResourceUpdate, work: WriteUow, catalog: CatalogDep, if_match: IfMatch = None
) -> PredictorDetail:
    """Name, describe or archive a version. An archived version is not used, and the active one cannot be archived."""

    def change(work: UnitOfWork, row: PredictorRow) -> None:
        store.update(work, row, body.to_changes())

    return _change_version(id, work, catalog, if_match, change)


@router.delete("/{id}", summary="Delete a version", dependencies=[ADMIN], **DELETION)
def delete_predictor(
    id: PredictorId, work: WriteUow, catalog: CatalogDep, force: Force = False, dry_run: DryRun = False
) -> Response:
    """Delete a version. Trials keep the accuracy that it predicted, and no other version gets its id.

    Without `force` a version that is active or has predicted the accuracy of trials is not deleted; the problem lists
    the architecture and the trials in `dependents`.
    """
    deletion = store.delete(work, id, force=force, dry_run=dry_run)
    catalog.invalidate_predictors()
    return deletion_response(deletion, dry_run=dry_run)


@router.post("/{id}/activate", summary="Activate a version", responses=STALE, dependencies=[ADMIN])
def activate_predictor(
    id: PredictorId,
    work: WriteUow,
    catalog: CatalogDep,
    if_match: IfMatch = None,
) -> PredictorDetail:
    """Use this version by default for its architecture and data set. An older version can be activated again."""
    return _change_version(id, work, catalog, if_match, store.activate)


@router.post("/{id}/deactivate", summary="Deactivate a version", responses=STALE, dependencies=[ADMIN])
def deactivate_predictor(
    id: PredictorId,
    work: WriteUow,
    catalog: CatalogDep,
    if_match: IfMatch = None,
) -> PredictorDetail:
    """Stop using this version by default; the built-in predictor is then used, unless another version is activated."""
    return _change_version(id, work, catalog, if_match, store.deactivate)


def _change_version(
    id: str,
    work: UnitOfWork,
    catalog: CatalogCache,
    if_match: str | None,
    change: Callable[[UnitOfWork, PredictorRow], None],
) -> PredictorDetail:
    """Change whether a version is active, unless it has changed since the client read it."""
    row = store.find_for_update(work, id)
    trials = store.trials_of_points(work, row)
    check_if_match(PredictorDetail.with_trials(row, trials), if_match)
    change(work, row)
    catalog.invalidate_predictors()
    return PredictorDetail.with_trials(row, trials)
