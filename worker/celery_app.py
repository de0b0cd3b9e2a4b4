"""The worker's Celery application: `celery -A worker.celery_app worker --pool solo` (or `rdw worker`)."""

from __future__ import annotations

import os
import socket
import sys
import warnings
from typing import Any

from celery.exceptions import SecurityWarning
from celery.signals import setup_logging, worker_ready, worker_shutdown, worker_shutting_down

from app.jobs import TRAIN, make_celery
from app.logs import configure
from app.settings import get_settings
from worker import devices
from worker.leases import Heartbeat
from worker.trials import train_trial

# Said of every container; what it warns of, messages that are pickles, we do not take (`accept_content`).
warnings.filterwarnings("ignore", "You're running the worker with superuser privileges", SecurityWarning)

settings = get_settings()
try:
    device = devices.chosen(settings)
except devices.DeviceError as error:  # before a trial is taken that could not be trained
    sys.exit(str(error))
celery = make_celery(settings)
heartbeat = Heartbeat(settings, owner=f"{socket.gethostname()}:{os.getpid()}", device=device.name)


@celery.task(name=TRAIN)
def train(trial_id: str) -> None:
    train_trial(settings, heartbeat, trial_id)


@setup_logging.connect
def _log(**_: Any) -> None:
    configure(settings.log_format)


@worker_ready.connect
def _begin(**_: Any) -> None:
    heartbeat.start()


@worker_shutting_down.connect
def _wind_up(**_: Any) -> None:
    heartbeat.stopping.set()


@worker_shutdown.connect
def _end(**_: Any) -> None:
    heartbeat.end()
