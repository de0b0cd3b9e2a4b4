"""Registers image folders: small ones within the request, others by a check in the background.

A request works on a folder for a few seconds at most. What is not checked by then is left to `dataset_checks.py`. Until
that has ended the data set cannot be trained on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from app.core.errors import Conflict, UnknownDataset, UnreadableFiles
from app.data import fonts, image_folders
from app.data.builtin_datasets import BUILT_IN, Dataset
from app.data.folder_scan import FolderError
from app.data.image_checks import UnreadableImages
from app.data.image_folders import Examined
from app.db.tables import DatasetCheckRow
from app.db.unit_of_work import UnitOfWork
from app.services.catalog import dataset_checks, datasets, names
from app.services.catalog.dataset_checks import FolderRequest

REQUEST_SECONDS = 5.0  # that a request works on a folder

State = Literal["ready", "checking", "failed", "validated"]


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


class TimeIsUp(Exception):
    """The request has worked on the folder for long enough."""


def find(work: UnitOfWork, name: str) -> Registered:
    """Return a data set in any state. Raises: UnknownDataset."""
    check = work.dataset_checks.get(work.names.successor("dataset", name) or name)
    if check is not None and work.datasets.get(check.name) is None:
        return _of_check(check)
    dataset = datasets.find(work, name)
    row = work.datasets.get(dataset.name)  # it may have been looked up by a former name
    return _with_check(Registered(dataset, report=row.report if row else None), check)


def list_all(work: UnitOfWork) -> list[Registered]:
    """Return all data sets; those that are being checked for the first time come last."""
    checks = {check.name: check for check in work.dataset_checks.list_all()}
    registered = [
        _with_check(Registered(dataset), checks.pop(dataset.name, None)) for dataset in datasets.list_all(work)
    ]
    return [*registered, *map(_of_check, checks.values())]


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
        return find(work, name)
    work.release()  # reading takes long
    try:
        examined = examine_within_request(name, request, data_dir)
    except TimeIsUp:
        return _start_check(work, name, request)
    return _add(work, examined, request, data_dir)


def examine_within_request(name: str, request: FolderRequest, data_dir: Path) -> Examined:
    """Read a folder and decode its images within the time of a request.

    Raises: UnknownDataset if it cannot be trained on; TimeIsUp if it is too large for that.
    """
    try:
        return dataset_checks.examine(name, request, data_dir, _deadline())
    except FolderError as error:
        raise _refusal(error) from error


def validate(name: str, request: FolderRequest, data_dir: Path) -> Registered:
    """Say what would be understood of a folder, and register nothing.

    The digest is empty if there was not enough time to decode all images.
    Raises: UnknownDataset.
    """
    request = _locate(request, data_dir)
    try:
        deadline = _deadline()
        try:
            examined = dataset_checks.examine(name, request, data_dir, deadline)
        except TimeIsUp:
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
    except TimeIsUp:
        raise UnknownDataset(
            f"{request.folder!r} has too many files to be listed within a request: register it, which checks it in the "
            "background."
        ) from None
    return Registered(examined.dataset, "validated", examined.report)


def _deadline() -> Callable[[int, int], None]:
    end = time.monotonic() + REQUEST_SECONDS

    def check(done: int, of: int) -> None:
        if time.monotonic() >= end:
            raise TimeIsUp

    return check


def _locate(request: FolderRequest, data_dir: Path) -> FolderRequest:
    """Return the request with the folder in one spelling. Raises: UnknownDataset."""
    try:
        path = image_folders.locate(request.folder, data_dir)
    except FolderError as error:
        raise UnknownDataset(str(error)) from error
    return replace(request, folder=path.relative_to(image_folders.root(data_dir).resolve()).as_posix())


def _refusal(error: FolderError) -> UnknownDataset:
    if isinstance(error, UnreadableImages):
        return UnreadableFiles(str(error), error.files, error.count)
    return UnknownDataset(str(error))


def _add(work: UnitOfWork, examined: Examined, request: FolderRequest, data_dir: Path) -> Registered:
    name = examined.dataset.name
    dataset_checks.forget(work, name)
    is_new = name not in BUILT_IN and work.datasets.get(name) is None
    if is_new:
        names.require_free(work, "dataset", name)
    if is_new and work.datasets.add_if_new(dataset_checks.to_row(examined, work.caller.owner)):
        work.commit()
        return Registered(examined.dataset, report=examined.report, is_new=True)
    existing = datasets.find(work, name)
    if not datasets.is_same(existing, examined.dataset, data_dir):
        raise Conflict(f"Another data set is already named {name!r}, or its images have changed.")
    work.commit()
    return Registered(existing, report=examined.report)


def _start_check(work: UnitOfWork, name: str, request: FolderRequest) -> Registered:
    """Leave the check to the background. Raises: Conflict if a data set has the name."""
    if name in BUILT_IN or work.datasets.get(name) is not None:
        raise Conflict(
            f"A data set is already named {name!r}, and {request.folder!r} is too large to compare within a request: "
            "refresh it, or use another name."
        )
    names.require_free(work, "dataset", name)
    check = dataset_checks.start(work, name, request, work.caller.owner)
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
    return _with_check(Registered(dataset), check)


def _with_check(found: Registered, check: DatasetCheckRow | None) -> Registered:
    if check is None:
        return found
    if check.error is not None:
        return replace(found, state="failed", error=check.error)
    return replace(found, state="checking", progress=check.progress)
