"""The worker's Celery application: `celery -A worker.celery_app worker --pool solo` (or `rdw worker`)."""

from __future__ import annotations

import os
import socket
import sys
import warnings
from typing import Any

from celery.exceptions import SecurityWarning
from celery.signals import setup_logging, worker_init, worker_ready, worker_shutdown, worker_shutting_down

from app.core.logging import configure
from app.core.settings import get_settings
from app.jobs.liveness import SignOfLife
from app.jobs.queue import TRAIN, make_celery
from worker import devices
from worker.heartbeat import Heartbeat
from worker.run_trial import train_next_trial
from worker.watchdog import Watchdog

# Celery warns about root because of pickled messages, which are not accepted here (`accept_content`).
warnings.filterwarnings("ignore", "You're running the worker with superuser privileges", SecurityWarning)

settings = get_settings()
try:
    device = devices.select_device(settings)
except devices.DeviceError as error:  # before the worker claims a trial that it cannot train
    sys.exit(str(error))
celery = make_celery(settings)
name = f"{socket.gethostname()}:{os.getpid()}"
heartbeat = Heartbeat(settings, owner=name, device=device.name)
sign_of_life = SignOfLife(settings, name)


@celery.task(name=TRAIN)
def train(trial_id: str) -> None:
    train_next_trial(settings, heartbeat, trial_id)


@setup_logging.connect
def _configure_logging(**_: Any) -> None:
    configure(settings.log_format)


@worker_init.connect  # it may have to wait for the broker until it is ready
def _start_sign_of_life(**_: Any) -> None:
    sign_of_life.start()


@worker_ready.connect
def _start_heartbeat(**_: Any) -> None:
    heartbeat.start()
    Watchdog(settings, heartbeat).watch_main_thread()


@worker_shutting_down.connect
def _request_shutdown(**_: Any) -> None:
    heartbeat.shutdown_requested.set()


@worker_shutdown.connect
def _stop_heartbeat(**_: Any) -> None:
    sign_of_life.stop()
    heartbeat.stop()
