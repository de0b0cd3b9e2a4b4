"""A study's observations: read, brought in from outside, taken back."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from pydantic import ValidationError

from app.accepts import prefers
from app.db.pages import unknown_cursor
from app.db.tables import ObservationRow
from app.db.unit_of_work import UnitOfWork
from app.deps import Config, Cursor, Id, Look, Work, looking, writing
from app.problems import MOST_ERRORS, RESPONSES
from app.safe_routes import SafeRoute
from app.schemas.common import Listed
from app.schemas.observations import ImportAnswer, NewObservation, ObservationImport, ObservationItem, Retraction
from app.services import observations, studies

router = APIRouter(prefix="/v1/studies", tags=["ask and tell"], responses=RESPONSES, route_class=SafeRoute)

_COLUMNS = (
    "id", "trial_id", "role", "r", "d", "w", "ratio", "resolution", "flops", "params", "accuracy", "seconds",
    "latency_ms", "retracted_at", "retraction", "created_at",
)  # fmt: skip
_BLOCK = 5000


async def imported(request: Request) -> ObservationImport:
    """The body, as JSON or as CSV: told apart by its content type, and read in one go.

    Raises: RequestValidationError, which names each line or item that is wrong.
    """
    body = await request.body()
    # On a thread: a hundred thousand take long enough for others to notice.
    if request.headers.get("content-type", "").partition(";")[0].strip() == "text/csv":
        return await run_in_threadpool(_of_csv, body, request.query_params.get("source", "import"))
    return await run_in_threadpool(_of_json, body)


def _import_schema() -> dict[str, Any]:
    """In one piece: FastAPI does not see the model, since the body is read by `imported`."""
    schema = ObservationImport.model_json_schema()
    schema["properties"]["observations"]["items"] = schema.pop("$defs")["NewObservation"]
    return schema


_IMPORT = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": _import_schema()},
            "text/csv": {
                "schema": {"type": "string", "maxLength": 24 * 2**20},
                "example": "r,d,w,accuracy,seconds\n0.8,1.0,0.9,0.712,31.5\n0.6,0.9,0.7,0.668,19.0\n",
            },
        },
    }
}


@router.get(
    "/{id}/observations",
    summary="Read a study's observations",
    response_model=Listed[ObservationItem],
    responses={200: {"content": {"text/csv": {}}}},
)
def read_observations(
    id: Id,
    work: Look,
    settings: Config,
    response: Response,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    cursor: Cursor = None,
    accept: Annotated[str, Header(max_length=4000)] = "application/json",
) -> Any:
    """In the order in which they came, those that were taken back as well; all of them as CSV (`Accept: text/csv`)."""
    study = studies.find(work, id)
    response.headers["Vary"] = "Accept"
    if prefers(accept, "text/csv", "application/json"):
        return StreamingResponse(_csv(settings.database, study.id), media_type="text/csv", headers={"Vary": "Accept"})
    rows = work.observations.of_study(study.id, after=_after(cursor), limit=limit + 1)
    items = [_item(row, role) for row, role in rows[:limit]]
    return Listed(items=items, next=str(items[-1].id) if len(rows) > limit else None)


@router.post("/{id}/observations", status_code=201, summary="Import observations", openapi_extra=_IMPORT)
def import_observations(
    id: Id, body: Annotated[ObservationImport, Depends(imported)], request: Request
) -> ImportAnswer:
    """Results of trainings elsewhere, at multipliers of the study's architecture: all of them, or none.

    As JSON, or as CSV with a header line (`?source=` says where they come from).
    """
    brought = [observations.Imported(**one.model_dump()) for one in body.observations]
    with looking(request)() as work:
        ready = observations.made_ready(work, studies.find(work, id), brought, body.source)
    with writing(request)() as work:
        return ImportAnswer(imported=observations.bring_in(work, id, ready))


@router.post(
    "/{id}/observations/{observation}/retract",
    summary="Take an observation back",
)
def retract_observation(
    id: Id, observation: Annotated[int, Path(ge=1, le=2**63 - 1)], body: Retraction, work: Work
) -> ObservationItem:
    """It stays readable, with the reason, and counts no more; predictors that stood on it are fitted anew."""
    row = observations.retract(work, studies.find(work, id), observation, body.reason)
    return _item(row, row.role)


def _item(row: ObservationRow, role: str | None) -> ObservationItem:
    fields = {name: getattr(row, name) for name in (*_COLUMNS, "provenance") if name != "role"}
    return ObservationItem(**fields, role=role)


def _after(cursor: str | None) -> int:
    """Raises: Invalid where no list gave that cursor out."""
    if cursor is None:
        return 0
    if not cursor.isascii() or not cursor.isdigit() or int(cursor) >= 2**63:
        raise unknown_cursor()
    return int(cursor)


def _of_json(body: bytes) -> ObservationImport:
    """Raises: RequestValidationError."""
    try:
        return ObservationImport.model_validate_json(body)
    except ValidationError as error:
        raise _refused(error) from error


def _of_csv(body: bytes, source: str) -> ObservationImport:
    """Raises: RequestValidationError."""
    try:
        rows = list(csv.reader(io.StringIO(body.decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(f"this is no CSV in UTF-8: {error}") from error
    header = [name.strip() for name in rows[0]] if rows else []
    known = list(NewObservation.model_fields)
    if not {"r", "d", "w", "accuracy"} <= set(header) <= set(known) or len(set(header)) < len(header):
        raise _unreadable(f"the first line has to name the columns r, d, w and accuracy; known are {', '.join(known)}")
    lines = [(line, row) for line, row in enumerate(rows[1:], 2) if row]
    for line, row in lines:
        if len(row) != len(header):
            raise _unreadable(f"line {line} has {len(row)} fields, the first line {len(header)}")
    items = [{name: value.strip() or None for name, value in zip(header, row, strict=True)} for _, row in lines]
    try:
        return ObservationImport.model_validate({"source": source, "observations": items})
    except ValidationError as error:
        raise _refused(error, [line for line, _ in lines]) from error


def _refused(error: ValidationError, lines: list[int] | None = None) -> RequestValidationError:
    """The errors as a request's; those of a table by its lines."""
    found = []
    for one in error.errors(include_url=False, include_context=False, include_input=False)[:MOST_ERRORS]:
        where = one["loc"]
        if lines is not None and len(where) > 1 and isinstance(where[1], int):
            where = (f"line {lines[where[1]]}", *where[2:])
        found.append({**one, "loc": ("body", *where)})
    return RequestValidationError(found)


def _unreadable(message: str) -> RequestValidationError:
    return RequestValidationError([{"loc": ("body",), "msg": message, "type": "value_error"}])


def _csv(database: str, study_id: str) -> Iterator[str]:
    """A block at a time, since a study may have hundreds of thousands; in a transaction of its own, for as long."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    yield _taken(text)
    after = 0
    with UnitOfWork(database, writes=False) as work:
        while rows := work.observations.of_study(study_id, after=after, limit=_BLOCK):
            after = rows[-1][0].id
            writer.writerows(
                [role if column == "role" else getattr(row, column) for column in _COLUMNS] for row, role in rows
            )
            yield _taken(text)


def _taken(text: io.StringIO) -> str:
    taken = text.getvalue()
    text.seek(0)
    text.truncate()
    return taken
