"""Predictors: the one in use, refits, and going back to an earlier version."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from app.db.tables import PredictorRow
from app.db.unit_of_work import UnitOfWork
from app.errors import Invalid, NotFound
from app.scaling import published
from app.scaling.predictor import Predictor


@dataclass(frozen=True)
class Chosen:
    """A stored predictor, ready to answer; `transferred_from` names the architecture where it is another's."""

    id: str
    version: int
    dataset: str
    provenance: str
    predictor: Predictor
    transferred_from: str | None


def find(work: UnitOfWork, predictor_id: str) -> PredictorRow:
    """Raises: NotFound."""
    row = work.predictors.get(predictor_id)
    if row is None:
        raise NotFound("predictor", predictor_id)
    return row


def locked(work: UnitOfWork, predictor_id: str) -> PredictorRow:
    """The predictor as it is now; until the commit nobody else puts a version of it to use.

    Raises: NotFound.
    """
    row = find(work, predictor_id)
    work.predictors.lock_line(row)
    return row


def choose(
    work: UnitOfWork, architecture: str, dataset: str | None, predictor_id: str | None, version: int | None = None
) -> Chosen:
    """The named predictor; else the architecture's active one, for this data set if there is one; else the published.

    With a version the one of that number of the named predictor's architecture and data set.
    Raises: NotFound; Invalid for a version of no predictor.
    """
    if predictor_id is None and version is not None:
        raise Invalid("/version", "a version of which predictor? name one of its versions as `predictor`")
    if predictor_id is not None and (version is not None or predictor_id != published.PREDICTOR):
        row: PredictorRow | None = _versioned(work, find(work, predictor_id), version)
    elif predictor_id is not None:
        row = work.predictors.get(predictor_id)
    else:
        on_dataset = work.predictors.active(architecture, dataset) if dataset else None
        row = on_dataset or work.predictors.active(architecture) or work.predictors.get(published.PREDICTOR)
    if row is None:  # a new service answers before it has stored what it was born with
        transferred_from = None if architecture == published.BASELINE else published.BASELINE
        return Chosen(
            published.PREDICTOR,
            1,
            published.DATASET,
            published.PROVENANCE,
            published.published_predictor(),
            transferred_from,
        )
    transferred_from = None if row.architecture == architecture else row.architecture
    return Chosen(row.id, row.version, row.dataset, row.provenance, restored(row), transferred_from)


def _versioned(work: UnitOfWork, row: PredictorRow, version: int | None) -> PredictorRow:
    """Raises: NotFound."""
    if version is None or row.version == version:
        return row
    found = work.predictors.of_line(row.architecture, row.dataset, version)
    if found is None:
        raise NotFound(f"version {version} of predictor", row.id)
    return found


def restored(row: PredictorRow) -> Predictor:
    """The predictor, from its plain data; kept, since a version never changes."""
    if row.id not in _restored:
        _restored[row.id] = Predictor.from_json(row.data)
    return _restored[row.id]


_restored: dict[str, Predictor] = {}


def keep(
    work: UnitOfWork,
    predictor: Predictor,
    *,
    architecture: str,
    dataset: str,
    provenance: str,
    predictor_id: str | None = None,
    study_id: str | None = None,
    gate: dict[str, Any] | None = None,
    active: bool = False,
) -> PredictorRow:
    """Store a fitted predictor as the next version for its architecture and data set."""
    data = predictor.to_json()
    quality = {name: asdict(quality) for name, quality in predictor.quality().items()}

    def row(version: int) -> PredictorRow:
        return PredictorRow(
            id=predictor_id or f"{architecture}.{dataset}.v{version}",
            architecture=architecture,
            dataset=dataset,
            version=version,
            data=data,
            quality=quality,
            gate=gate,
            provenance=provenance,
            study_id=study_id,
        )

    return work.predictors.add_next(row, active)


def activate(work: UnitOfWork, row: PredictorRow) -> None:
    """Make this version, which is `locked`, the one in use; also the way back to an earlier one."""
    work.predictors.activate(row)
    work.commit()


def install_published(work: UnitOfWork) -> None:
    """Fit and store the built-in predictor where it is missing."""
    if work.predictors.get(published.PREDICTOR) is None:
        keep(
            work,
            published.published_predictor(),
            architecture=published.BASELINE,
            dataset=published.DATASET,
            provenance=published.PROVENANCE,
            predictor_id=published.PREDICTOR,
            active=True,
        )
        work.commit()
