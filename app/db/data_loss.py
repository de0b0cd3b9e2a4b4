"""Finds out whether a migration drops tables or columns that hold data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from alembic.ddl.base import DropColumn
from sqlalchemy import Connection, event, inspect
from sqlalchemy.schema import DropTable

_BATCH_PREFIX = "_alembic_tmp_"  # of the table into which Alembic copies another before it drops that, on SQLite


class WouldLoseData(Exception):
    """Migrations would drop tables or columns that hold data, so nothing was changed."""

    def __init__(self, losses: list[str]) -> None:
        super().__init__(
            f"This would delete data: {', '.join(losses)}. Nothing was changed. Back up the database first; then "
            "`--discard-data` deletes it."
        )


@contextmanager
def refuse_data_loss(connection: Connection) -> Iterator[None]:
    """Watch the migrations that run meanwhile; the caller rolls back what they did if this raises.

    A column holds data if a row has neither NULL nor the column's default there, and a table if it has rows.

    Raises: WouldLoseData, at the end, with everything that would be lost.
    """
    losses: list[str] = []

    def check(_connection: Connection, statement: Any, *_: Any) -> None:
        if isinstance(statement, DropColumn):
            losses.extend(_columns_with_data(connection, statement.table_name, {statement.column.name}))
        elif isinstance(statement, DropTable):
            losses.extend(_lost_with_table(connection, statement.element.name))

    event.listen(connection, "before_execute", check)
    try:
        yield
    finally:
        event.remove(connection, "before_execute", check)
    if losses:
        raise WouldLoseData(losses)


def _lost_with_table(connection: Connection, table: str) -> list[str]:
    tables = inspect(connection)
    copy = f"{_BATCH_PREFIX}{table}"
    if tables.has_table(copy):
        columns, kept = ({column["name"] for column in tables.get_columns(name)} for name in (table, copy))
        return _columns_with_data(connection, table, columns - kept)
    rows = _count(connection, table, "1 = 1")
    return [f"table {table} ({_rows(rows)})"] if rows else []


def _columns_with_data(connection: Connection, table: str, names: set[str]) -> list[str]:
    losses = []
    quote = connection.dialect.identifier_preparer.quote
    for column in inspect(connection).get_columns(table):
        if column["name"] in names:
            value = f"CAST({quote(column['name'])} AS TEXT)"
            default = "'null'" if column["default"] is None else f"CAST({column['default']} AS TEXT)"  # JSON's null
            rows = _count(connection, table, f"{value} IS NOT NULL AND {value} <> {default}")
            if rows:
                losses.append(f"column {table}.{column['name']} ({_rows(rows)})")
    return losses


def _count(connection: Connection, table: str, condition: str) -> int:
    quoted = connection.dialect.identifier_preparer.quote(table)
    return int(connection.exec_driver_sql(f"SELECT count(*) FROM {quoted} WHERE {condition}").scalar_one())  # noqa: S608


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"
