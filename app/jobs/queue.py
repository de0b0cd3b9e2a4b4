"""Jobs: a trial's id, sent by task name. The Celery application of API and workers alike is made here."""

from __future__ import annotations

import logging
import os
import threading
import uuid
from pathlib import Path
from time import monotonic, time

from celery import Celery
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport.filesystem import Channel, Transport
from kombu.utils.json import dumps

from app.settings import Settings

TRAIN = "rdw.train"
QUEUE = "rdw"

_PROCESSED_KEPT_SECONDS = 3600
# A broker that is away or silent must not hold up a request: the trial is queued in SQL and is sent again later.
_IMPATIENT = {
    "socket_connect_timeout": 1,
    "socket_timeout": 2,
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.1,
}
# A message may come twice after this long; the claim makes that harmless (`services/leases.py`).
_VISIBILITY_SECONDS = 6 * 3600

log = logging.getLogger("rdw.jobs")


class AtomicFilesChannel(Channel):
    """kombu's files transport without its two ways of losing messages.

    A message is a whole file or none (kombu's own `_put` lets readers take half of one), and goes to the queue that its
    routing key names (kombu looks that up in a file, and drops the message where another thread has yet to write it).
    """

    supports_fanout = False

    def _put(self, queue: str, payload: dict[str, object], **kwargs: object) -> None:
        folder = Path(self.data_folder_out)
        unique = f"{round(monotonic() * 1000)}_{uuid.uuid4()}"
        whole = folder / f"{unique}.{queue}.msg"
        half = folder / f"{unique}.half"
        half.write_text(dumps(payload))
        os.replace(half, whole)

    def _lookup(self, exchange: str, routing_key: str, default: str | None = None) -> list[str]:
        return [routing_key]


class AtomicFilesTransport(Transport):
    Channel = AtomicFilesChannel


TRANSPORT_ALIASES["rdwfiles"] = f"{__name__}:AtomicFilesTransport"


def make_celery(settings: Settings) -> Celery:
    """The Celery application for these settings."""
    celery = Celery("rdw", broker=settings.broker_url or "rdwfiles://localhost", set_as_current=False)
    celery.conf.update(
        task_default_queue=QUEUE,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_enable_remote_control=not settings.embedded_broker,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        broker_transport_options=_transport_options(settings),
    )
    return celery


class JobQueue:
    """Sends trials to the workers, from a thread of its own: who asks for a training never waits for the broker."""

    def __init__(self, settings: Settings) -> None:
        self._celery = make_celery(settings)
        self._embedded = settings.embedded_broker
        self._pending: dict[str, None] = {}  # in order, each once
        self._changed = threading.Condition()
        self._closed = False
        self._sender: threading.Thread | None = None

    def send(self, trial_ids: list[str]) -> None:
        """Have each trial's message sent soon; where the broker is away that is logged: they are sent again later."""
        with self._changed:
            self._pending.update(dict.fromkeys(trial_ids))
            if self._sender is None and self._pending:
                self._sender = threading.Thread(target=self._send_all, name="sender", daemon=True)
                self._sender.start()
            self._changed.notify_all()

    def close(self, seconds: float = 2.0) -> None:
        """Send what is waiting, for so long at the most."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._sender is not None:
            self._sender.join(seconds)

    def _send_all(self) -> None:
        while (trial_id := self._next()) is not None:
            try:
                self._celery.send_task(TRAIN, args=[trial_id], retry=False)
            except Exception as error:  # whatever a transport raises: without this thread nothing would be sent
                log.warning("the broker took no message (%s); queued trials are sent again later", error)
                with self._changed:
                    self._pending.clear()

    def _next(self) -> str | None:
        with self._changed:
            self._changed.wait_for(lambda: self._pending or self._closed)
            trial_id = next(iter(self._pending), None)
            self._pending.pop(trial_id or "", None)
            return trial_id

    def ping(self) -> None:
        """Raises OperationalError or OSError where the broker does not answer."""
        if not self._embedded:
            with self._celery.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, interval_start=0, timeout=2)


def prune_processed(settings: Settings) -> None:
    """Delete the files of messages that were taken an hour ago or longer."""
    oldest = time() - _PROCESSED_KEPT_SECONDS
    for file in (settings.data_dir / "broker" / "processed").glob("*.msg"):
        if file.stat().st_mtime < oldest:
            file.unlink(missing_ok=True)


def _transport_options(settings: Settings) -> dict[str, object]:
    if not settings.embedded_broker:
        return {**_IMPATIENT, "visibility_timeout": _VISIBILITY_SECONDS}
    folders = {name: settings.data_dir / "broker" / name for name in ("messages", "processed")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    return {
        "data_folder_in": str(folders["messages"]),
        "data_folder_out": str(folders["messages"]),
        "processed_folder": str(folders["processed"]),
        "store_processed": True,
        "polling_interval": 0.1,
    }
