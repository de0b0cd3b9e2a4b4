"""Schemas of workers and the queue."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, Field

from app.http.schemas.common import ResponseModel
from app.http.schemas.trials import EstimateItem


class WorkerItem(ResponseModel):
    """A worker process."""

    name: str = Field(description="Name of the worker.")
    host: str = Field(description="Host name of its machine.")
    device: str = Field(description="Device on which it trains.")
    threads: int = Field(description="Number of CPU threads.")
    alive: bool = Field(description="Whether its last heartbeat is recent enough.")
    trial: str | None = Field(description="Id of the trial that it trains; null if it is idle.")
    started_at: datetime | None = Field(description="When the process started.")
    heartbeat_at: datetime = Field(description="Time of its last heartbeat.")

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


class QueueResponse(ResponseModel):
    """The state of the queue."""

    queued: int = Field(description="Number of trials that wait for a worker.")
    paused: int = Field(description="Number of trials whose study is paused.")
    running: int = Field(description="Number of trials that are being trained.")
    workers: int = Field(description="Number of live workers.")
    wait: EstimateItem | None = Field(
        description="Estimated wait of a trial that is queued now; null without live workers."
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
