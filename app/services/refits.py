"""Refits: from a study's front to a new version of its predictor, and whether that one is to answer."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from app.db.tables import PredictorRow, StudyRow
from app.db.unit_of_work import UnitOfWork
from app.scaling.gate import Decision, Gate, decide
from app.scaling.predictor import Predictor
from app.services import fronts, predictors

Activate = bool | Literal["gate"]


@dataclass(frozen=True)
class Refit:
    """A predictor that was fitted and is not kept yet, and what the gate says of it."""

    study: StudyRow
    predictor: Predictor
    decision: Decision
    provenance: str


def fit(work: UnitOfWork, study: StudyRow, k: int, gate: Gate, because: str | None = None) -> Refit:
    """Fit on the study's front; nothing is written. `because` says why it was done without being asked.

    Raises: NotEnoughObservations.
    """
    found = fronts.front(work, study, k)
    predictor = found.fitted()
    active = work.predictors.active(study.architecture, study.dataset)
    # One that stands on what was taken back is no measure for its successor.
    void = study.refit_why is not None and active is not None and active.study_id == study.id
    decision = decide(predictor, None if active is None or void else predictors.restored(active), gate)
    networks = f"{len(predictor.points)} networks of {len(found.observations)} observations"
    provenance = f"Study {study.name!r} ({study.id}): {networks}.{f' {because}' if because else ''}"
    return Refit(study, predictor, decision, provenance)


def keep(work: UnitOfWork, refit: Refit, activate: Activate) -> PredictorRow:
    """The next version; in use at once where `activate` says so, or asks the gate and that lets it through."""
    if made := work.outcome():
        return predictors.find(work, made)
    row = predictors.keep(
        work,
        refit.predictor,
        architecture=refit.study.architecture,
        dataset=refit.study.dataset,
        provenance=refit.provenance,
        study_id=refit.study.id,
        gate=told(refit.decision),
        active=refit.decision.promoted if activate == "gate" else activate,
    )
    work.keep_outcome(row.id)
    return row


def told(decision: Decision) -> dict[str, Any]:
    """The gate's decision as plain data."""
    return {
        "promoted": decision.promoted,
        "why": decision.why,
        "checks": [asdict(check) for check in decision.checks],
    }
