"""Checks image folders that are too large for a request in the background, with progress.

Every API process runs `run_checks`; a lease gives each folder to one of them at a time. A folder is checked when it is
registered, and when its data set is refreshed: that has its former images until the check has ended.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

from app.core.settings import Settings
from app.data import image_folders
from app.data.builtin_datasets import Channels, Layout
from app.data.folder_scan import FolderError
from app.data.image_folders import Examined
from app.db.outage_log import OutageLog
from app.db.session import DatabaseUnavailable
from app.db.tables import DatasetCheckRow, DatasetRow
from app.db.unit_of_work import UnitOfWork
from app.scaling.resolution import Resolution, to_resolution

log = logging.getLogger("rdw.datasets")

_LEASE_SECONDS = 120.0
_REPORT_SECONDS = 2.0
_READERS = max(1, (os.cpu_count() or 1) // 2)  # threads that decode, so that the API keeps half of the cores


@dataclass(frozen=True)
class FolderRequest:
    """A folder to register, and how its images are read."""

    folder: str
    native_px: Resolution
    layout: Layout | None
    background: str
    channels: Channels | None = None  # None: 1 if all images are grey, otherwise 3

    def __post_init__(self) -> None:
        object.__setattr__(self, "native_px", to_resolution(self.native_px))  # in stored requests a list


class _Stopped(Exception):
    """The process shuts down, or the check was deleted or taken over."""


def start(work: UnitOfWork, name: str, request: FolderRequest, owner: str | None) -> DatasetCheckRow:
    """Leave a folder to the background, instead of a check that has failed."""
    forget(work, name)
    check = DatasetCheckRow(name=name, owner=owner, request=asdict(request), progress={"images": 0, "total": 0})
    work.dataset_checks.add_if_new(check)
    return check


def forget(work: UnitOfWork, name: str) -> None:
    """Delete the check of that name, if there is one."""
    check = work.dataset_checks.get(name)
    if check is not None:
        work.dataset_checks.delete(check)


def examine(name: str, request: FolderRequest, data_dir: Path, on_read: Callable[[int, int], None]) -> Examined:
    """Read a folder and decode its images. Raises: FolderError; what `on_read` raises."""
    return image_folders.examine(
        name,
        request.folder,
        request.native_px,
        data_dir,
        layout=request.layout,
        background=request.background,
        channels=request.channels,
        readers=_READERS,
        on_read=on_read,
    )


def to_row(examined: Examined, owner: str | None) -> DatasetRow:
    return DatasetRow(name=examined.dataset.name, owner=owner, spec=asdict(examined.dataset), report=examined.report)


def run_checks(settings: Settings, stop: threading.Event) -> None:
    """Check folders, until `stop`."""
    outages = OutageLog(log, "check data sets")
    while not stop.is_set():
        try:
            while run_next_check(settings, stop):
                pass
            outages.recovered()
        except DatabaseUnavailable:
            pass  # the maintenance loop runs in the same process and logs this
        except Exception as error:  # logged, and retried in the next round
            outages.failure(error)
        stop.wait(settings.reconcile_seconds)


def run_next_check(settings: Settings, stop: threading.Event) -> bool:
    """Check the oldest folder that waits, to its end; return whether there was one."""
    token = uuid4().hex
    with UnitOfWork(settings.database) as work:
        check = work.dataset_checks.claim(token, _LEASE_SECONDS)
        if check is None or stop.is_set():
            return False
        work.commit()
    name, request = check.name, FolderRequest(**check.request)
    log.info("data set %s: checking %s", name, request.folder)
    try:
        examined = examine(name, request, settings.data_dir, _progress_writer(settings, name, token, stop))
    except FolderError as error:
        log.warning("data set %s cannot be used: %s", name, error)
        with UnitOfWork(settings.database) as work:
            work.dataset_checks.update(name, token, error=str(error))
            work.commit()
        return True
    except _Stopped:
        with UnitOfWork(settings.database) as work:
            work.dataset_checks.release(name, token)
            work.commit()
        return not stop.is_set()
    with UnitOfWork(settings.database) as work:
        if work.dataset_checks.update(name, token, lease_expires=0.0):
            forget(work, name)
            _store(work, examined, check.owner)
            work.commit()
            log.info("data set %s is ready", name)
    return True


def _progress_writer(settings: Settings, name: str, token: str, stop: threading.Event) -> Callable[[int, int], None]:
    last = time.monotonic()

    def write(done: int, of: int) -> None:
        nonlocal last
        if stop.is_set():
            raise _Stopped
        if time.monotonic() - last < _REPORT_SECONDS:
            return
        last = time.monotonic()
        with UnitOfWork(settings.database) as work:
            lease = work.dataset_checks.clock() + _LEASE_SECONDS
            progress = {"images": done, "total": of}
            if not work.dataset_checks.update(name, token, progress=progress, lease_expires=lease):
                raise _Stopped
            work.commit()

    return write


def _store(work: UnitOfWork, examined: Examined, owner: str | None) -> None:
    row = work.datasets.lock(examined.dataset.name)
    if row is None:
        work.datasets.add_if_new(to_row(examined, owner))
    else:
        row.spec, row.report = asdict(examined.dataset), examined.report
