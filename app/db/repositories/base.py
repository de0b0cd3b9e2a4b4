"""The base class of repositories."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, CursorResult, ScalarResult, Select, Update, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.core.deletion import Listed
from app.db.session import database_clock

Item = TypeVar("Item")

_MAX_LISTED = 100  # ids of the resources that depend on another one


class Repository:
    """Queries on one kind of row, in the session of a unit of work."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def add(self, row: Any) -> None:
        self.session.add(row)
        self.session.flush()

    def add_all(self, rows: Iterable[Any]) -> None:
        self.session.add_all(rows)
        self.session.flush()

    def delete(self, row: Any) -> None:
        self.session.delete(row)
        self.session.flush()

    def add_if_new(self, row: Any) -> bool:
        """Add the row; return False if one with the same unique values exists."""
        try:
            with self.session.begin_nested():
                self.add(row)
        except IntegrityError:
            return False
        return True

    def reload(self, query: Select[Item]) -> ScalarResult[Item]:
        """Return the rows of a query as they are in the database, even if the session has older versions of them."""
        return self.session.scalars(query, execution_options={"populate_existing": True})

    def execute_update(self, statement: Update) -> bool:
        """Execute the statement; return whether it changed any row."""
        result = self.session.execute(statement)
        assert isinstance(result, CursorResult)
        return result.rowcount > 0

    def list_ids(self, table: Any, *conditions: ColumnElement[bool]) -> Listed:
        """Return how many rows meet the conditions, and the ids of the oldest of them."""
        count = self.session.execute(select(func.count()).select_from(table).where(*conditions)).scalar_one()
        ids = select(table.id).where(*conditions).order_by(table.created_at, table.id).limit(_MAX_LISTED)
        return Listed(count, tuple(map(str, self.session.scalars(ids))))

    def lock_name(self, name: str) -> None:
        """Let no other transaction that locks the name proceed until the commit; SQLite has one writer anyway."""
        if self.session.get_bind().dialect.name == "postgresql":
            self.session.execute(select(func.pg_advisory_xact_lock(func.hashtext(name))))

    def clock(self) -> float:
        """Return the time by the database's clock, in seconds since 1970."""
        return database_clock(self.session)
