"""Retention deletes what has expired and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from app.core.settings import Settings
from app.core.trials import TrainingProgress, TrialResult
from app.data.builtin_datasets import DIGITS
from app.data.recipes import Recipe
from app.db.tables import EventRow, TrialRow, utc_now
from app.db.unit_of_work import UnitOfWork
from app.services import retention
from app.services.trials import artifacts, lifecycle, requests
from tests.worker.support import TINY

pytestmark = pytest.mark.databases("sqlite", "postgresql")

Open = Callable[[], UnitOfWork]
RESULT = TrialResult(0.5, 1.0, {})


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"keep_days": 7.0})


@pytest.fixture
def trial(work: Open, settings: Settings) -> Callable[[str, float], str]:
    """Return a function that creates a trial with checkpoints, in a state that it reached `days` ago."""
    seeds = iter(range(100))

    def make(state: str, days: float) -> str:
        with work() as unit:
            requests.get_or_create(unit, requests.TrialPlan("tiny", TINY, DIGITS, Recipe(epochs=3), next(seeds)))
            unit.commit()
            claim = lifecycle.claim(unit, "a test", settings)
            assert claim is not None
            for epoch in (1, 2, 3):
                lifecycle.report(unit, claim, TrainingProgress(epoch, validation_accuracy=0.5))
            if state == "completed":
                lifecycle.complete(unit, claim, RESULT)
            elif state == "failed":
                lifecycle.fail(unit, claim, "a test", [])
            elif state == "cancelled":
                lifecycle.confirm_cancel(unit, claim)
            then = utc_now() - timedelta(days=days)
            unit.session.query(TrialRow).filter_by(id=claim.trial.id).update(
                {"finished_at": None if state == "running" else then}
            )
            unit.session.query(EventRow).filter_by(trial_id=claim.trial.id).update({"created_at": then})
            unit.commit()
        place = artifacts.trial_folder(settings.data_dir, claim.trial.id)
        place.mkdir(parents=True)
        (place / "checkpoint.pt").touch()
        (place / "checkpoint.before.pt").touch()
        if state == "completed":
            artifacts.artifact_folder(settings.data_dir, claim.trial.id).mkdir()
        return claim.trial.id

    return make


def kinds(work: Open, trial_id: str) -> list[str]:
    with work() as unit:
        return [event.kind for event in unit.events.list_after_each({trial_id: 0}, 200)]


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled"])
def test_old_progress_is_deleted_but_states_remain(
    trial: Callable[[str, float], str], work: Open, settings: Settings, state: str
) -> None:
    old = trial(state, 8)

    assert retention.prune(settings) == 3

    assert kinds(work, old) == ["state", "state", "state"]
    place = artifacts.trial_folder(settings.data_dir, old)
    assert list(place.glob("checkpoint*")) == []
    assert place.exists() is (state == "completed")
    with work() as unit:
        assert requests.find(unit, old).state == state
        assert unit.session.query(TrialRow).count() == 1


@pytest.mark.parametrize(("state", "days"), [("completed", 6), ("failed", 6), ("running", 8)])
def test_recent_and_running_trials_are_kept(
    trial: Callable[[str, float], str], work: Open, settings: Settings, state: str, days: float
) -> None:
    kept = trial(state, days)

    assert retention.prune(settings) == 0

    assert kinds(work, kept).count("progress") == 3
    assert len(list(artifacts.trial_folder(settings.data_dir, kept).glob("checkpoint*"))) == 2


@pytest.mark.parametrize("state", ["completed", "failed", "running"])
def test_only_files_of_superseded_attempts_are_deleted(
    trial: Callable[[str, float], str], work: Open, settings: Settings, state: str
) -> None:
    old = trial(state, 8)
    superseded, last = (artifacts.attempt_folder(settings.data_dir, old, token) for token in ("superseded", "last"))
    for folder in (superseded, last):
        folder.mkdir(parents=True)
        (folder / "log.csv").write_text("epoch\n")
    if state == "completed":
        with work() as unit:
            requests.find(unit, old).artifacts = artifacts.describe(settings.data_dir, old, "last")
            unit.commit()

    retention.prune(settings)

    assert superseded.exists() is (state == "running")
    assert (last / "log.csv").exists() is (state != "failed")
    assert artifacts.trial_folder(settings.data_dir, old).exists() is (state != "failed")


def test_retention_keeps_files_of_earlier_versions(trial: Callable[[str, float], str], settings: Settings) -> None:
    file = artifacts.artifact_folder(settings.data_dir, trial("completed", 8)) / "log.csv"
    file.write_text("epoch\n")

    retention.prune(settings)

    assert file.exists()


def test_all_expired_events_are_deleted_in_batches(
    trial: Callable[[str, float], str], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_MAX_EVENTS_PER_TRANSACTION", 2)
    for _ in range(3):
        trial("completed", 8)

    assert retention.prune(settings) == 9
    assert retention.prune(settings) == 0


def test_retention_ends_after_a_batch_when_the_service_stops(
    trial: Callable[[str, float], str], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_MAX_EVENTS_PER_TRANSACTION", 2)
    for _ in range(3):
        trial("completed", 8)

    assert retention.prune(settings, lambda: True) == 2
    assert retention.prune(settings) == 7


def test_retry_after_checkpoint_deletion_queues_the_trial(
    trial: Callable[[str, float], str], work: Open, settings: Settings
) -> None:
    old = trial("failed", 8)
    retention.prune(settings)

    with work() as unit:
        assert requests.retry(unit, old).state == "queued"
