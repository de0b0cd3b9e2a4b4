"""The job queue: sends trial ids to the workers by Celery. API and workers share this Celery application."""

from __future__ import annotations

import logging
import threading

from celery import Celery

from app.core.settings import Settings
from app.jobs import file_broker

TRAIN = "rdw.train"
QUEUE = "rdw"

# An unavailable broker must not delay a request: the trial is queued in the database and is sent again later.
_FAIL_FAST = {
    "socket_connect_timeout": 1,
    "socket_timeout": 2,
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.1,
}
# A message may be delivered again after this time; claims make that harmless (`services/trials/lifecycle.py`).
_VISIBILITY_SECONDS = 6 * 3600

log = logging.getLogger("rdw.jobs")


def make_celery(settings: Settings) -> Celery:
    """Create the Celery application for these settings."""
    celery = Celery("rdw", broker=settings.broker_url or file_broker.URL, set_as_current=False)
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
    """Sends trials to the workers from a background thread, so that requests never wait for the broker."""

    def __init__(self, settings: Settings) -> None:
        self._celery = make_celery(settings)
        self._embedded = settings.embedded_broker
        self._pending: dict[str, None] = {}  # an ordered set
        self._changed = threading.Condition()
        self._closed = False
        self._sender: threading.Thread | None = None

    def send(self, trial_ids: list[str]) -> None:
        """Schedule a message for each trial; if the broker is unavailable, log it: messages are sent again later."""
        with self._changed:
            self._pending.update(dict.fromkeys(trial_ids))
            if self._sender is None and self._pending:
                self._sender = threading.Thread(target=self._send_all, name="sender", daemon=True)
                self._sender.start()
            self._changed.notify_all()

    def close(self, seconds: float = 2.0) -> None:
        """Send pending messages, for at most `seconds`, and close the connections to the broker."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._sender is not None:
            self._sender.join(seconds)
            self._celery.pool.force_close_all()  # type: ignore[attr-defined]  # typed as a pool of producers

    def _send_all(self) -> None:
        while (trial_id := self._next()) is not None:
            try:
                self._celery.send_task(TRAIN, args=[trial_id], retry=False)
            except Exception as error:  # transports raise all kinds of errors; the thread must survive them
                log.warning("could not send a message to the broker (%s); queued trials are sent again later", error)
                with self._changed:
                    self._pending.clear()

    def _next(self) -> str | None:
        with self._changed:
            self._changed.wait_for(lambda: self._pending or self._closed)
            trial_id = next(iter(self._pending), None)
            self._pending.pop(trial_id or "", None)
            return trial_id

    def ping(self) -> None:
        """Raise OperationalError or OSError if the broker does not answer."""
        if not self._embedded:
            with self._celery.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, interval_start=0, timeout=2)


def _transport_options(settings: Settings) -> dict[str, object]:
    if not settings.embedded_broker:
        return {**_FAIL_FAST, "visibility_timeout": _VISIBILITY_SECONDS}
    return file_broker.transport_options(settings)
