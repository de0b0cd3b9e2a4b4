"""Pagination: newest first, with an opaque cursor that stays valid while rows are added."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import Select, tuple_
from sqlalchemy.orm import Session

from app.core.errors import InvalidRequest

Row = TypeVar("Row")


def invalid_cursor() -> InvalidRequest:
    """Return the error for a cursor that no list returned."""
    return InvalidRequest("cursor", "This is not a valid cursor: use `next` of the previous page.")


@dataclass(frozen=True)
class Page(Generic[Row]):
    """A page of rows and the cursor of the next page."""

    items: list[Row]
    next: str | None


def page_by_creation(
    session: Session,
    query: Select[Any],
    table: Any,
    limit: int,
    cursor: str | None,
    *,
    archived: bool | None = None,
    id_prefix: str | None = None,
    **filters: Any,
) -> Page[Any]:
    """Return a page of `table`'s rows by (created_at, id), newest first.

    With `archived` set, only those that are archived, or the others; `filters` are values of columns, None for any.
    Raises: InvalidRequest.
    """
    query = query.where(*(getattr(table, name) == value for name, value in filters.items() if value is not None))
    if archived is not None:
        is_archived = table.archived_at.is_not(None)
        query = query.where(is_archived if archived else ~is_archived)
    if id_prefix is not None:  # ids are hex digits, and an index can answer this
        query = query.where(table.id >= id_prefix, table.id < f"{id_prefix}g")
    query = query.order_by(table.created_at.desc(), table.id.desc()).limit(limit + 1)
    if cursor is not None:
        query = query.where(tuple_(table.created_at, table.id) < tuple_(*_decode_cursor(cursor, table)))
    rows = list(session.scalars(query))
    has_more = len(rows) > limit
    rows = rows[:limit]
    return Page(rows, _encode_cursor(rows[-1]) if has_more else None)


def _encode_cursor(row: Any) -> str:
    plain = json.dumps([row.__tablename__, row.created_at.isoformat(), row.id])
    return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")


def _decode_cursor(cursor: str, table: Any) -> tuple[datetime, str]:
    try:
        plain = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        name, created_at, row_id = plain
        if name != table.__tablename__ or not isinstance(row_id, str) or "\0" in row_id:
            raise ValueError(cursor)
        row_id.encode()
        return datetime.fromisoformat(created_at), row_id
    except (binascii.Error, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise invalid_cursor() from error
