"""Routes of workers and the queue."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter

from app.db.tables import WorkerRow
from app.http.auth import READ
from app.http.dependencies import ReadUow, SettingsDep
from app.http.problems import RESPONSES
from app.http.route import ApiRoute
from app.http.schemas.common import Page, fields_in
from app.http.schemas.workers import QueueResponse, WorkerItem
from app.services.trials import queue
from app.services.trials.heartbeats import SILENT_WORKER_RETENTION_SECONDS

router = APIRouter(
    prefix="/v1", tags=["workers"], responses={code: RESPONSES[code] for code in (401, 422)}, route_class=ApiRoute
)


@router.get("/workers", summary="List workers", dependencies=[READ])
def list_workers(work: ReadUow, settings: SettingsDep) -> Page[WorkerItem]:
    """List the workers that are alive or sent a heartbeat within the last hour, by name."""
    alive = {worker.name for worker in work.workers.list_alive(settings.lease_seconds)}
    return Page(items=[_item(w, w.name in alive) for w in work.workers.list_alive(SILENT_WORKER_RETENTION_SECONDS)])


@router.get("/queue", summary="Read the queue", dependencies=[READ])
def read_queue(work: ReadUow, settings: SettingsDep) -> QueueResponse:
    """Read the number of queued, paused and running trials, and the estimated wait of a new one."""
    return QueueResponse.model_validate(queue.queue_status(work, settings))


def _item(worker: WorkerRow, alive: bool) -> WorkerItem:
    changed = {"alive": alive, "heartbeat_at": datetime.fromtimestamp(worker.heartbeat_at, UTC)}
    host, _, _ = worker.name.rpartition(":")
    return WorkerItem(**{**fields_in(worker, WorkerItem), **changed}, host=host, trial=worker.trial_id)
