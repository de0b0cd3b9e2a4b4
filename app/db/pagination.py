"""Lists by page: newest first, with an opaque cursor that stays right while rows are added."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import Select, tuple_
from sqlalchemy.orm import Session

from app.errors import Invalid

Row = TypeVar("Row")


def unknown_cursor() -> Invalid:
    """The cursor is not one that a list gave out."""
    return Invalid("cursor", "This cursor was not given out by a list: take `next` of the page before.")


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Some rows, and the cursor of those that follow."""

    items: list[Row]
    next: str | None


def by_creation(session: Session, query: Select[Any], table: Any, limit: int, cursor: str | None) -> Page[Any]:
    """A page of `table`'s rows by (created_at, id), newest first.

    Raises: Invalid.
    """
    query = query.order_by(table.created_at.desc(), table.id.desc()).limit(limit + 1)
    if cursor is not None:
        query = query.where(tuple_(table.created_at, table.id) < tuple_(*_decoded(cursor, table)))
    rows = list(session.scalars(query))
    more = len(rows) > limit
    rows = rows[:limit]
    return Page(rows, _encoded(rows[-1]) if more else None)


def _encoded(row: Any) -> str:
    plain = json.dumps([row.__tablename__, row.created_at.isoformat(), row.id])
    return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")


def _decoded(cursor: str, table: Any) -> tuple[datetime, str]:
    try:
        plain = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        name, created_at, row_id = plain
        if name != table.__tablename__ or not isinstance(row_id, str) or "\0" in row_id:
            raise ValueError(cursor)
        row_id.encode()
        return datetime.fromisoformat(created_at), row_id
    except (binascii.Error, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise unknown_cursor() from error
