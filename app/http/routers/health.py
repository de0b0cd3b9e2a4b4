"""Routes of liveness and readiness."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from app.core.settings import Settings
from app.db.unit_of_work import UnitOfWork
from app.http.problems import RESPONSES

router = APIRouter(tags=["health"])
_PUBLIC: dict[str, Any] = {"security": []}
log = logging.getLogger("rdw.health")


class Health(BaseModel):
    """Whether the process is alive."""

    status: str = Field(description="Always `ok`.")


class Readiness(BaseModel):
    """Whether the service can work."""

    ready: bool = Field(description="Whether everything in `needs` is available.")
    database: str = Field(description="`ok`, or what is wrong.")
    broker: str = Field(description="`ok`, or what is wrong.")
    disk: str = Field(description="`ok`, or what is wrong: at least 100 MB and one file must be free.")
    workers: int = Field(description="Number of live workers.")


@router.get("/healthz", summary="Liveness", openapi_extra=_PUBLIC)
async def healthz() -> Health:
    """Check that the process responds."""
    return Health(status="ok")


Need = Literal["database", "broker", "disk", "workers"]
_NEEDS: list[Need] = ["database", "broker", "disk", "workers"]
_MIN_FREE_BYTES = 100_000_000  # a checkpoint of the largest baselines, and the messages of the file broker


@router.get(
    "/readyz", summary="Readiness", responses={422: RESPONSES[422], 503: {"model": Readiness}}, openapi_extra=_PUBLIC
)
def readyz(
    request: Request,
    response: Response,
    needs: Annotated[list[Need], Query(max_length=4, description="What must be available; all by default.")] = _NEEDS,
) -> Readiness:
    """Check that the database and the broker respond, that the disk has space and that a worker is alive.

    With `needs=database` it checks only what this process needs to scale networks and to queue trials.
    """
    settings: Settings = request.app.state.settings
    workers, database = _count_workers(settings)
    broker = _check_broker(request)
    disk = _check_disk(settings)
    available = {"database": database == "ok", "broker": broker == "ok", "disk": disk == "ok", "workers": workers > 0}
    ready = all(available[need] for need in needs)
    response.status_code = 200 if ready else 503
    return Readiness(ready=ready, database=database, broker=broker, disk=disk, workers=workers)


def _count_workers(settings: Settings) -> tuple[int, str]:
    try:
        with UnitOfWork(settings.database, writes=False) as work:
            return len(work.workers.list_alive(settings.lease_seconds)), "ok"
    except Exception as error:  # any error means not ready
        log.warning("not ready: %s", error)
        return 0, "does not answer, or has no tables yet"


def _check_broker(request: Request) -> str:
    try:
        request.app.state.jobs.ping()
    except Exception as error:
        log.warning("not ready: %s", error)
        return "does not answer"
    return "ok"


def _check_disk(settings: Settings) -> str:
    """Check the file systems of the data directory, of the embedded broker and of the file of SQLite."""
    folders = [settings.data_dir]
    if settings.embedded_broker:
        folders.append(settings.data_dir / "broker")
    if settings.database.startswith("sqlite:///"):
        folders.append(Path(settings.database.removeprefix("sqlite:///")).parent)
    for folder in folders:
        try:
            space = os.statvfs(next(place for place in (folder, *folder.parents) if place.exists()))
        except OSError as error:
            log.warning("not ready: %s", error)
            return "cannot be read"
        has_no_file_left = space.f_files > 0 and space.f_favail == 0
        if space.f_bavail * space.f_frsize < _MIN_FREE_BYTES or has_no_file_left:
            log.warning("not ready: the disk of %s is full", folder)
            return "is full: free some space for RDW_DATA_DIR"
    return "ok"
