"""Pagination by an order, with an opaque cursor that stays valid while rows are added."""

from __future__ import annotations

import base64
import binascii
import json
import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.core.errors import InvalidRequest

Row = TypeVar("Row")

_MAX_INTEGER = 2**63 - 1


def invalid_cursor() -> InvalidRequest:
    """Return the error for a cursor that no list returned."""
    return InvalidRequest("cursor", "This is not a valid cursor: use `next` of the previous page.")


@dataclass(frozen=True)
class Page(Generic[Row]):
    """A page of rows and the cursor of the next page."""

    items: list[Row]
    next: str | None


@dataclass(frozen=True)
class Order:
    """The order of a list: by a column, then by creation and id. Rows without a value are last either way."""

    column: str
    descending: bool

    @classmethod
    def parse(cls, text: str) -> Order:
        """Parse the name of a column, with `-` before it for decreasing values."""
        return cls(text.removeprefix("-"), text.startswith("-"))

    def __str__(self) -> str:
        return f"{'-' if self.descending else ''}{self.column}"


NEWEST_FIRST = Order("created_at", descending=True)


def read_page(
    session: Session,
    query: Select[Any],
    table: Any,
    limit: int,
    cursor: str | None,
    *,
    order: Order = NEWEST_FIRST,
    archived: bool | None = None,
    id_prefix: str | None = None,
    **filters: Any,
) -> Page[Any]:
    """Return a page of `table`'s rows in the order.

    With `archived` set, only those that are archived, or the others; `filters` are values of columns, None for any.
    Raises: InvalidRequest.
    """
    query = query.where(*(getattr(table, name) == value for name, value in filters.items() if value is not None))
    if archived is not None:
        is_archived = table.archived_at.is_not(None)
        query = query.where(is_archived if archived else ~is_archived)
    if id_prefix is not None:  # ids are hex digits, and an index can answer this
        query = query.where(table.id >= id_prefix, table.id < f"{id_prefix}g")
    after = None if cursor is None else _decode_cursor(cursor, table, order)
    rows = _read_after(session, query, table, order, after, limit + 1)
    has_more = len(rows) > limit
    rows = rows[:limit]
    return Page(rows, cursor_of(rows[-1], order) if has_more else None)


def _read_after(
    session: Session, query: Select[Any], table: Any, order: Order, after: tuple[Any, ...] | None, n: int
) -> list[Any]:
    """Read rows with a value, then those without one: an index has the order of each part."""
    column, tie = getattr(table, order.column), (table.created_at, table.id)
    if order.column == "created_at":
        return list(session.scalars(_ordered(query, tie, order, after).limit(n)))
    if not column.nullable:
        return list(session.scalars(_ordered(query, (column, *tie), order, after).limit(n)))
    is_past_values = after is not None and after[0] is None
    rows: list[Any] = []
    if not is_past_values:
        rows = list(session.scalars(_ordered(query.where(column.is_not(None)), (column, *tie), order, after).limit(n)))
    if len(rows) < n:
        start = after[1:] if after is not None and is_past_values else None
        without = _ordered(query.where(column.is_(None)), tie, order, start)
        rows += session.scalars(without.limit(n - len(rows)))
    return rows


def _ordered(
    query: Select[Any], keys: tuple[InstrumentedAttribute[Any], ...], order: Order, after: tuple[Any, ...] | None
) -> Select[Any]:
    if after is not None:
        query = query.where(_is_after(tuple_(*keys), tuple_(*after), order))
    return query.order_by(*(key.desc() if order.descending else key.asc() for key in keys))


def _is_after(keys: Any, values: Any, order: Order) -> ColumnElement[bool]:
    after: ColumnElement[bool] = keys < values if order.descending else keys > values
    return after


def cursor_of(row: Any, order: Order) -> str:
    """Return the cursor of the page after the row."""
    tie = [row.created_at.isoformat(), row.id]
    values = tie if order.column == "created_at" else [getattr(row, order.column), *tie]
    plain = json.dumps([row.__tablename__, str(order), *values])
    return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")


def _decode_cursor(cursor: str, table: Any, order: Order) -> tuple[Any, ...]:
    try:
        plain = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        name, sort, *values, created_at, row_id = plain
        if (name, sort) != (table.__tablename__, str(order)) or not isinstance(row_id, str) or "\0" in row_id:
            raise ValueError(cursor)
        row_id.encode()
        tie = datetime.fromisoformat(created_at), row_id
        if order.column == "created_at":
            () = values
            return tie
        (value,) = values
        return _checked(value, getattr(table, order.column)), *tie
    except (binascii.Error, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise invalid_cursor() from error


def _checked(value: Any, column: InstrumentedAttribute[Any]) -> Any:
    """Return the value of a column in a cursor, as the column has it.

    Raises: ValueError; TypeError.
    """
    if value is None and column.nullable:
        return None
    kind = column.type.python_type
    if isinstance(value, bool) or not isinstance(value, int | float if kind is float else kind if kind is int else str):
        raise TypeError(value)
    if isinstance(value, str):
        value.encode()
        if "\0" in value:
            raise ValueError(value)
    elif not math.isfinite(value) or abs(value) > _MAX_INTEGER:
        raise ValueError(value)
    return kind(value)
