"""Routes of observations: read, import, retract."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from app.db.pagination import invalid_cursor
from app.db.repositories.observations import StudyObservation
from app.http import openapi_examples
from app.http.auth import READ, TRAIN
from app.http.body_limit import max_body_bytes
from app.http.dependencies import Cursor, Id, ReadUow, WriteUow, open_read, open_write
from app.http.long_requests import takes_long
from app.http.observation_exports import COLUMNS, IN_STUDY, stream_table
from app.http.observation_imports import import_body
from app.http.openapi import identifies
from app.http.problems import RESPONSES
from app.http.route import ApiRoute
from app.http.schemas.common import Page
from app.http.schemas.observations import (
    ImportResponse,
    ObservationImport,
    ObservationItem,
    RetractRequest,
)
from app.http.solving import compute_elsewhere
from app.services import observations
from app.services.studies import studies

router = APIRouter(prefix="/v1/studies", tags=["ask and tell"], responses=RESPONSES, route_class=ApiRoute)

_MAX_IMPORT_BYTES = 24 * 2**20  # 100,000 observations as JSON, with room
_MAX_QUICK_IMPORT_BYTES = 64 * 1024  # larger bodies are imported in another process
_IMPORT_BYTES_PER_SECOND = 3e6


async def read_import(request: Request) -> bytes:
    return await request.body()


def _import_schema() -> dict[str, Any]:
    """Return the schema without references; FastAPI does not know the model, since `parse_import` reads the body."""
    schema = ObservationImport.model_json_schema()
    schema["properties"]["observations"]["items"] = schema.pop("$defs")["NewObservation"]
    return schema


_IMPORT = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": _import_schema(), "examples": openapi_examples.OBSERVATIONS},
            "text/csv": {
                "schema": {"type": "string", "maxLength": _MAX_IMPORT_BYTES},
                "example": "r,d,w,accuracy,seconds\n0.8,1.0,0.9,0.712,31.5\n0.6,0.9,0.7,0.668,19.0\n",
            },
        },
    }
}


@router.get(
    "/{id}/observations",
    summary="Read a study's observations",
    response_model=Page[ObservationItem],
    responses={
        200: {
            "content": {"text/csv": {}},
            **identifies("observations", "/items/0/id", "observation", id="$request.path.id"),
        }
    },
    dependencies=[READ],
)
def read_observations(
    id: Id,
    work: ReadUow,
    request: Request,
    response: Response,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    cursor: Cursor = None,
    accept: Annotated[str, Header(max_length=4000)] = "application/json",
) -> Any:
    """List the observations, oldest first, with the retracted ones.

    With `Accept: text/csv` the response is a table of all observations. Text that a spreadsheet would take for a
    formula begins with an apostrophe, which an import removes.
    """
    study = studies.find(work, id)
    response.headers["Vary"] = "Accept"
    if accept.lower().startswith("text/csv"):
        work.release()
        return StreamingResponse(stream_table(request, study.id), media_type="text/csv", headers={"Vary": "Accept"})
    rows = work.observations.of_study(study.id, after=_parse_cursor(cursor), limit=limit + 1)
    items = [_item(row) for row in rows[:limit]]
    return Page(items=items, next=str(items[-1].id) if len(rows) > limit else None)


@router.post(
    "/{id}/observations", status_code=201, summary="Import observations", openapi_extra=_IMPORT, dependencies=[TRAIN]
)
@takes_long
@max_body_bytes(_MAX_IMPORT_BYTES)
def import_observations(id: Id, body: Annotated[bytes, Depends(read_import)], request: Request) -> ImportResponse:
    """Import results of trainings elsewhere, at multipliers of the study's architecture: all of them or none.

    The body is JSON, or CSV with a header line; for CSV, `?source=` says where the results come from. Exports of this
    service can be imported, and tables as other tools write them. Results that the study has already are not added.
    """
    is_csv = request.headers.get("content-type", "").partition(";")[0].strip().lower() == "text/csv"
    source = request.query_params.get("source", "import") if is_csv else None
    arguments = open_read(request), open_write(request), id, body, source
    if len(body) <= _MAX_QUICK_IMPORT_BYTES:
        return import_body(*arguments)
    return compute_elsewhere(request, import_body, *arguments, seconds=len(body) / _IMPORT_BYTES_PER_SECOND)


@router.post(
    "/{id}/observations/{observation}/retract",
    summary="Retract an observation",
    openapi_extra=openapi_examples.RETRACT,
    dependencies=[TRAIN],
)
def retract_observation(
    id: Id, observation: Annotated[int, Path(ge=1, le=2**63 - 1)], body: RetractRequest, work: WriteUow
) -> ObservationItem:
    """Exclude an observation from the front and from fits. It stays readable, with the reason.

    Predictors that were fitted on it are refitted. If other keys use the observation, or the study's predictors answer
    everybody, this needs an API key with scope `admin`.
    """
    return _item(observations.retract(work, studies.find_own(work, id), observation, body.reason))


def _item(observation: StudyObservation) -> ObservationItem:
    return ObservationItem(**{name: _value(observation, name) for name in (*COLUMNS, "provenance")})


def _value(observation: StudyObservation, name: str) -> Any:
    return getattr(observation if name in IN_STUDY else observation.row, name)


def _parse_cursor(cursor: str | None) -> int:
    """Return the id after which the page begins.

    Raises: InvalidRequest.
    """
    if cursor is None:
        return 0
    if not cursor.isascii() or not cursor.isdigit() or int(cursor) >= 2**63:
        raise invalid_cursor()
    return int(cursor)
