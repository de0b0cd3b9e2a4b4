"""Trials and studies as text for people."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from app.cli.output import note, print_facts
from app.cli.units import format_count, format_duration, format_percent

if TYPE_CHECKING:
    from rdw_client import Study, Trial


def print_trial(trial: Trial) -> None:
    m = trial.multipliers
    size = f"{format_count(trial.flops)} multiply-adds, {format_count(trial.params)} parameters"
    print_facts(
        [
            ("trial", trial.id),
            ("name", trial.name),
            ("description", trial.description),
            ("archived", format_archived(trial.archived_at)),
            ("state", trial.state),
            ("network", f"{trial.architecture}, {size}"),
            ("r, d, w", m and ", ".join(f"{m[name]:.3g}" for name in "rdw")),
            ("data", f"{trial.dataset}, seed {trial.seed}"),
            ("progress", None if trial.ended else describe_progress(trial.progress)),
            ("owner", trial.owner),
            ("accuracy", format_percent(trial.accuracy, 2)),
            ("duration", format_duration((trial.result or {}).get("seconds"))),
            ("error", trial.error),
            *(("warning", warning) for warning in (trial.result or {}).get("warnings") or ()),
        ]
    )


def print_study(study: Study) -> None:
    print_facts(
        [
            ("study", study.id),
            ("name", study.name),
            ("owner", study.owner),
            ("description", study.description),
            ("archived", format_archived(study.archived_at)),
            ("state", study.state),
            ("baseline", f"{study.architecture} on {study.dataset}"),
            ("networks", f"{study.proposed} of {study.size} drawn, {study.sampler}"),
            ("trials", describe_trials(study)),
        ]
    )
    if not study.has_started:
        note(f"Start it: rdw study start {study.id}   or train elsewhere: rdw study ask {study.id}")


def format_archived(archived_at: datetime | None) -> str | None:
    """Return the day on which a resource was archived."""
    return None if archived_at is None else f"since {archived_at:%Y-%m-%d}"


def describe_trials(study: Study) -> str:
    """Count a study's trials by state: `3 queued, 1 running, 8 completed`."""
    return ", ".join(f"{count} {state}" for state, count in study.trials.items() if count) or "no trials yet"


def describe_progress(progress: dict[str, Any] | None) -> str:
    """Describe where a training is: `training  epoch 1 of 2  loss 1.500`."""
    if not progress:
        return ""
    parts = [str(progress.get("phase", ""))]
    if progress.get("epochs"):
        parts.append(f"epoch {progress.get('epoch')} of {progress['epochs']}")
    if progress.get("train_loss") is not None:
        parts.append(f"loss {progress['train_loss']:.3f}")
    if progress.get("validation_accuracy") is not None:
        parts.append(f"validation {format_percent(progress['validation_accuracy'])}")
    if progress.get("seconds_left"):
        parts.append(f"{format_duration(progress['seconds_left'])} left")
    return "  ".join(part for part in parts if part)


def progress_share(progress: dict[str, Any] | None) -> float | None:
    """Return the completed share of a training from 0 to 1; None if it is unknown."""
    if not progress or not progress.get("epochs") or not progress.get("steps"):
        return None
    step = progress.get("step", 0) % progress["steps"]
    return min(1.0, float(progress["epoch"] * progress["steps"] + step) / float(progress["epochs"] * progress["steps"]))
