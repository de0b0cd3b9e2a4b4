"""The files that a trained network leaves, as the worker lays them down and the API serves them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from app.db.tables import TrialRow
from app.db.unit_of_work import UnitOfWork
from app.errors import NoArtifact
from app.services import trials


class Artifact(StrEnum):
    """The names of the files."""

    WEIGHTS = "weights.safetensors"
    MODEL = "model.onnx"
    LOG = "log.csv"


def trial_folder(data_dir: Path, trial_id: str) -> Path:
    """Where a trial's checkpoint and weights lie."""
    return data_dir / "trials" / trial_id


def folder(data_dir: Path, trial_id: str) -> Path:
    """Where a trial's artifacts lie."""
    return trial_folder(data_dir, trial_id) / "artifacts"


def find(work: UnitOfWork, data_dir: Path, trial_id: str, artifact: Artifact) -> Path:
    """The file of a completed trial.

    Raises: NotFound; NoArtifact where the trial has none (yet), which says when it will, or why not.
    """
    trial = trials.find(work, trial_id)
    file = (folder(data_dir, trial.id) / artifact.value).resolve()
    if trial.state != "completed" or not file.is_relative_to(data_dir.resolve()) or not file.is_file():
        raise NoArtifact(_why_none(trial, artifact))
    return file


def _why_none(trial: TrialRow, artifact: Artifact) -> str:
    if trial.state in ("queued", "running"):
        return f"The trial is {trial.state}: it will have {artifact} once it has completed."
    if trial.state != "completed":
        return f"The trial is {trial.state}: it leaves no {artifact}. Retry it to train it."
    if reason := (trial.result or {}).get("export_error"):
        return f"The trial has completed without {artifact}, its export failed: {reason}"
    return f"The trial has completed, and {artifact} is not in this service's data directory."
