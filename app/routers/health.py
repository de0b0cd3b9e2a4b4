"""Liveness and readiness."""

from __future__ import annotations

import logging
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from app.db.unit_of_work import UnitOfWork
from app.settings import Settings

router = APIRouter(tags=["health"])
log = logging.getLogger("rdw.health")


class Health(BaseModel):
    status: str


class Readiness(BaseModel):
    """What is there: `ok`, or what is wrong with it."""

    ready: bool
    database: str
    broker: str
    workers: int


@router.get("/healthz", summary="Liveness")
async def healthz() -> Health:
    """The process answers."""
    return Health(status="ok")


Need = Literal["database", "broker", "workers"]
_NEEDS: list[Need] = ["database", "broker", "workers"]


@router.get("/readyz", summary="Readiness", responses={503: {"model": Readiness}})
def readyz(
    request: Request,
    response: Response,
    needs: Annotated[
        list[Need], Query(max_length=3, description="What has to be there; all, where none is named.")
    ] = _NEEDS,
) -> Readiness:
    """Whether the database and the broker answer and a worker lives.

    With `needs=database` alone it says whether this process can answer: it scales, and takes trials for later.
    """
    settings: Settings = request.app.state.settings
    workers, database = _workers(settings)
    broker = _broker(request)
    there = {"database": database == "ok", "broker": broker == "ok", "workers": workers > 0}
    ready = all(there[need] for need in needs)
    response.status_code = 200 if ready else 503
    return Readiness(ready=ready, database=database, broker=broker, workers=workers)


def _workers(settings: Settings) -> tuple[int, str]:
    try:
        with UnitOfWork(settings.database, writes=False) as work:
            return len(work.workers.alive(settings.lease_seconds)), "ok"
    except Exception as error:  # whatever it is, the answer is that we are not ready
        log.warning("not ready: %s", error)
        return 0, "does not answer, or has no tables yet"


def _broker(request: Request) -> str:
    try:
        request.app.state.jobs.ping()
    except Exception as error:
        log.warning("not ready: %s", error)
        return "does not answer"
    return "ok"
