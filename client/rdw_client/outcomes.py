"""How waiting for a trial, a study or a data set ends."""

from __future__ import annotations

from rdw_client.errors import RdwError
from rdw_client.models import Dataset, Study, Trial
from rdw_client.states import StudyState, TrialState


class TrialFailed(RdwError):
    """The trial failed (`trial`)."""

    def __init__(self, trial: Trial) -> None:
        super().__init__(f"Trial {trial.id} failed: {trial.error or 'no reason was given'}")
        self.trial = trial


class TrialCancelled(RdwError):
    """The trial was cancelled (`trial`)."""

    def __init__(self, trial: Trial) -> None:
        super().__init__(f"Trial {trial.id} was cancelled.")
        self.trial = trial


class StudyCancelled(RdwError):
    """The study was cancelled (`study`)."""

    def __init__(self, study: Study) -> None:
        super().__init__(f"Study {study.id} was cancelled.")
        self.study = study


class DatasetFailed(RdwError):
    """The images of a folder cannot be used (`dataset`)."""

    def __init__(self, dataset: Dataset) -> None:
        super().__init__(f"The data set {dataset.name} cannot be used: {dataset.error or 'no reason was given'}")
        self.dataset = dataset


def require_completed(trial: Trial) -> Trial:
    """Return a trial that has completed.

    Raises: TrialFailed; TrialCancelled.
    """
    if trial.state == TrialState.FAILED:
        raise TrialFailed(trial)
    if trial.state == TrialState.CANCELLED:
        raise TrialCancelled(trial)
    return trial


def is_study_completed(study: Study) -> bool:
    """Whether a study has completed.

    Raises: StudyCancelled; RdwError if it was never started and so will not complete.
    """
    if study.state == StudyState.CANCELLED:
        raise StudyCancelled(study)
    if not study.has_started:
        raise RdwError(f"Study {study.id} was not started. Start it before you wait for it.")
    return study.state == StudyState.COMPLETED
