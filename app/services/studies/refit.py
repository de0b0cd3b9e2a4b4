"""Refits: new versions of a predictor, fitted on a study's front, and their activation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from app.db.tables import PredictorRow, StudyRow
from app.db.unit_of_work import UnitOfWork
from app.scaling.errors import NotEnoughObservations
from app.scaling.predictors.predictor import Predictor
from app.scaling.predictors.promotion_gate import Decision, decide
from app.services.auth.ownership import require_admin
from app.services.predictors import store
from app.services.studies import front, proposals, studies

Activate = bool | Literal["gate"]


@dataclass(frozen=True)
class Refit:
    """A predictor that was fitted and is not stored yet, and the gate's decision on it."""

    study_id: str
    predictor: Predictor
    point_trials: list[str | None]
    decision: Decision
    provenance: str


def refit_study(
    open_read: Callable[[], UnitOfWork],
    open_write: Callable[[], UnitOfWork],
    study_id: str,
    k: int,
    activate: Activate,
) -> str:
    """Fit on at most `k` networks of the study's front, store the result as the next version, and return its id.

    It is fitted before the transaction that stores it starts, so that other transactions can write meanwhile.
    Raises: NotFound; NotOwner; Forbidden if the caller may not let it answer everybody; NotEnoughObservations.
    """
    with open_read() as work:
        study = studies.find_own(work, study_id)
        if activate and not (activate == "gate" and study.options.refit.promote):
            require_admin(work.caller, "Activating a predictor, so that it answers everybody,")
        try:
            refit = fit(work, study, k)
        except NotEnoughObservations:
            with open_read() as latest:
                studies.find(latest, study_id)  # its observations may be gone because it was deleted meanwhile
            raise
    with open_write() as work:
        row = add_version(work, refit, activate)
        work.commit()
        return row.id


def fit(work: UnitOfWork, study: StudyRow, k: int, because: str | None = None) -> Refit:
    """Fit on the study's front; nothing is written. `because` is the reason for an automatic refit.

    Raises: NotEnoughObservations.
    """
    study_front = front.compute_front(work, study, k)
    predictor = study_front.fit_predictor(proposals.load_evidence(work, study))
    active = work.predictors.active(study.architecture, study.dataset)
    # A version that was fitted on a retracted observation is not compared with its successor.
    is_invalid = study.refit_reason is not None and active is not None and active.study_id == study.id
    compared = None if active is None or is_invalid else store.load(work, active)
    decision = decide(predictor, compared, study.options.refit.gate)
    networks = f"{len(predictor.points)} networks of {len(study_front.observations)} observations"
    notes = [f"Networks {start}." if (start := study.recipe.describe_start()) else "", because or ""]
    provenance = " ".join([f"Study {study.name!r} ({study.id}): {networks}.", *filter(None, notes)])
    return Refit(study.id, predictor, study_front.point_trials, decision, provenance)


def add_version(work: UnitOfWork, refit: Refit, activate: Activate) -> PredictorRow:
    """Add the next version; it becomes active if `activate` is true, or is `gate` and the gate promotes it.

    Raises: NotFound if the study was deleted.
    """
    if before := work.recorded_outcome():
        return store.find(work, before)
    study = studies.lock_against_deletion(work, refit.study_id)  # its baseline may have been renamed meanwhile
    row = store.add_version(
        work,
        refit.predictor,
        architecture=study.architecture,
        dataset=study.dataset,
        provenance=refit.provenance,
        study_id=study.id,
        point_trials=refit.point_trials,
        owner=study.owner,
        gate=refit.decision,
        active=refit.decision.promoted if activate == "gate" else activate,
    )
    work.record_outcome(row.id)
    return row
