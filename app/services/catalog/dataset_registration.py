"""Registers image folders: small ones within the request, others by a check in the background with progress.

A request works on a folder for a few seconds at most. What is not checked by then is left to `run_checks`, which every
API process runs; a lease gives each folder to one of them at a time. Until then the data set cannot be trained on.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from app.core.errors import Conflict, UnknownDataset, UnreadableFiles
from app.core.settings import Settings
from app.data import fonts, image_folders
from app.data.builtin_datasets import BUILT_IN, Channels, Dataset, Layout
from app.data.folder_scan import FolderError
from app.data.image_checks import UnreadableImages
from app.data.image_folders import Examined
from app.db.outage_log import OutageLog
from app.db.session import DatabaseUnavailable
from app.db.tables import DatasetCheckRow, DatasetRow
from app.db.unit_of_work import UnitOfWork
from app.scaling.resolution import Resolution, to_resolution
from app.services.catalog import datasets, names

log = logging.getLogger("rdw.datasets")

REQUEST_SECONDS = 5.0  # that a request works on a folder
_LEASE_SECONDS = 120.0
_REPORT_SECONDS = 2.0
_READERS = max(1, (os.cpu_count() or 1) // 2)  # threads that decode, so that the API keeps half of the cores

State = Literal["ready", "checking", "failed", "validated"]


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


@dataclass(frozen=True)
class Registered:
    """A data set, its state, and what was understood of its folder if that is known.

    `progress` has the numbers of `images` checked and in `total` while it is being checked; `error` says why it failed.
    """

    dataset: Dataset
    state: State = "ready"
    report: dict[str, Any] | None = None
    progress: dict[str, int] | None = None
    error: str | None = None
    is_new: bool = False


class _TimeIsUp(Exception):
    """The request has worked on the folder for long enough."""


class _Stopped(Exception):
    """The process shuts down, or the check was deleted or taken over."""


def find(work: UnitOfWork, name: str) -> Registered:
    """Return a data set in any state. Raises: UnknownDataset."""
    check = work.dataset_checks.get(name)
    if check is not None:
        return _of_check(check)
    dataset = datasets.find(work, name)
    row = work.datasets.get(dataset.name)  # it may have been looked up by a former name
    return Registered(dataset, report=row.report if row else None)


def list_all(work: UnitOfWork) -> list[Registered]:
    """Return all data sets, those that are not ready last."""
    ready = [Registered(dataset) for dataset in datasets.list_all(work)]
    return [*ready, *map(_of_check, work.dataset_checks.list_all())]


def register(work: UnitOfWork, name: str, request: FolderRequest, data_dir: Path) -> Registered:
    """Register an image folder below the data root; its state is `checking` if that takes more than a few seconds.

    Raises: UnknownDataset if the folder cannot be trained on; Conflict if the name is taken by another data set.
    """
    if fonts.is_typefaces_name(name):
        raise Conflict(f"{name!r} is reserved for data sets rendered from fonts; use another name.")
    request = _locate(request, data_dir)
    existing = work.datasets.get(name)
    if request.channels is None and existing is not None:
        request = replace(request, channels=existing.spec["channels"])
    check = work.dataset_checks.get(name)
    if check is not None and check.error is None:
        if FolderRequest(**check.request) != request:
            raise Conflict(f"Another folder is being checked under the name {name!r}.")
        return _of_check(check)
    work.release()  # reading takes long
    try:
        examined = _examine(name, request, data_dir, _deadline())
    except FolderError as error:
        raise _refusal(error) from error
    except _TimeIsUp:
        return _start_check(work, name, request)
    return _add(work, examined, request, data_dir)


def examine_within_request(name: str, request: FolderRequest, data_dir: Path) -> Examined:
    """Read a folder and decode its images within the time of a request.

    Raises: UnknownDataset if it cannot be trained on, or is too large for that.
    """
    try:
        return _examine(name, request, data_dir, _deadline())
    except FolderError as error:
        raise _refusal(error) from error
    except _TimeIsUp:
        raise UnknownDataset(
            f"{request.folder!r} is too large to be read again within a request: register it under another name."
        ) from None


def validate(name: str, request: FolderRequest, data_dir: Path) -> Registered:
    """Say what would be understood of a folder, and register nothing.

    The digest is empty if there was not enough time to decode all images.
    Raises: UnknownDataset.
    """
    request = _locate(request, data_dir)
    try:
        deadline = _deadline()
        try:
            examined = _examine(name, request, data_dir, deadline)
        except _TimeIsUp:
            deadline = _deadline()
            examined = image_folders.preview(
                name,
                request.folder,
                request.native_px,
                data_dir,
                layout=request.layout,
                background=request.background,
                channels=request.channels,
                check_stop=lambda: deadline(0, 0),
            )
    except FolderError as error:
        raise _refusal(error) from error
    except _TimeIsUp:
        raise UnknownDataset(
            f"{request.folder!r} has too many files to be listed within a request: register it, which checks it in the "
            "background."
        ) from None
    return Registered(examined.dataset, "validated", examined.report)


def run_checks(settings: Settings, stop: threading.Event) -> None:
    """Check folders that are too large for a request, until `stop`."""
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
        examined = _examine(name, request, settings.data_dir, _progress_writer(settings, name, token, stop))
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
            work.dataset_checks.delete(work.dataset_checks.get(name))
            work.datasets.add_if_new(_to_row(examined, check.owner))
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


def _deadline() -> Callable[[int, int], None]:
    end = time.monotonic() + REQUEST_SECONDS

    def check(done: int, of: int) -> None:
        if time.monotonic() >= end:
            raise _TimeIsUp

    return check


def _locate(request: FolderRequest, data_dir: Path) -> FolderRequest:
    """Return the request with the folder in one spelling. Raises: UnknownDataset."""
    try:
        path = image_folders.locate(request.folder, data_dir)
    except FolderError as error:
        raise UnknownDataset(str(error)) from error
    return replace(request, folder=path.relative_to(image_folders.root(data_dir).resolve()).as_posix())


def _examine(name: str, request: FolderRequest, data_dir: Path, on_read: Callable[[int, int], None]) -> Examined:
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


def _refusal(error: FolderError) -> UnknownDataset:
    if isinstance(error, UnreadableImages):
        return UnreadableFiles(str(error), error.files, error.count)
    return UnknownDataset(str(error))


def _add(work: UnitOfWork, examined: Examined, request: FolderRequest, data_dir: Path) -> Registered:
    name = examined.dataset.name
    failed_check = work.dataset_checks.get(name)
    if failed_check is not None:
        work.dataset_checks.delete(failed_check)
    is_new = name not in BUILT_IN and work.datasets.get(name) is None
    if is_new:
        names.require_free(work, "dataset", name)
    if is_new and work.datasets.add_if_new(_to_row(examined, work.caller.owner)):
        work.commit()
        return Registered(examined.dataset, report=examined.report, is_new=True)
    existing = datasets.find(work, name)
    if not datasets.is_same(existing, examined.dataset, data_dir):
        raise Conflict(f"Another data set is already named {name!r}, or its images have changed.")
    return Registered(existing, report=examined.report)


def _to_row(examined: Examined, owner: str | None) -> DatasetRow:
    return DatasetRow(name=examined.dataset.name, owner=owner, spec=asdict(examined.dataset), report=examined.report)


def _start_check(work: UnitOfWork, name: str, request: FolderRequest) -> Registered:
    """Leave the check to the background. Raises: Conflict if a data set has the name."""
    if name in BUILT_IN or work.datasets.get(name) is not None:
        raise Conflict(
            f"A data set is already named {name!r}, and {request.folder!r} is too large to compare within a request: "
            "use another name."
        )
    names.require_free(work, "dataset", name)
    failed_check = work.dataset_checks.get(name)
    if failed_check is not None:
        work.dataset_checks.delete(failed_check)
    check = DatasetCheckRow(
        name=name, owner=work.caller.owner, request=asdict(request), progress={"images": 0, "total": 0}
    )
    work.dataset_checks.add_if_new(check)
    work.commit()
    return replace(_of_check(check), is_new=True)


def _of_check(check: DatasetCheckRow) -> Registered:
    request = FolderRequest(**check.request)
    dataset = Dataset(
        name=check.name,
        kind="folder",
        num_classes=0,
        channels=request.channels or 3,
        native_px=request.native_px,
        train_images=None,
        test_images=None,
        digest="",
        description=f"Images in {request.folder!r}.",
        folder=request.folder,
        layout=request.layout,
        background=request.background,
    )
    if check.error is not None:
        return Registered(dataset, "failed", error=check.error)
    return Registered(dataset, "checking", progress=check.progress)
