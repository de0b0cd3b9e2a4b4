"""Quotas of keys: how much of the service those of scope `train` may use. Keys of scope `admin` have none.

A check is the last step of a transaction before its commit, and counts what the transaction has added. Transactions of
one key that are checked commit one after the other, so that requests at the same time cannot exceed a quota together.
"""

from __future__ import annotations

from app.core.callers import Caller
from app.core.errors import QuotaExceeded
from app.db.unit_of_work import UnitOfWork

_GB = 10**9


def check_trials(work: UnitOfWork) -> None:
    """Check the quotas of queued trials and of stored bytes.

    Raises: QuotaExceeded.
    """
    owner, quotas = _limited(work.caller), work.quotas
    if owner is None:
        return
    work.usage.lock(owner)
    if quotas.trials:
        remedy = "Wait until some of them are trained, or cancel some."
        _check("queued trials", work.usage.queued_trials(owner), quotas.trials, remedy)
    if quotas.stored_bytes and (used := work.usage.stored_bytes(owner)) >= quotas.stored_bytes:
        raise QuotaExceeded(
            "stored bytes",
            used,
            quotas.stored_bytes,
            f"The artifacts of this key's trials take {used / _GB:.1f} GB; its quota is {quotas.stored_bytes / _GB:g} "
            "GB. Delete trials whose files are not needed, or ask the operator for a higher quota.",
        )


def check_studies(work: UnitOfWork) -> None:
    """Check the quota of studies.

    Raises: QuotaExceeded.
    """
    owner = _limited(work.caller)
    if owner is not None and work.quotas.studies:
        work.usage.lock(owner)
        _check("studies", work.usage.studies(owner), work.quotas.studies, "Delete studies that are not needed.")


def check_observations(work: UnitOfWork) -> None:
    """Check the quota of imported and reported observations.

    Raises: QuotaExceeded.
    """
    owner, limit = _limited(work.caller), work.quotas.observations
    if owner is None or not limit:
        return
    work.usage.lock(owner)
    if work.usage.may_exceed_observations(limit):
        remedy = "Delete studies that are not needed."
        _check("observations", work.usage.observations(owner), limit, remedy)


def _limited(caller: Caller) -> str | None:
    """Return the owner whose use counts; None if the caller has no quotas."""
    return None if caller.is_admin else caller.owner


def _check(name: str, used: int, limit: int, remedy: str) -> None:
    if used > limit:
        raise QuotaExceeded(
            name,
            used,
            limit,
            f"With this request the key would have {used:,} {name}; its quota is {limit:,}. {remedy} The operator can "
            "raise the quota.",
        )
