"""Queries on API keys."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import or_, select, update

from app.db.pagination import Page, read_page
from app.db.repositories.base import Repository
from app.db.tables import ApiKeyRow, ArchitectureRow, DatasetRow, PredictorRow, StudyRow, TrialRow


class ApiKeys(Repository):
    def list_all(self) -> list[ApiKeyRow]:
        return list(self.session.scalars(select(ApiKeyRow).order_by(ApiKeyRow.created_at, ApiKeyRow.id)))

    def get(self, key_id: str) -> ApiKeyRow | None:
        return self.session.get(ApiKeyRow, key_id)

    def page(self, limit: int, cursor: str | None) -> Page[ApiKeyRow]:
        """Return a page of the keys, newest first."""
        return read_page(self.session, select(ApiKeyRow), ApiKeyRow, limit, cursor)

    def is_empty(self) -> bool:
        """Whether there was never a key."""
        return self.session.scalars(select(ApiKeyRow.id).limit(1)).first() is None

    def by_id_or_name(self, id_or_name: str) -> ApiKeyRow | None:
        return self.session.scalars(
            select(ApiKeyRow).where(or_(ApiKeyRow.id == id_or_name, ApiKeyRow.name == id_or_name))
        ).first()

    def transfer(self, owner: str, new_owner: str) -> None:
        """Let everything of an owner belong to another one; both are given by the name of their key."""
        for kind in (ArchitectureRow, DatasetRow, PredictorRow, StudyRow, TrialRow):
            self.session.execute(update(kind).where(kind.owner == owner).values(owner=new_owner))

    def record_uses(self, last: dict[str, datetime]) -> None:
        """Record when each key, given by id, was last used."""
        for key_id, at in last.items():
            self.session.execute(update(ApiKeyRow).where(ApiKeyRow.id == key_id).values(last_used_at=at))
