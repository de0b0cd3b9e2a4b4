"""Queries on requests with idempotency keys and their stored responses."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CursorResult, delete, func, select

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

    def newest_beyond(self, caller: str, limit: int, row_bytes: int) -> datetime | None:
        """Return when the newest request was made whose response exceeds the caller's limit of bytes, if one does.

        Newer responses count first, each with its body and `row_bytes`.
        """
        row = IdempotencyRow
        size = func.length(row.body) + row_bytes
        sizes = (
            select(row.created_at, func.sum(size).over(order_by=(row.created_at.desc(), row.key)).label("used"))
            .where(row.caller == caller, row.body.is_not(None))
            .subquery()
        )
        newest: datetime | None = self.session.scalar(select(func.max(sizes.c.created_at)).where(sizes.c.used > limit))
        return newest

    def delete_responses(self, caller: str, until: datetime) -> int:
        """Delete the caller's requests until that time that have a response; return their number."""
        row = IdempotencyRow
        statement = delete(row).where(row.caller == caller, row.body.is_not(None), row.created_at <= until)
        result = self.session.execute(statement)
        assert isinstance(result, CursorResult)
        return result.rowcount

    def delete_before(self, when: datetime) -> None:
        self.session.execute(delete(IdempotencyRow).where(IdempotencyRow.created_at < when))
