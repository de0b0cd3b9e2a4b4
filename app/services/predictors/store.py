"""Stored predictors: lookup of the one in use, new versions, and activation."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from app.core.deletion import Deletion, Listed
from app.core.errors import Conflict, InvalidRequest, NotFound, require_found
from app.db.tables import PredictorRow
from app.db.unit_of_work import UnitOfWork
from app.scaling.bounded_cache import BoundedCache
from app.scaling.predictors.built_in import BuiltInPredictor, built_in_predictor_for, built_in_predictors
from app.scaling.predictors.predictor import Predictor
from app.scaling.predictors.promotion_gate import Decision
from app.scaling.predictors.published_tinynets import PREDICTOR, published_predictor
from app.services.auth.ownership import require_owner
from app.services.changes import Changes


@dataclass(frozen=True)
class ResolvedPredictor:
    """A predictor and its stored version. `transferred_from` is the architecture that it was fitted on, if another.

    `is_requested` says that the request named it.
    """

    id: str
    version: int
    dataset: str
    study_id: str | None
    provenance: str
    predictor: Predictor
    transferred_from: str | None
    is_requested: bool = False


def find(work: UnitOfWork, predictor_id: str) -> PredictorRow:
    """Return the predictor of that id. Raises: NotFound."""
    return require_found(work.predictors.get(predictor_id), "predictor", predictor_id)


def find_usable(work: UnitOfWork, predictor_id: str) -> PredictorRow:
    """Return the predictor of that id.

    Raises: NotFound; Conflict if it is archived.
    """
    row = find(work, predictor_id)
    _refuse_archived(row)
    return row


def find_for_update(work: UnitOfWork, predictor_id: str) -> PredictorRow:
    """Return the predictor and lock all versions for its architecture and data set until the commit.

    Raises: NotFound.
    """
    row = find(work, predictor_id)
    if not work.predictors.lock_versions(row):
        raise NotFound("predictor", predictor_id)  # it was deleted meanwhile
    return row


def resolve(
    work: UnitOfWork, architecture: str, dataset: str | None, predictor_id: str | None, version: int | None = None
) -> ResolvedPredictor:
    """Return the predictor of that id; else the active one, preferably for the data set; else the built-in one.

    Without an active one for the data set, that of the data set with the oldest version answers: predictors for other
    data sets do not change the answer. Without a built-in one for the baseline, the published one answers. With
    `version`, return that version for the architecture and data set of the predictor of that id.
    Raises: NotFound; Conflict if the predictor is archived; InvalidRequest if a version is given without a predictor.
    """
    if dataset is not None:
        dataset = work.names.successor("dataset", dataset) or dataset
    if predictor_id is None and version is not None:
        raise InvalidRequest("/version", "version requires predictor: the id of any of its versions")
    row: PredictorRow | None = None
    built_in = built_in_predictor_for(architecture, dataset)
    if predictor_id is None:
        on_dataset = work.predictors.active(architecture, dataset) if dataset else None
        row = on_dataset or work.predictors.active(architecture)
    elif version is None and predictor_id in built_in_predictors():
        built_in = built_in_predictors()[predictor_id]
    else:
        row = _find_version(work, find(work, predictor_id), version)
    row = row or work.predictors.get(built_in.id)
    if row is None:  # a new service answers requests before it has stored the built-in predictors
        return ResolvedPredictor(
            built_in.id,
            1,
            built_in.dataset,
            None,
            built_in.provenance,
            built_in.predictor,
            None if architecture == built_in.architecture else built_in.architecture,
            is_requested=predictor_id is not None,
        )
    _refuse_archived(row)
    return resolve_version(work, row, architecture, is_requested=predictor_id is not None)


def resolve_of_study(work: UnitOfWork, study_id: str, architecture: str) -> ResolvedPredictor:
    """Return the newest version that was fitted on the study and is not archived, for use with an architecture.

    Raises: NotFound, also if the study has no predictor yet.
    """
    require_found(work.studies.get(study_id), "study", study_id)
    row = require_found(work.predictors.newest_of_study(study_id), "predictor of study", study_id)
    return resolve_version(work, row, architecture)


def resolve_version(
    work: UnitOfWork, row: PredictorRow, architecture: str, is_requested: bool = True
) -> ResolvedPredictor:
    """Load a stored version for use with an architecture."""
    transferred_from = None if row.architecture == architecture else row.architecture
    return ResolvedPredictor(
        row.id,
        row.version,
        row.dataset,
        row.study_id,
        row.provenance,
        load(work, row),
        transferred_from,
        is_requested,
    )


def _find_version(work: UnitOfWork, row: PredictorRow, version: int | None) -> PredictorRow:
    """Return the given version for the row's architecture and data set; without one, the row.

    Raises: NotFound.
    """
    if version is None or row.version == version:
        return row
    stored_version = work.predictors.by_version(row.architecture, row.dataset, version)
    return require_found(stored_version, f"version {version} of predictor", row.id)


_cache: BoundedCache[tuple[str, str], Predictor] = BoundedCache("predictors", lambda predictor: predictor.nbytes)


def load(work: UnitOfWork, row: PredictorRow) -> Predictor:
    """Load the predictor from its stored data; cached, since versions never change.

    The published one, which earlier releases stored in another form, does not depend on its row.
    """
    if row.id == PREDICTOR:
        return published_predictor()
    return _cache.get_or_compute((work.database, row.id), lambda: Predictor.from_json(row.data))


def trials_of_points(work: UnitOfWork, row: PredictorRow) -> list[str | None]:
    """Return the id of the trial that each training point comes from; None if it comes from none, or it is deleted."""
    trials = row.point_trials or [None] * len(row.data["points"])
    existing = work.trials.existing({trial for trial in trials if trial is not None})
    return [trial if trial in existing else None for trial in trials]


def add_version(
    work: UnitOfWork,
    predictor: Predictor,
    *,
    architecture: str,
    dataset: str,
    provenance: str,
    predictor_id: str | None = None,
    study_id: str | None = None,
    point_trials: list[str | None] | None = None,
    owner: str | None = None,
    gate: Decision | None = None,
    active: bool = False,
) -> PredictorRow:
    """Store a fitted predictor as the next version for its architecture and data set."""
    data = predictor.to_json()
    quality = {name: asdict(quality) for name, quality in predictor.quality().items()}

    def make(version: int) -> PredictorRow:
        return PredictorRow(
            owner=owner,
            id=predictor_id or f"{architecture}.{dataset}.v{version}",
            architecture=architecture,
            dataset=dataset,
            version=version,
            data=data,
            point_trials=point_trials,
            quality=quality,
            gate=gate,
            provenance=provenance,
            study_id=study_id,
        )

    return work.predictors.add_next(make, active)


def activate(work: UnitOfWork, row: PredictorRow) -> None:
    """Make this version, which `find_for_update` returned, the active one; it may be older than the current one.

    Raises: Conflict if it is archived.
    """
    _refuse_archived(row)
    work.predictors.activate(row)
    work.commit()


def deactivate(work: UnitOfWork, row: PredictorRow) -> None:
    """Stop using this version, which `find_for_update` returned, if it is active; the built-in one takes its place."""
    if row.active:
        row.active = False
        _activate_built_in(work, row)
    work.commit()


def _activate_built_in(work: UnitOfWork, other_than: PredictorRow) -> None:
    """Make the built-in version for the same architecture and data set active, if there is another one."""
    row = work.predictors.get(built_in_predictor_for(other_than.architecture, other_than.dataset).id)
    if row is None or row.id == other_than.id:
        return
    if (row.architecture, row.dataset) == (other_than.architecture, other_than.dataset):
        work.predictors.activate(row)


def are_built_in_stored(work: UnitOfWork) -> bool:
    return not _missing_built_in(work)


def update(work: UnitOfWork, row: PredictorRow, changes: Changes) -> None:
    """Name, describe or archive a version that `find_for_update` returned.

    Raises: NotOwner; Conflict if it is built-in, or is active and to be archived.
    """
    _refuse_built_in(row)
    require_owner(work.caller, row)
    if changes.archived and row.active:
        raise Conflict(
            f"The predictor {row.id!r} is active: recommendations for {row.architecture} use it. Deactivate it first "
            f"(POST /v1/predictors/{row.id}/deactivate)."
        )
    if changes.name is not None:
        row.name = changes.name or None
    changes.describe(row)
    work.commit()


def delete(work: UnitOfWork, predictor_id: str, *, force: bool, dry_run: bool = False) -> Deletion:
    """Delete a version. Trials keep the accuracy that it predicted, and no other version gets its id.

    With `dry_run`, only return what depends on it.
    Raises: NotFound; NotOwner; Conflict if it is built-in; HasDependents without `force`, if it is active or has
    predicted the accuracy of trials.
    """
    row = find_for_update(work, predictor_id)
    _refuse_built_in(row)
    require_owner(work.caller, row)
    dependents = {
        "architectures": Listed(int(row.active), (row.architecture,)),  # whose recommendations use it
        "trials": work.trials.ids_predicted_by(row),
    }
    deletion = Deletion(f"The predictor {row.id!r}", dependents)
    if dry_run:
        return deletion
    deletion.refuse_unless(force)
    if row.active:
        _activate_built_in(work, row)
    work.predictors.delete_version(row)
    work.commit()
    return deletion


def _refuse_built_in(row: PredictorRow) -> None:
    if row.id in built_in_predictors():
        raise Conflict(f"{row.id!r} is built-in and cannot be changed.")


def _refuse_archived(row: PredictorRow) -> None:
    if row.archived_at is not None:
        raise Conflict(
            f"The predictor {row.id!r} is archived and not used. Unarchive it (PATCH /v1/predictors/{row.id} with "
            '{"archived": false}) to use it.'
        )


def store_built_in(work: UnitOfWork) -> None:
    """Store the built-in predictors that are missing; of processes that start together one stores them.

    Each becomes active unless another version is active for its baseline and data set.
    """
    built_in_predictors()  # before the transaction begins: SQLite has one writer, and others would wait for the fit
    work.predictors.lock_name("predictors")
    for built_in in _missing_built_in(work):
        add_version(
            work,
            built_in.predictor,
            architecture=built_in.architecture,
            dataset=built_in.dataset,
            provenance=built_in.provenance,
            predictor_id=built_in.id,
            gate=built_in.gate,
            active=work.predictors.active(built_in.architecture, built_in.dataset) is None,
        )
    work.commit()


def _missing_built_in(work: UnitOfWork) -> list[BuiltInPredictor]:
    return [built_in for built_in in built_in_predictors().values() if not work.predictors.is_known(built_in.id)]
