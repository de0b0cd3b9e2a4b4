"""Data sets: built-in ones, registered image folders, and those rendered from fonts."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from app.core.errors import Conflict, InvalidRequest, UnknownDataset
from app.data import fonts, image_folders
from app.data.builtin_datasets import (
    BUILT_IN,
    FASHION_MNIST,
    TYPEFACES,
    Dataset,
    fashion_mnist_folder,
    scenes_unavailable_reason,
)
from app.data.folder_scan import FolderError
from app.db.tables import DatasetCheckRow, DatasetRow
from app.db.unit_of_work import UnitOfWork
from app.scaling.network import Config
from app.scaling.resolution import describe_resolution


def find(work: UnitOfWork, name: str) -> Dataset:
    """Return the data set of that name or former name; one rendered from fonts is registered when first requested.

    Raises: UnknownDataset; Conflict if its images are still being checked.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    row = work.datasets.get(work.names.successor("dataset", name) or name)
    if row is not None:
        return Dataset.from_json(row.spec)
    if fonts.is_typefaces_name(name):
        return _register_typefaces(work, name)
    check = work.dataset_checks.get(name)
    if check is not None:
        raise not_ready(check)
    existing = ", ".join(dataset.name for dataset in list_all(work))
    raise UnknownDataset(f"The data set {name!r} does not exist. Existing data sets: {existing}.")


def input_of(work: UnitOfWork, name: str) -> tuple[int, int | None]:
    """Return the number of classes and the input channels of a data set, which is registered or can be.

    Raises: UnknownDataset.
    """
    is_new = fonts.is_typefaces_name(name) and work.datasets.get(name) is None
    dataset = fonts.create_dataset(name, "") if is_new else find(work, name)
    return dataset.num_classes, dataset.in_chans


def check_input(dataset: Dataset, config: Config) -> None:
    """Check that the networks for a data set may have this input.

    Raises: InvalidRequest if it is a data set for detection and the input is not square.
    """
    if dataset.task == "detection" and not isinstance(config.resolution, int):
        px = describe_resolution(config.resolution)
        raise InvalidRequest(
            "/dataset", f"{dataset.name} is for detection, which takes square inputs only: not {px} px"
        )


def list_all(work: UnitOfWork) -> list[Dataset]:
    """Return all data sets; until `typefaces` is registered, its digest is empty."""
    registered = [Dataset.from_json(row.spec) for row in work.datasets.list_all()]
    unregistered = [] if any(d.name == TYPEFACES for d in registered) else [fonts.create_dataset(TYPEFACES, "")]
    return [*BUILT_IN.values(), *unregistered, *registered]


def unavailable_reason(dataset: Dataset, data_dir: Path) -> str | None:
    """Say why the data set cannot be read on this machine and how to get it; None if it can be read."""
    if dataset.kind == "typefaces":
        return None if fonts.is_rendered(data_dir, dataset.digest) else fonts.unavailable_reason(dataset.digest)
    if dataset.kind == "scenes":
        return scenes_unavailable_reason(data_dir)
    if dataset.folder is not None:
        try:
            image_folders.locate(dataset.folder, data_dir)
        except FolderError as error:
            return str(error)
    if dataset == FASHION_MNIST and fashion_mnist_folder(data_dir) is None:
        return f"It is not on this machine: run `python -m worker.data.fetch {dataset.name}`."
    return None


def with_image_counts(dataset: Dataset, data_dir: Path) -> Dataset:
    """Return the data set with its numbers of images, if these are known by now."""
    counts = fonts.image_counts(data_dir, dataset.digest) if dataset.kind == "typefaces" else None
    return dataset if counts is None else replace(dataset, train_images=counts[0], test_images=counts[1])


def _register_typefaces(work: UnitOfWork, name: str) -> Dataset:
    try:
        dataset = fonts.describe(name)
    except fonts.FontsError as error:
        raise UnknownDataset(str(error)) from error
    row = work.datasets.get_or_add(DatasetRow(name=name, spec=asdict(dataset)))
    work.commit(last=False)  # independent of whether the current request succeeds
    return Dataset.from_json(row.spec)


def not_ready(check: DatasetCheckRow) -> Exception:
    """Return the error of a training on a data set whose images are being checked, or whose check has failed."""
    if check.error is not None:
        return UnknownDataset(f"The data set {check.name!r} cannot be used: {check.error}")
    images, total = check.progress["images"], check.progress["total"]
    done = f"{images:,} of {total:,} so far" if total else "they are being listed"
    return Conflict(
        f"The images of the data set {check.name!r} are still being checked ({done}). Try again once the state in "
        f"GET /v1/datasets/{check.name} is `ready`."
    )


def is_same(existing: Dataset, described: Dataset, data_dir: Path) -> bool:
    """Whether the data sets are the same, even if their folders are written differently."""
    if existing.folder is None or described.folder is None:
        return existing == described
    try:
        paths = [image_folders.locate(folder, data_dir) for folder in (existing.folder, described.folder)]
    except FolderError:
        return False
    in_same_words = replace(existing, folder=described.folder, description=described.description)
    return paths[0] == paths[1] and in_same_words == described
