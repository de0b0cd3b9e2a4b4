"""Baseline architectures: built-in ones and registered ones."""

from __future__ import annotations

from app.core.deletion import Deletion
from app.core.errors import Conflict, NotFound, require_found
from app.db.tables import ArchitectureRow, StudyRow
from app.db.unit_of_work import UnitOfWork
from app.scaling import families
from app.scaling.families.names import nearest_names
from app.scaling.network import Architecture
from app.services.auth.ownership import require_admin
from app.services.catalog import names
from app.services.changes import Changes


def find(work: UnitOfWork, name: str) -> Architecture:
    """Return the baseline of that name or former name, or the built-in one that is known by that name elsewhere.

    Raises: NotFound, with the nearest names.
    """
    built_in = families.baselines().get(name)
    if built_in is not None:
        return built_in
    row = work.architectures.get(name) or work.architectures.get(name.lower())
    if row is None and (successor := work.names.successor("architecture", name)):
        row = work.architectures.get(successor)
    if row is not None:
        return Architecture.from_json(row.spec)
    architecture = families.find_by_other_name(name)
    if architecture is None:
        raise NotFound("architecture", name, nearest_names(name, [a.name for a in list_all(work)]))
    return architecture


def present_name(work: UnitOfWork, name: str | None) -> str | None:
    """Return the name that the baseline of this name or former name has now; None without a name."""
    return name and (work.names.successor("architecture", name) or name)


def list_all(work: UnitOfWork) -> list[Architecture]:
    """Return all baselines: first the built-in ones, in the order of their families."""
    registered = [Architecture.from_json(row.spec) for row in work.architectures.list_all()]
    return [*families.baselines().values(), *registered]


def register(work: UnitOfWork, architecture: Architecture) -> bool:
    """Register a baseline under its name; return whether it is new. Registering it again changes nothing.

    Raises: InvalidNetwork; Conflict if the name is taken by another baseline.
    """
    families.check(architecture.baseline)
    name = architecture.name
    is_new = name not in families.baselines() and work.architectures.get(name) is None
    if is_new:
        names.require_free(work, "architecture", name)
    if is_new and work.architectures.add_if_new(
        ArchitectureRow(name=name, owner=work.caller.owner, spec=architecture.to_json())
    ):
        work.commit()
        return True
    if find(work, name) != architecture:
        raise Conflict(f"Another architecture is already named {name!r}.")
    return False


def find_row(work: UnitOfWork, name: str) -> ArchitectureRow:
    """Return the registered baseline of that name or former name, which the caller may change.

    It is locked until the commit, as are its studies.

    Raises: NotFound; NotOwner; Conflict if it is built-in.
    """
    return names.find_row(work, "architecture", name, families.baselines(), work.architectures)


def update(work: UnitOfWork, row: ArchitectureRow, changes: Changes) -> Architecture:
    """Rename, describe or archive a baseline that `find_row` returned.

    Raises: Conflict if the name is taken.
    """
    if changes.name is not None and changes.name != row.name:
        if changes.name in families.baselines():
            raise Conflict(f"{changes.name!r} is the name of a built-in architecture.")
        names.rename(work, "architecture", row, changes.name)
    changes.describe(row)
    work.commit()
    return Architecture.from_json(row.spec)


def require_trainable(work: UnitOfWork, architecture: Architecture) -> None:
    """Check that a baseline that was looked up by its name can be trained, and let nobody change it until the commit.

    Raises: NotFound if it was deleted; Conflict if it is archived, or another one has its name now.
    """
    name = architecture.name
    if name in families.baselines():
        return
    row = require_found(work.architectures.lock_against_change(name), "architecture", name)
    names.refuse_archived("architecture", row)
    if Architecture.from_json(row.spec) != architecture:
        raise Conflict(f"Another architecture has been registered as {name!r}: try again in a moment.")


def delete(work: UnitOfWork, name: str, *, force: bool, dry_run: bool = False) -> Deletion:
    """Delete a registered baseline. Its studies, trials and predictors remain; no predictor of it stays active.

    With `dry_run`, only return what depends on it.
    Raises: NotFound; NotOwner; Conflict if it is built-in; HasDependents without `force`, if it has studies or
    predictors; Forbidden if other keys have studies of it, or one of its predictors answers everybody.
    """
    row = find_row(work, name)
    dependents = {
        "studies": work.studies.ids_of_architecture(row.name),
        "predictors": work.predictors.ids_of_architecture(row.name),
    }
    deletion = Deletion(f"The architecture {row.name!r}", dependents)
    if dry_run:
        return deletion
    deletion.refuse_unless(force)
    if work.predictors.active(row.name) or work.studies.any_of_others(row.owner, StudyRow.architecture == row.name):
        require_admin(work.caller, "Deleting a baseline that other keys use")
    work.predictors.deactivate_all(row.name)  # they would answer for another baseline of that name
    work.names.forget("architecture", row.name)
    work.architectures.delete(row)
    work.commit()
    return deletion
