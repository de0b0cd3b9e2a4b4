"""A trial's attempts, read off the changes of its state."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from app.db.tables import EventRow

Outcome = Literal["completed", "failed", "cancelled", "lost", "handed_back", "held"]


@dataclass(frozen=True)
class Attempt:
    """One worker's go at a trial; `outcome` and what follows are none while it is under way."""

    worker: str
    started_at: datetime
    ended_at: datetime | None = None
    outcome: Outcome | None = None
    reason: str | None = None


def attempts(changes: list[EventRow]) -> list[Attempt]:
    """In order, from the changes of the trial's state in order."""
    found: list[Attempt] = []
    for change in changes:
        under_way = bool(found) and found[-1].ended_at is None
        if under_way:
            outcome, reason = _end(change.data)
            found[-1] = replace(found[-1], ended_at=change.created_at, outcome=outcome, reason=reason)
        if change.data["state"] == "running":
            found.append(Attempt(change.data["worker"], change.created_at))
    return found


def _end(change: dict[str, Any]) -> tuple[Outcome, str | None]:
    if change.get("lost") or change["state"] == "running":  # another's turn: so this worker had lost it
        return "lost", change.get("error") or "Its worker died or fell silent."
    if change["state"] == "queued":
        return "held" if change.get("held") else "handed_back", change.get("why")
    return change["state"], change.get("error")
