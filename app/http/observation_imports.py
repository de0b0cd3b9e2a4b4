"""Imports of observations: a body is parsed as JSON or as a table, and its results are stored.

A large body is imported in another process, so that no other request waits for its parsing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from types import MappingProxyType
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from app.db.unit_of_work import UnitOfWork
from app.http.problems import MAX_LISTED_ERRORS
from app.http.schemas.observations import ImportResponse, NewObservation, ObservationImport
from app.scaling.search.observations import Role
from app.services import observations
from app.services.observation_tables import InvalidTable, read_table


@dataclass(frozen=True)
class ImportedTable:
    """The content of a request; `model` is None if it has no row to import."""

    model: ObservationImport | None
    skipped_rows: int = 0
    ignored_columns: list[str] = field(default_factory=list)


def import_body(
    open_read: Callable[[], UnitOfWork],
    open_write: Callable[[], UnitOfWork],
    study_id: str,
    body: bytes,
    source_of_table: str | None,
) -> ImportResponse:
    """Import the results of a body: a table that comes from `source_of_table`, or JSON if that is None.

    Raises: RequestValidationError with every invalid line or item; whatever `import_results` raises.
    """
    table = _parse_json(body) if source_of_table is None else _parse_csv(body, source_of_table)
    model = table.model
    results = [] if model is None else [_result(observation) for observation in model.observations]
    source = "import" if model is None else model.source
    added = observations.import_results(open_read, open_write, study_id, results, source)
    return ImportResponse(
        imported=added,
        duplicates=len(results) - added,
        skipped_rows=table.skipped_rows,
        ignored_columns=table.ignored_columns,
    )


def _result(observation: NewObservation) -> observations.ImportedResult:
    o, retracted_at = observation, observation.retracted_at
    if retracted_at is not None:
        retracted_at = retracted_at.astimezone(UTC) if retracted_at.tzinfo else retracted_at.replace(tzinfo=UTC)
    return observations.ImportedResult(
        o.r, o.d, o.w, o.accuracy, o.seconds, o.latency_ms, o.role or Role.IMPORT, retracted_at,
        o.retraction_reason if retracted_at else None,
    )  # fmt: skip


def _parse_json(body: bytes) -> ImportedTable:
    """Parse JSON; exported networks without multipliers are skipped.

    Raises: RequestValidationError.
    """
    try:
        return ImportedTable(ObservationImport.model_validate_json(body))
    except ValidationError as error:
        try:
            plain = json.loads(body)
            items = plain["observations"]
            scaled = [i for i, item in enumerate(items) if not _has_no_multipliers(item)]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise _to_request_error(error) from error
        if len(scaled) == len(items):
            raise _to_request_error(error) from error
    try:
        model = ObservationImport.model_validate({**plain, "observations": [items[i] for i in scaled]})
    except ValidationError as error:
        raise _to_request_error(error, scaled) from error
    return ImportedTable(model, skipped_rows=len(items) - len(scaled))


def _has_no_multipliers(item: Any) -> bool:
    """Return whether it is an exported network that is not scaled from the study's baseline."""
    return isinstance(item, dict) and all(name in item and item[name] is None for name in ("r", "d", "w"))


def _parse_csv(body: bytes, source: str) -> ImportedTable:
    """Parse a table; unfinished trainings and networks without multipliers are skipped.

    Raises: RequestValidationError.
    """
    try:
        table = read_table(body)
    except InvalidTable as error:
        raise _unreadable_table(str(error)) from error
    if not table.rows and table.skipped_rows:
        return ImportedTable(None, table.skipped_rows, table.ignored_columns)
    try:
        model = ObservationImport.model_validate({"source": source, "observations": table.rows})
    except ValidationError as error:
        raise _to_request_error(error, [f"line {line}" for line in table.lines], table.columns) from error
    return ImportedTable(model, table.skipped_rows, table.ignored_columns)


def _to_request_error(
    error: ValidationError, names: Sequence[int | str] | None = None, columns: Mapping[str, str] = MappingProxyType({})
) -> RequestValidationError:
    """Convert validation errors; those of rows refer to the rows' names and the names of their columns."""
    errors = []
    for item in error.errors(include_url=False, include_context=False, include_input=False)[:MAX_LISTED_ERRORS]:
        location = item["loc"]
        if names is not None and len(location) > 1 and isinstance(location[1], int):
            root = location[:1] if isinstance(names[location[1]], int) else ()
            location = (*root, names[location[1]], *(columns.get(str(step), step) for step in location[2:]))
        errors.append({**item, "loc": ("body", *location)})
    return RequestValidationError(errors)


def _unreadable_table(message: str) -> RequestValidationError:
    return RequestValidationError([{"loc": ("body",), "msg": message, "type": "value_error"}])
