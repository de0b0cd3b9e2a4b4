"""Image sets: the built-in ones and registered folders."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from app.datasets import BUILT_IN, Dataset
from app.db.tables import DatasetRow
from app.db.unit_of_work import UnitOfWork
from app.errors import Conflict, UnknownDataset
from app.image_folders import FolderError, describe


def find(work: UnitOfWork, name: str) -> Dataset:
    """Raises: UnknownDataset."""
    if name in BUILT_IN:
        return BUILT_IN[name]
    row = work.datasets.get(name)
    if row is None:
        known = ", ".join([*BUILT_IN, *(row.name for row in work.datasets.all())])
        raise UnknownDataset(f"There is no data set {name!r}. Known: {known}.")
    return Dataset(**row.spec)


def all_of_them(work: UnitOfWork) -> list[Dataset]:
    return [*BUILT_IN.values(), *(Dataset(**row.spec) for row in work.datasets.all())]


def register(work: UnitOfWork, name: str, folder: str, native_px: int, data_dir: Path) -> tuple[Dataset, bool]:
    """Keep an ImageFolder below the data root under a name; the data set, and whether it is new.

    Raises: UnknownDataset where the folder is none to train on; Conflict where the name means another data set.
    """
    try:
        found = describe(name, folder, native_px, data_dir)
    except FolderError as error:
        raise UnknownDataset(str(error)) from error
    row = work.datasets.get(name)
    known = BUILT_IN.get(name) or (Dataset(**row.spec) if row else None)
    if known is None:
        work.datasets.add(DatasetRow(name=name, spec=asdict(found)))
        work.commit()
        return found, True
    if known != found:
        raise Conflict(f"There is another data set named {name!r} already, or its images have changed since.")
    return known, False
