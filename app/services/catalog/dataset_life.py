"""Changes of registered data sets: renaming, archiving, reading them again, and deletion."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from app.core.deletion import Deletion, Listed
from app.core.errors import Conflict, UnknownDataset
from app.core.studies import StudyState
from app.core.trials import TrialState
from app.data import fonts
from app.data.builtin_datasets import BUILT_IN, BUILT_IN_NAMES, Dataset
from app.data.image_folders import Examined
from app.db.tables import DatasetRow, StudyRow
from app.db.unit_of_work import UnitOfWork
from app.services.auth.ownership import require_admin, require_owner
from app.services.catalog import dataset_checks, dataset_registration, datasets, names
from app.services.catalog.dataset_checks import FolderRequest
from app.services.catalog.dataset_registration import Registered, TimeIsUp
from app.services.changes import Changes

_ACTIVE = (StudyState.STARTED, StudyState.PAUSED)
_UNFINISHED = (TrialState.QUEUED, TrialState.RUNNING)


def find_row(work: UnitOfWork, name: str) -> DatasetRow:
    """Return the registered data set of that name or former name, which the caller may change.

    It is locked until the commit, as are its studies.

    Raises: NotFound; NotOwner; Conflict if it is built-in.
    """
    return names.find_row(work, "dataset", name, BUILT_IN_NAMES, work.datasets)


def update(work: UnitOfWork, row: DatasetRow, changes: Changes) -> Dataset:
    """Rename, describe or archive a data set that `find_row` returned.

    Raises: Conflict if the name is taken, or reserved for data sets rendered from fonts, or a check of the images has
    not ended.
    """
    if changes.name is not None and changes.name != row.name:
        if changes.name in BUILT_IN or fonts.is_typefaces_name(changes.name) or fonts.is_typefaces_name(row.name):
            raise Conflict(f"{row.name!r} cannot be renamed to {changes.name!r}: one of them is a reserved name.")
        check = work.dataset_checks.get(row.name)
        if check is not None and check.error is None:
            raise Conflict(f"The images of {row.name!r} are being read again: rename it once that has ended.")
        if work.dataset_checks.get(changes.name) is not None:
            raise Conflict(f"Another folder is checked under the name {changes.name!r}.")
        names.rename(work, "dataset", row, changes.name)
        if check is not None:
            check.name = changes.name
    changes.describe(row)
    work.commit()
    return Dataset.from_json(row.spec)


def require_trainable(work: UnitOfWork, dataset: Dataset) -> None:
    """Check that a data set can be trained on, and let nobody change it until the commit.

    Raises: Conflict if it was deleted, renamed or read again since it was looked up, is being read again, or is
    archived; UnknownDataset if its images could not be read again.
    """
    row = _lock_current(work, dataset.name, dataset.digest)
    if row is not None:
        names.refuse_archived("dataset", row)


def require_unchanged(work: UnitOfWork, name: str, digest: str) -> None:
    """Check that a data set still has the digest that a trial was requested for, and keep it so until the commit.

    Raises: Conflict, also while its images are being read again; UnknownDataset if they could not be read.
    """
    _lock_current(work, name, digest)


def _lock_current(work: UnitOfWork, name: str, digest: str) -> DatasetRow | None:
    if name in BUILT_IN:
        return None
    row = work.datasets.lock_against_change(name)
    if row is None:
        raise Conflict(f"The data set {name!r} was deleted or renamed.")
    if row.spec["digest"] != digest:
        raise Conflict(
            f"The images of the data set {name!r} have changed (digest {row.spec['digest'][:12]}…, expected "
            f"{digest[:12]}…): request the training again."
        )
    check = work.dataset_checks.get(name)
    if check is not None:
        raise datasets.not_ready(check)
    return row


def refresh(work: UnitOfWork, name: str, data_dir: Path) -> Registered:
    """Read a registered data set again, and store its new digest, numbers and report.

    A folder that takes more than a few seconds is left to the background, unless a trial or a study on it has not
    ended; the state is then `checking`. Trials keep the digest that they were trained on.
    Raises: NotFound; UnknownDataset if it cannot be read; Conflict if it is built-in; HasDependents if its images have
    changed and a trial or a study on it has not ended.
    """
    before = find_row(work, name)
    check = work.dataset_checks.get(before.name)
    if check is not None and check.error is None:
        return dataset_registration.find(work, before.name)
    dataset = Dataset.from_json(before.spec)
    work.release()  # reading takes long
    examined = _examine_again(dataset, data_dir)
    row = find_row(work, dataset.name)
    if row.spec != before.spec:
        raise Conflict(f"The data set {row.name!r} has changed meanwhile: try again.")
    if examined is None or examined.dataset != dataset:
        _obstacles(work, row.name).refuse_unless(False)
    if examined is None:
        check = dataset_checks.start(work, row.name, _folder_request(dataset), row.owner)
        found = Registered(dataset, "checking", row.report, check.progress)
    else:
        dataset_checks.forget(work, row.name)
        row.spec, row.report = asdict(examined.dataset), examined.report
        found = Registered(examined.dataset, report=examined.report)
    work.commit()
    return found


def _examine_again(dataset: Dataset, data_dir: Path) -> Examined | None:
    """Read a data set within the time of a request; None if there was not enough. Raises: UnknownDataset."""
    try:
        if dataset.folder is None:
            return Examined(fonts.describe(dataset.name), None)
        return dataset_registration.examine_within_request(dataset.name, _folder_request(dataset), data_dir)
    except fonts.FontsError as error:
        raise UnknownDataset(str(error)) from error
    except TimeIsUp:
        return None


def _folder_request(dataset: Dataset) -> FolderRequest:
    assert dataset.folder is not None
    return FolderRequest(dataset.folder, dataset.native_px, dataset.layout, dataset.background, dataset.channels)


def delete(work: UnitOfWork, name: str, *, force: bool, dry_run: bool = False) -> Deletion:
    """Delete a registered data set; its files, and what was trained on it, remain.

    With `dry_run`, only return what depends on it.
    Raises: NotFound; NotOwner; Conflict if it is built-in; HasDependents without `force` if it has studies, and in any
    case if a trial or a study on it has not ended; Forbidden if other keys have studies on it.
    """
    check = work.dataset_checks.get(name)
    if check is not None and work.datasets.get(name) is None:
        require_owner(work.caller, check)
        if not dry_run:
            work.dataset_checks.delete(check)
            work.commit()
        return Deletion(f"The check of the data set {name!r}", {})
    row = find_row(work, name)
    obstacles = _obstacles(work, row.name)
    obstacles.refuse_unless(force)
    deletion = Deletion(f"The data set {row.name!r}", {"studies": work.studies.ids_on_dataset(row.name)})
    if dry_run:
        return deletion
    deletion.refuse_unless(force)
    if work.studies.any_of_others(row.owner, StudyRow.dataset == row.name):
        require_admin(work.caller, "Deleting a data set that other keys use")
    dataset_checks.forget(work, row.name)
    work.names.forget("dataset", row.name)
    work.datasets.delete(row)
    work.commit()
    return deletion


def _obstacles(work: UnitOfWork, name: str) -> Deletion:
    """Return the trials and studies that are using the data set, which its deletion or change would disturb."""
    in_use: dict[str, Listed] = {
        "trials": work.trials.ids_on_dataset(name, _UNFINISHED),
        "studies": work.studies.ids_incomplete_on_dataset(name, _ACTIVE, _UNFINISHED),
    }
    return Deletion(f"The data set {name!r}", in_use, "Wait for them or cancel them, then try again.", False)
