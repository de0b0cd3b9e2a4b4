"""Queries on requests with idempotency keys and their stored responses."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select

from app.db.repositories.base import Repository
from app.db.tables import IdempotencyRow


class IdempotencyRecords(Repository):
    def lock(self, caller: str, key: str) -> IdempotencyRow | None:
        """Return the current row, locked until the commit."""
        query = (
            select(IdempotencyRow).where(IdempotencyRow.caller == caller, IdempotencyRow.key == key).with_for_update()
        )
        return self.reload(query).first()

    def delete(self, row: IdempotencyRow) -> None:
        self.session.delete(row)

    def delete_before(self, when: datetime) -> None:
        self.session.execute(delete(IdempotencyRow).where(IdempotencyRow.created_at < when))
