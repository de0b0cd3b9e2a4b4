"""Queries on registered baselines and data sets."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.repositories.base import Repository
from app.db.tables import ArchitectureRow, DatasetRow

Row = TypeVar("Row", ArchitectureRow, DatasetRow)


class Catalog(Repository, Generic[Row]):
    """The rows of a table that are registered under a name."""

    def __init__(self, session: Session, row: type[Row]) -> None:
        super().__init__(session)
        self._row: Any = row

    def get(self, name: str) -> Row | None:
        found: Row | None = self.session.get(self._row, name)
        return found

    def list_all(self) -> list[Row]:
        return list(self.session.scalars(select(self._row).order_by(self._row.name)))

    def get_or_add(self, row: Row) -> Row:
        """Add the row; return the existing row of that name if another transaction has added one."""
        return row if self.add_if_new(row) else self.session.get_one(self._row, row.name)

    def lock(self, name: str) -> Row | None:
        """Return the current row, locked until the commit."""
        return self.reload(select(self._row).where(self._row.name == name).with_for_update()).first()

    def lock_against_change(self, name: str) -> Row | None:
        """Return the current row; others may read it, but not change it until the commit."""
        return self.reload(select(self._row).where(self._row.name == name).with_for_update(read=True)).first()
