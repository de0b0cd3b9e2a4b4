"""The states of trials and studies."""

from __future__ import annotations

from enum import StrEnum


class TrialState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StudyState(StrEnum):
    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


ENDED = frozenset({TrialState.COMPLETED, TrialState.FAILED, TrialState.CANCELLED})
