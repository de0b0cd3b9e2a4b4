"""Workers and the queue."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, Field

from app.schemas.common import Answer
from app.schemas.trials import EstimateItem


class WorkerItem(Answer):
    name: str
    host: str
    device: str
    threads: int
    alive: bool = Field(description="Whether it was heard of within its lease.")
    trial: str | None = Field(description="The trial that it trains.")
    started_at: datetime | None
    heartbeat_at: datetime

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "trainer-1:4711",
                    "host": "trainer-1",
                    "device": "cpu",
                    "threads": 2,
                    "alive": True,
                    "trial": "803aea4a954945a2bdf908069763d3e5",
                    "started_at": "2026-01-02T03:04:05Z",
                    "heartbeat_at": "2026-01-02T04:05:06Z",
                }
            ]
        }
    )


class QueueAnswer(Answer):
    queued: int = Field(description="Trials that wait for a worker.")
    paused: int = Field(description="Trials that wait for their study to be resumed.")
    running: int
    workers: int = Field(description="Workers that live.")
    wait: EstimateItem | None = Field(
        description="Until a trial that is enqueued now, behind all others, begins; none where no worker lives."
    )

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "queued": 12,
                    "paused": 0,
                    "running": 2,
                    "workers": 2,
                    "wait": {"seconds": 840.0, "low": 600.0, "high": 1180.0, "trainings": 50},
                }
            ]
        }
    )
