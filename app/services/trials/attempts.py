"""A trial's attempts, derived from its state changes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from app.core.trials import AttemptOutcome, TrialState
from app.db.tables import EventRow


@dataclass(frozen=True)
class Attempt:
    """One attempt of a worker at a trial; `ended_at`, `outcome` and `reason` are None while it runs."""

    worker: str
    started_at: datetime
    ended_at: datetime | None = None
    outcome: AttemptOutcome | None = None
    reason: str | None = None


def list_attempts(changes: list[EventRow]) -> list[Attempt]:
    """Derive the attempts, in order, from the trial's state changes in order."""
    attempts: list[Attempt] = []
    for change in changes:
        is_running = bool(attempts) and attempts[-1].ended_at is None
        if is_running:
            outcome, reason = _parse_outcome(change.data)
            attempts[-1] = replace(attempts[-1], ended_at=change.created_at, outcome=outcome, reason=reason)
        if change.data["state"] == TrialState.RUNNING:
            attempts.append(Attempt(change.data["worker"], change.created_at))
    return attempts


def _parse_outcome(change: dict[str, Any]) -> tuple[AttemptOutcome, str | None]:
    state = TrialState(change["state"])
    if change.get("lost") or state == TrialState.RUNNING:  # another worker claimed it: this one had lost the trial
        return AttemptOutcome.LOST, change.get("error") or "Its worker died or stopped sending heartbeats."
    if state == TrialState.QUEUED:
        outcome = AttemptOutcome.REACHED_RUNG if change.get("reached_rung") else AttemptOutcome.RELEASED
        return outcome, change.get("reason")
    return AttemptOutcome(state), change.get("error")
