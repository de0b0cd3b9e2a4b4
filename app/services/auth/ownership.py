"""Who may change what: a key changes what it made, and a key of scope `admin` everything."""

from __future__ import annotations

from typing import Any, TypeVar

from app.core.callers import Caller
from app.core.errors import Forbidden, NotOwner
from app.db.tables import ArchitectureRow, DatasetCheckRow, DatasetRow, PredictorRow, StudyRow, TrialRow

OwnedRow = ArchitectureRow | DatasetCheckRow | DatasetRow | PredictorRow | StudyRow | TrialRow

Row = TypeVar("Row", bound=OwnedRow)

_KINDS: dict[type[Any], str] = {
    ArchitectureRow: "architecture",
    DatasetCheckRow: "data set",
    DatasetRow: "data set",
    PredictorRow: "predictor",
    StudyRow: "study",
    TrialRow: "trial",
}


def require_owner(caller: Caller, row: Row) -> Row:
    """Return the row if the caller may change it: it made it, or it has the scope `admin`.

    A row without an owner, such as one from before there were keys, is changed by `admin` only.
    Raises: NotOwner.
    """
    if not caller.is_admin and (row.owner is None or row.owner != caller.owner):
        name = row.name if isinstance(row, ArchitectureRow | DatasetCheckRow | DatasetRow) else row.id
        raise NotOwner(f"The {_KINDS[type(row)]} {name!r}", row.owner)
    return row


def require_admin(caller: Caller, action: str) -> None:
    """Check that the caller may do what concerns everybody.

    Raises: Forbidden.
    """
    if not caller.is_admin:
        raise Forbidden(f"{action} needs a key of scope `admin`; {caller.name!r} has less.")


def require_unshared(caller: Caller, trial: TrialRow) -> None:
    """Check that ending or deleting the caller's trial takes it from no other key, or that the caller is an `admin`.

    Raises: Forbidden.
    """
    if trial.shared and not caller.is_admin:
        raise Forbidden(
            f"Another key has requested the trial {trial.id!r} as well. Only a key of scope `admin` may cancel or "
            "delete it, or retract its observation."
        )
