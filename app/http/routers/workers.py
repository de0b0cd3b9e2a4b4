"""Who trains, and how long the line is."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter

from app.db.tables import WorkerRow
from app.deps import Config, Look
from app.problems import RESPONSES
from app.safe_routes import SafeRoute
from app.schemas.common import Listed
from app.schemas.workers import QueueAnswer, WorkerItem
from app.services import queue
from app.services.leases import SILENT_KEPT_SECONDS

router = APIRouter(
    prefix="/v1", tags=["workers"], responses={code: RESPONSES[code] for code in (401, 422)}, route_class=SafeRoute
)


@router.get("/workers", summary="List workers")
def list_workers(work: Look, settings: Config) -> Listed[WorkerItem]:
    """By name: those that live, and those that fell silent within the last hour."""
    alive = {worker.name for worker in work.workers.alive(settings.lease_seconds)}
    return Listed(items=[_item(w, w.name in alive) for w in work.workers.alive(SILENT_KEPT_SECONDS)])


@router.get("/queue", summary="Read the queue")
def read_queue(work: Look, settings: Config) -> QueueAnswer:
    """How many trials wait, are paused and run, and how long one that comes now would wait."""
    return QueueAnswer.model_validate(queue.queue(work, settings))


def _item(worker: WorkerRow, alive: bool) -> WorkerItem:
    return WorkerItem(
        name=worker.name,
        host=worker.name.rpartition(":")[0],
        device=worker.device,
        threads=worker.threads,
        alive=alive,
        trial=worker.trial_id,
        started_at=worker.started_at,
        heartbeat_at=datetime.fromtimestamp(worker.heartbeat_at, UTC),
    )
