"""Changes that every resource allows: its name, its description, and whether it is archived."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from app.db.tables import utc_now


class Describable(Protocol):
    """A row with a description that can be archived."""

    description: str | None
    archived_at: datetime | None


@dataclass(frozen=True)
class Changes:
    """The requested values; None leaves what is there. An empty description removes it."""

    name: str | None = None
    description: str | None = None
    archived: bool | None = None

    def describe(self, row: Describable) -> None:
        """Change the description and whether the resource is archived."""
        if self.description is not None:
            row.description = self.description or None
        if self.archived is not None:
            row.archived_at = (row.archived_at or utc_now()) if self.archived else None
