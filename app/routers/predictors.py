"""Stored predictors and their versions."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query

from app.db.tables import PredictorRow
from app.deps import Cursor, Known, Limit, Look, NamePath, NameQuery, Work
from app.errors import Invalid
from app.etags import same
from app.problems import RESPONSES, STALE
from app.safe_routes import SafeRoute
from app.schemas.common import Listed
from app.schemas.predictors import CalibrationAnswer, CurveAnswer, CurvePoint, PredictorDetail, PredictorItem
from app.services import fronts, predictors

router = APIRouter(prefix="/v1/predictors", tags=["predictors"], responses=RESPONSES, route_class=SafeRoute)

RatioQuery = Annotated[float | None, Query(gt=0, le=1000, allow_inf_nan=False)]


@router.get("", summary="List predictors")
def list_predictors(
    work: Look, limit: Limit = 50, cursor: Cursor = None, architecture: NameQuery = None
) -> Listed[PredictorItem]:
    """Newest first, every version."""
    page = work.predictors.page(limit, cursor, architecture, None)
    return Listed(items=[PredictorItem(**_fields(row)) for row in page.items], next=page.next)


@router.get("/{id}", summary="Read a predictor")
def read_predictor(id: NamePath, work: Look) -> PredictorDetail:
    """Its training points, hyperparameters and fit quality (leave-one-out)."""
    return detail(predictors.find(work, id))


@router.get("/{id}/curve", summary="r(c), d(c) and accuracy(c)")
def read_curve(
    id: NamePath,
    work: Look,
    least: RatioQuery = None,
    most: RatioQuery = None,
    steps: Annotated[int, Query(ge=2, le=1000)] = 50,
) -> CurveAnswer:
    """Means and standard deviations, even over log c, over the data's range or the one that is asked for."""
    predictor = predictors.restored(predictors.find(work, id))
    known_least, known_most = predictor.range
    low, high = least or known_least, most or known_most
    if low > high:
        raise Invalid("least", "least is above most")
    items = [CurvePoint(**point) for point in predictor.curve(low, high, steps)]
    return CurveAnswer(least=known_least, most=known_most, items=items)


@router.get("/{id}/calibration", summary="How good its predictions were")
def read_predictor_calibration(id: NamePath, work: Look) -> CalibrationAnswer:
    """How often the truth fell inside the bands, over the latest 1,000 trials that it predicted before."""
    return CalibrationAnswer.model_validate(fronts.calibration_of(work, predictors.find(work, id)))


@router.post("/{id}/activate", summary="Use this version", responses=STALE)
def activate_predictor(
    id: NamePath,
    work: Work,
    known: Known,
    if_match: Annotated[
        str | None, Header(max_length=1000, description="The `ETag` of the version as it was read; 412 if it changed.")
    ] = None,
) -> PredictorDetail:
    """From now on recommendations for its architecture and data set come from it; also the way back."""
    row = predictors.locked(work, id)
    same(detail(row), if_match)
    predictors.activate(work, row)
    known.forget_predictors()
    return detail(row)


def detail(row: PredictorRow) -> PredictorDetail:
    kept = {name: row.data.get(name) for name in ("points", "hyperparameters", "surrogate")}
    return PredictorDetail(**_fields(row), **kept)


def _fields(row: PredictorRow) -> dict[str, Any]:
    kept = (
        "id", "architecture", "dataset", "version", "active", "quality", "gate", "provenance", "study_id", "created_at"
    )  # fmt: skip
    return {**{k: getattr(row, k) for k in kept}, "observations": len(row.data["points"])}
