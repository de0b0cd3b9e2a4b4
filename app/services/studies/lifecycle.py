"""A study's life cycle: its state transitions, and the status that clients see."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from app.core.deletion import Deletion, Listed
from app.core.errors import Conflict, IllegalTransition
from app.core.studies import Sampler, StudyState, StudyStatus, SuggestionState
from app.core.trials import TrialState
from app.db.repositories.observations import StudyObservation
from app.db.tables import StudyRow
from app.db.unit_of_work import UnitOfWork
from app.scaling.search.observations import Role
from app.scaling.search.random_sampler import sample
from app.services.auth import quotas
from app.services.catalog import dataset_life, datasets
from app.services.changes import Changes
from app.services.studies import training
from app.services.studies.studies import compound_networks, find_own, lock_own, require_promotion
from app.services.studies.training import Network
from app.services.trials import lifecycle as trial_lifecycle

_MAX_LISTED = 100  # trials that depend on a study


class Transition(Enum):
    """The allowed state transitions: from any of these states to that one."""

    START = (StudyState.CREATED,), StudyState.STARTED
    PAUSE = (StudyState.STARTED,), StudyState.PAUSED
    RESUME = (StudyState.PAUSED,), StudyState.STARTED
    CANCEL = (StudyState.CREATED, StudyState.STARTED, StudyState.PAUSED), StudyState.CANCELLED

    def __init__(self, sources: tuple[StudyState, ...], target: StudyState) -> None:
        self.sources, self.target = sources, target


@dataclass(frozen=True)
class StudyProgress:
    """A study's status, the number of its trials by state, and of its observations and suggestions."""

    status: StudyStatus
    trials: dict[TrialState, int]
    observations: int
    suggestions_open: int
    suggestions_answered: int


def start(work: UnitOfWork, study_id: str, request_id: str | None = None) -> StudyRow:
    """Start the study and enqueue its trials; trials that exist already are reused. Starting twice changes nothing.

    A study with the active sampler starts with a few networks; others follow as results arrive. Of very many random
    networks the first are enqueued; the others follow automatically.
    Raises: NotFound; NotOwner; Conflict if the study was cancelled, or it or its data set is archived; QuotaExceeded.
    """
    study = find_own(work, study_id)
    if study.state is not StudyState.CREATED:
        require_not_cancelled(study)
        return study
    require_takes_work(study)
    work.release()  # the networks are computed outside of the transaction that stores them
    networks = []
    if study.sampler is Sampler.RANDOM:
        solutions = sample(study.spec, study.space.for_architecture(study.spec), study.size, study.seed)
        networks = [Network(solution.multipliers, solution.config) for solution in solutions]
    compound = compound_networks(study.spec, study.space, study.options.compound)
    study = lock_own(work, study_id)
    if not _change(work, study, Transition.START):
        require_not_cancelled(study)
        return study
    require_takes_work(study)
    dataset_life.require_trainable(work, datasets.find(work, study.dataset))
    first = networks[: training.networks_at_once(study)]
    training.enqueue(work, study, first, Role.RANDOM, request_id)
    study.proposed = len(first)
    training.enqueue(work, study, compound, Role.COMPOUND, request_id)
    work.studies.record_change(study.id)
    quotas.check_trials(work)
    work.commit()
    return study


def pause(work: UnitOfWork, study_id: str) -> StudyRow:
    """Pause the study. Its queued trials wait, unless another study or a client needs them; running ones continue.

    Raises: NotFound; NotOwner; Conflict if it was not started, was cancelled or has completed.
    """
    study = lock_own(work, study_id)
    status = status_of(work, study)
    paused = status is not StudyStatus.COMPLETED and _change(work, study, Transition.PAUSE)
    if not paused and status is not StudyStatus.PAUSED:
        raise IllegalTransition(f"The study is {status}; only a running study can be paused.")
    work.commit()
    return study


def resume(work: UnitOfWork, study_id: str) -> StudyRow:
    """Resume a paused study and schedule its queued trials again; a running study is not changed.

    Raises: NotFound; NotOwner; Conflict if it was not started, was cancelled or has completed, or is archived.
    """
    study = lock_own(work, study_id)
    status = status_of(work, study)
    if status is StudyStatus.PAUSED:
        require_takes_work(study)
    if _change(work, study, Transition.RESUME):
        work.send(
            work.trials.waiting_of_study(study.id, trial_lifecycle.WAITING, training.MAX_TRIALS_AT_ONCE)
        )  # the maintenance loop sends the others
        work.studies.record_change(study.id)
    elif status is not StudyStatus.RUNNING:
        raise IllegalTransition(f"The study is {status}; only a paused study can be resumed.")
    work.commit()
    return study


def cancel(work: UnitOfWork, study_id: str) -> StudyRow:
    """Cancel the study and its trials, except those that another study or a client needs as well.

    Raises: NotFound; NotOwner; Conflict if it has completed.
    """
    study = lock_own(work, study_id)
    if status_of(work, study) is StudyStatus.COMPLETED:
        raise IllegalTransition("The study has completed and cannot be cancelled.")
    _change(work, study, Transition.CANCEL)
    _cancel_unfinished_alone(work, study)
    work.commit()
    return study


def require_not_cancelled(study: StudyRow) -> None:
    """Raise an error if the study was cancelled.

    Raises: Conflict.
    """
    if study.state is StudyState.CANCELLED:
        raise IllegalTransition("The study was cancelled. Create another one.")


def require_takes_work(study: StudyRow) -> None:
    """Raise an error if nothing new may be trained in the study.

    Raises: Conflict if it was cancelled or is archived.
    """
    require_not_cancelled(study)
    if study.archived_at is not None:
        raise Conflict(
            f"The study {study.name!r} is archived and takes no new work. Unarchive it (PATCH /v1/studies/{study.id} "
            'with {"archived": false}) to go on with it.'
        )


def status_of(work: UnitOfWork, study: StudyRow) -> StudyStatus:
    return _status(study, work.studies.trials_by_state([study.id]).get(study.id, {}))


def progress(work: UnitOfWork, studies: list[StudyRow]) -> dict[str, StudyProgress]:
    """Return the progress of each study by its id."""
    ids = [study.id for study in studies]
    trials, suggestions = work.studies.trials_by_state(ids), work.suggestions.count_by_state(ids)
    observations = work.observations.count_by_study(ids)
    return {
        study.id: StudyProgress(
            _status(study, trials.get(study.id, {})),
            trials.get(study.id, {}),
            observations[study.id],
            suggestions.get((study.id, SuggestionState.PENDING), 0),
            sum(suggestions.get((study.id, state), 0) for state in SuggestionState if state != SuggestionState.PENDING),
        )
        for study in studies
    }


def best_so_far(work: UnitOfWork, study: StudyRow) -> StudyObservation | None:
    """Return the study's most accurate observation that counts."""
    return work.observations.best_of_study(study.id, [role for role in Role if role.counts])


def update(work: UnitOfWork, study: StudyRow, changes: Changes, *, promote: bool | None = None) -> None:
    """Rename, describe or archive a study that `lock_own` returned. What an archived study has queued goes on.

    `promote` decides whether its refits may become active; None leaves it as it is.
    Raises: Forbidden if the caller may not let it promote its predictors.
    """
    if promote is not None:
        if promote and not study.options.refit.promote:
            require_promotion(work)
        study.options = replace(study.options, refit=replace(study.options.refit, promote=promote))
    study.name = study.name if changes.name is None else changes.name
    changes.describe(study)
    work.commit()


def delete(work: UnitOfWork, study_id: str, *, force: bool, dry_run: bool = False) -> Deletion:
    """Delete the study; trials that only it needs are cancelled, and finished ones remain.

    With `dry_run`, only return what depends on it.
    Raises: NotFound; NotOwner; HasDependents without `force`, if it has a predictor, unfinished trials, or results and
    suggestions that would be lost.
    """
    study = lock_own(work, study_id)
    unfinished = work.trials.ids_of_study_alone(study.id, trial_lifecycle.UNFINISHED)
    dependents = {
        "predictors": work.predictors.ids_of_study(study.id),
        "trials": Listed(len(unfinished), tuple(unfinished[:_MAX_LISTED])),
        "suggestions": work.suggestions.ids_pending(study.id),
        "observations": work.observations.ids_from_outside(study.id),
    }
    deletion = Deletion(f"The study {study.name!r}", dependents)
    if dry_run:
        return deletion
    deletion.refuse_unless(force)
    _cancel_unfinished_alone(work, study)
    # Not before the trials are locked: their completion locks first the trial, then its studies.
    work.studies.lock_for_deletion(study.id)
    _cancel_unfinished_alone(work, study)  # those added meanwhile
    work.studies.delete_with_contents(study)
    work.commit()
    return deletion


def _cancel_unfinished_alone(work: UnitOfWork, study: StudyRow) -> None:
    """Cancel the unfinished trials that neither another study nor a client needs."""
    ids = work.trials.ids_of_study_alone(study.id, trial_lifecycle.UNFINISHED, lock=True)
    trial_lifecycle.cancel_all_unfinished(work, ids)


def _status(study: StudyRow, counts: dict[TrialState, int]) -> StudyStatus:
    if study.state in (StudyState.CREATED, StudyState.CANCELLED):
        return StudyStatus(study.state)
    unfinished = any(counts.get(state) for state in trial_lifecycle.UNFINISHED)
    if not unfinished and study.proposed >= study.size:
        return StudyStatus.COMPLETED
    return StudyStatus.RUNNING if study.state is StudyState.STARTED else StudyStatus.PAUSED


def _change(work: UnitOfWork, study: StudyRow, transition: Transition) -> bool:
    """Change the study's state; return False if the transition is not allowed. The row is refreshed."""
    return work.studies.change_state(study, transition.sources, transition.target)
