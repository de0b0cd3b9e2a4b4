"""Image sets: the built-in ones, registered folders, and those drawn from fonts."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from app import image_folders, typefaces
from app.datasets import BUILT_IN, FASHION_MNIST, Dataset, fashion_mnist_folder, scenes_missing
from app.db.tables import DatasetRow
from app.db.unit_of_work import UnitOfWork
from app.errors import Conflict, UnknownDataset
from app.image_folders import FolderError, describe


def find(work: UnitOfWork, name: str) -> Dataset:
    """The data set of that name. One that is drawn from fonts is settled, and kept, when it is first asked for.

    Raises: UnknownDataset.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    row = work.datasets.get(name)
    if row is not None:
        return Dataset(**row.spec)
    if typefaces.is_one(name):
        return _settled(work, name)
    known = ", ".join(dataset.name for dataset in all_of_them(work))
    raise UnknownDataset(f"There is no data set {name!r}. Known: {known}.")


def all_of_them(work: UnitOfWork) -> list[Dataset]:
    """The digest of `typefaces` is empty before it is settled."""
    kept = [Dataset(**row.spec) for row in work.datasets.all()]
    unsettled = [] if any(d.name == typefaces.NAME for d in kept) else [typefaces.dataset(typefaces.NAME, "")]
    return [*BUILT_IN.values(), *unsettled, *kept]


def missing(dataset: Dataset, data_dir: Path) -> str | None:
    """Why it cannot be read on this machine, and how to get it; none where it can."""
    if dataset.kind == "typefaces":
        return typefaces.missing(dataset.digest)
    if dataset.kind == "scenes":
        return scenes_missing(data_dir)
    if dataset.folder is not None:
        try:
            image_folders.located(dataset.folder, data_dir)
        except FolderError as error:
            return str(error)
    if dataset == FASHION_MNIST and fashion_mnist_folder(data_dir) is None:
        return f"It is not on this machine: run `python -m worker.fetch {dataset.name}`."
    return None


def counted(dataset: Dataset, data_dir: Path) -> Dataset:
    """With the numbers of images, where they are known by now."""
    counts = typefaces.counts(data_dir, dataset.digest) if dataset.kind == "typefaces" else None
    return dataset if counts is None else replace(dataset, train_images=counts[0], test_images=counts[1])


def _settled(work: UnitOfWork, name: str) -> Dataset:
    try:
        found = typefaces.describe(name)
    except typefaces.FontsError as error:
        raise UnknownDataset(str(error)) from error
    row = work.datasets.add_unless_there(DatasetRow(name=name, spec=asdict(found)))
    work.commit(last=False)  # whatever becomes of the request that asked first
    return Dataset(**row.spec)


def register(work: UnitOfWork, name: str, folder: str, native_px: int, data_dir: Path) -> tuple[Dataset, bool]:
    """Keep an ImageFolder below the data root under a name; the data set, and whether it is new.

    Raises: UnknownDataset where the folder is none to train on; Conflict where the name means another data set.
    """
    if typefaces.is_one(name):
        raise Conflict(f"{name!r} is a set drawn from fonts; take another name.")
    try:
        found = describe(name, folder, native_px, data_dir)
    except FolderError as error:
        raise UnknownDataset(str(error)) from error
    is_new = name not in BUILT_IN and work.datasets.get(name) is None
    if is_new and work.datasets.add_if_new(DatasetRow(name=name, spec=asdict(found))):
        work.commit()
        return found, True
    known = find(work, name)
    if not _same(known, found, data_dir):
        raise Conflict(f"There is another data set named {name!r} already, or its images have changed since.")
    return known, False


def _same(known: Dataset, found: Dataset, data_dir: Path) -> bool:
    """Whether they are one, however the folder of the known one was written when it was registered."""
    if known.folder is None or found.folder is None:
        return known == found
    try:
        places = [image_folders.located(folder, data_dir) for folder in (known.folder, found.folder)]
    except FolderError:
        return False
    as_now = replace(known, folder=found.folder, description=found.description)
    return places[0] == places[1] and as_now == found
