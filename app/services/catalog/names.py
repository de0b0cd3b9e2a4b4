"""The names of registered baselines and data sets.

Studies, trials, observations and predictors repeat the names. A rename therefore changes them too, and the former name
goes on to stand for the resource: it is given to no other one until the resource is deleted.
"""

from __future__ import annotations

from collections.abc import Collection

from app.core.errors import Conflict, require_found
from app.db.repositories.catalog import Catalog, Row
from app.db.repositories.names import Kind
from app.db.tables import ArchitectureRow, DatasetRow
from app.db.unit_of_work import UnitOfWork
from app.services.auth.ownership import require_owner

_TITLES: dict[Kind, str] = {"architecture": "architecture", "dataset": "data set"}


def find_row(work: UnitOfWork, kind: Kind, name: str, built_in: Collection[str], catalog: Catalog[Row]) -> Row:
    """Return the registered resource of that name or former name, which the caller may change.

    It is locked until the commit, as are its studies.
    Raises: NotFound; NotOwner; Conflict if it is built-in.
    """
    if name in built_in:
        raise Conflict(f"{name!r} is built-in and cannot be changed.")
    name = work.names.successor(kind, name) or name
    work.names.lock_studies(kind, name)
    return require_owner(work.caller, require_found(catalog.lock(name), _TITLES[kind], name))


def require_free(work: UnitOfWork, kind: Kind, name: str) -> None:
    """Reserve a name for registering a resource under it, until the commit.

    Raises: Conflict if it is the former name of another resource.
    """
    work.names.lock(kind, name)
    successor = work.names.successor(kind, name)
    if successor is not None:
        raise Conflict(
            f"{name!r} is the former name of the {_TITLES[kind]} {successor!r} and still stands for it: use another "
            "name."
        )


def rename(work: UnitOfWork, kind: Kind, row: ArchitectureRow | DatasetRow, new: str) -> None:
    """Rename a locked row and what refers to it. Does not commit.

    Raises: Conflict if another resource has or had the name.
    """
    old = row.name
    work.names.lock(kind, new)
    catalog = work.architectures if kind == "architecture" else work.datasets
    if catalog.get(new) is not None:
        raise Conflict(f"Another {_TITLES[kind]} is already named {new!r}.")
    successor = work.names.successor(kind, new)
    if successor is None and work.names.is_referred_to(kind, new):
        raise Conflict(f"Studies, trials or predictors of another {_TITLES[kind]} have the name {new!r}.")
    if successor not in (None, old):
        require_free(work, kind, new)
    row.name, row.spec = new, {**row.spec, "name": new}
    work.names.rename(kind, old, new)


def refuse_archived(kind: Kind, row: ArchitectureRow | DatasetRow) -> None:
    """Refuse to train anything with an archived resource.

    Raises: Conflict.
    """
    if row.archived_at is not None:
        raise Conflict(
            f"The {_TITLES[kind]} {row.name!r} is archived and not used for new trainings. Unarchive it "
            f'(PATCH /v1/{kind}s/{row.name} with {{"archived": false}}) to train with it.'
        )
