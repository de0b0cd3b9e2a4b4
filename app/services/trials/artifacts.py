"""Files of a trial: checkpoints, and the artifacts that the worker writes and the API serves.

Each attempt writes its artifacts to a folder named by its token. They become the trial's when the attempt completes it,
so a worker whose lease has expired cannot change the files of a completed trial.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from app.core.errors import ArtifactNotFound
from app.core.trials import ArtifactFile, TrialArtifacts, TrialState
from app.db.tables import TrialRow
from app.db.unit_of_work import UnitOfWork
from app.services.trials import requests
from app.services.trials.lifecycle import UNFINISHED


class Artifact(StrEnum):
    """The names of the files."""

    WEIGHTS = "weights.safetensors"
    MODEL = "model.onnx"
    LOG = "log.csv"
    LABELS = "labels.txt"
    CONFUSION = "confusion.csv"


@dataclass(frozen=True)
class StoredArtifact:
    """The path of an artifact, and its SHA-256 unless a version before 0.2.0 wrote it."""

    path: Path
    sha256: str | None


def trial_folder(data_dir: Path, trial_id: str) -> Path:
    """Return the folder of a trial's checkpoints and artifacts."""
    return data_dir / "trials" / trial_id


def artifact_folder(data_dir: Path, trial_id: str) -> Path:
    """Return the folder of a trial's artifacts; versions before 0.2.0 wrote the files directly into it."""
    return trial_folder(data_dir, trial_id) / "artifacts"


def attempt_folder(data_dir: Path, trial_id: str, token: str) -> Path:
    """Return the folder to which the attempt with this token writes its artifacts."""
    return artifact_folder(data_dir, trial_id) / token


def describe(data_dir: Path, trial_id: str, token: str) -> TrialArtifacts:
    """Return the artifacts that an attempt has written, with their digests."""
    folder = attempt_folder(data_dir, trial_id, token)
    files = {name: folder / name for name in map(str, Artifact)}
    return TrialArtifacts(token, {name: _describe_file(file) for name, file in files.items() if file.is_file()})


def _describe_file(file: Path) -> ArtifactFile:
    with file.open("rb") as opened:
        return ArtifactFile(hashlib.file_digest(opened, "sha256").hexdigest(), file.stat().st_size)


def delete_folder(data_dir: Path, trial_id: str) -> None:
    """Delete a trial's checkpoints and artifacts."""
    shutil.rmtree(trial_folder(data_dir, trial_id), ignore_errors=True)


def delete_checkpoints(data_dir: Path, trial_id: str) -> None:
    """Delete a trial's checkpoints, and its folder if that is then empty."""
    folder = trial_folder(data_dir, trial_id)
    for checkpoint in folder.glob("checkpoint*"):
        checkpoint.unlink(missing_ok=True)
    _remove_if_empty(folder)


def delete_attempt(work: UnitOfWork, data_dir: Path, trial_id: str, token: str) -> None:
    """Delete the artifacts of an attempt that has ended, unless it has completed its trial."""
    trial = work.trials.get(trial_id)
    if trial is None or trial.artifacts is None or trial.artifacts.token != token:
        shutil.rmtree(attempt_folder(data_dir, trial_id, token), ignore_errors=True)


def delete_leftovers(work: UnitOfWork, data_dir: Path, trial_id: str, *, states: Collection[TrialState]) -> None:
    """Delete checkpoints, and files of attempts that did not complete the trial, if its state is in `states`."""
    trial = work.trials.lock(trial_id)  # so that no worker claims it meanwhile
    if trial is None or trial.state not in states:
        return
    delete_checkpoints(data_dir, trial_id)
    completed_by = trial.artifacts.token if trial.artifacts else None
    is_from_before = trial.state == TrialState.COMPLETED and trial.artifacts is None
    folder = artifact_folder(data_dir, trial_id)
    for entry in folder.glob("*"):
        if entry.is_dir() and not entry.is_symlink():
            if entry.name != completed_by:
                shutil.rmtree(entry, ignore_errors=True)
        elif not is_from_before:
            entry.unlink(missing_ok=True)
    if trial.state != TrialState.COMPLETED:
        _remove_if_empty(folder)
        _remove_if_empty(folder.parent)


def find(work: UnitOfWork, data_dir: Path, trial_id: str, artifact: Artifact) -> StoredArtifact:
    """Return a completed trial's artifact.

    Raises: NotFound; ArtifactNotFound if the file does not exist or is damaged, with the reason.
    """
    trial = requests.find(work, trial_id)
    folder = artifact_folder(data_dir, trial.id)
    recorded = trial.artifacts.files.get(artifact.value) if trial.artifacts else None
    if trial.artifacts:
        folder /= trial.artifacts.token
    file = (folder / artifact.value).resolve()
    if trial.state != TrialState.COMPLETED or not file.is_relative_to(data_dir.resolve()) or not file.is_file():
        raise ArtifactNotFound(_missing_reason(trial, artifact))
    if recorded and file.stat().st_size != recorded.size:
        raise ArtifactNotFound(f"{artifact} is damaged: it does not have the {recorded.size} bytes that were written.")
    return StoredArtifact(file, recorded.sha256 if recorded else None)


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _missing_reason(trial: TrialRow, artifact: Artifact) -> str:
    if trial.state in UNFINISHED:
        return f"The trial is {trial.state}: it will have {artifact} once it has completed."
    if trial.state != TrialState.COMPLETED:
        return f"The trial is {trial.state}: it leaves no {artifact}. Retry it to train it."
    if trial.result is not None and trial.result.export_error:
        return f"The trial has completed without {artifact}, its export failed: {trial.result.export_error}"
    return f"The trial has completed, and {artifact} is not in this service's data directory."
