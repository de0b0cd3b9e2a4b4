"""Queries on folders whose images are being checked."""

from __future__ import annotations

from typing import Any

from sqlalchemy import or_, select
from sqlalchemy import update as sql_update

from app.db.repositories.base import Repository
from app.db.tables import DatasetCheckRow


class DatasetChecks(Repository):
    def get(self, name: str) -> DatasetCheckRow | None:
        return self.session.get(DatasetCheckRow, name)

    def list_all(self) -> list[DatasetCheckRow]:
        return list(self.session.scalars(select(DatasetCheckRow).order_by(DatasetCheckRow.name)))

    def claim(self, token: str, seconds: float) -> DatasetCheckRow | None:
        """Take the oldest check without a live lease; return None if every check has one."""
        now = self.clock()
        is_free = or_(DatasetCheckRow.token.is_(None), DatasetCheckRow.lease_expires < now)
        waiting = select(DatasetCheckRow.name).where(DatasetCheckRow.error.is_(None), is_free)
        for name in self.session.scalars(waiting.order_by(DatasetCheckRow.created_at)):
            statement = sql_update(DatasetCheckRow).where(DatasetCheckRow.name == name, is_free)
            if self.execute_update(statement.values(token=token, lease_expires=now + seconds)):
                return self.reload(select(DatasetCheckRow).where(DatasetCheckRow.name == name)).first()
        return None

    def update(self, name: str, token: str, **values: Any) -> bool:
        """Change a check that this token has; return False if it has not, or the check was deleted."""
        statement = sql_update(DatasetCheckRow).where(DatasetCheckRow.name == name, DatasetCheckRow.token == token)
        return self.execute_update(statement.values(**values))

    def release(self, name: str, token: str) -> None:
        """Let another process check the folder."""
        statement = sql_update(DatasetCheckRow).where(DatasetCheckRow.name == name, DatasetCheckRow.token == token)
        self.execute_update(statement.values(token=None))
