"""Trainings that fail, stop or pause keep their reason, log and checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from app.core.settings import Settings
from app.core.trials import RungAccuracy
from app.data.builtin_datasets import DIGITS
from app.data.recipes import Recipe
from app.db.tables import TrialRow
from app.db.unit_of_work import UnitOfWork
from app.services.trials import artifacts, lifecycle, reconciliation, requests
from app.services.trials.attempts import list_attempts
from tests.worker.support import TINY
from worker import run_trial
from worker.heartbeat import Heartbeat

RECIPE = Recipe(epochs=3, batch_size=64, train_images=256)


@pytest.fixture
def request_trial(work: Callable[[], UnitOfWork]) -> Callable[[Recipe], str]:
    def request(recipe: Recipe) -> str:
        with work() as unit:
            trial = requests.get_or_create(unit, requests.TrialPlan("tiny", TINY, DIGITS, recipe, 0))
            unit.commit()
            return trial.id

    return request


@pytest.fixture
def run(work: Callable[[], UnitOfWork], settings: Settings) -> Callable[[str], TrialRow]:
    """Runs the next trial as a worker does, and returns its row afterwards."""

    def run(trial_id: str) -> TrialRow:
        run_trial.train_next_trial(settings, Heartbeat(settings, "a test"), trial_id)
        with work() as unit:
            return requests.find(unit, trial_id)

    return run


def checkpoint(settings: Settings, trial_id: str) -> Path:
    return artifacts.trial_folder(settings.data_dir, trial_id) / "checkpoint.pt"


def test_failed_trial_keeps_log_and_resumes_when_retried(
    request_trial: Callable[[Recipe], str],
    run: Callable[[str], TrialRow],
    work: Callable[[], UnitOfWork],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    epochs: list[int] = []

    def report(unit: UnitOfWork, claim: lifecycle.Claim, progress: Any, _: float | None) -> bool:
        if progress.epoch == 2 and progress.epoch not in epochs:
            epochs.append(2)
            raise RuntimeError("the disk is full")
        epochs.append(progress.epoch)
        return True

    monkeypatch.setattr(lifecycle, "report", report)
    trial_id = request_trial(RECIPE)

    failed = run(trial_id)

    assert (failed.state, failed.error) == ("failed", "Unexpected RuntimeError; see the worker's log.")
    assert failed.log is not None and "failed unexpectedly" in failed.log[-2]
    assert not any("Traceback" in line for line in failed.log)
    with work() as unit:
        requests.retry(unit, trial_id)
    assert run(trial_id).state == "completed"
    assert epochs == [1, 2, 3], "no epoch was trained twice"


def test_complete_epochs_are_counted_with_their_seconds(
    request_trial: Callable[[Recipe], str], run: Callable[[str], TrialRow], work: Callable[[], UnitOfWork]
) -> None:
    before = time.monotonic()

    run(request_trial(RECIPE))

    with work() as unit:
        counts = unit.counters.totals()
    assert counts["epochs"] == RECIPE.epochs
    assert 0 < counts["epoch_seconds"] < time.monotonic() - before


def test_diverged_trial_keeps_no_checkpoint(
    request_trial: Callable[[Recipe], str], run: Callable[[str], TrialRow], settings: Settings
) -> None:
    trial_id = request_trial(Recipe(epochs=10, batch_size=32, lr=10, weight_decay=1, warmup_epochs=0, train_images=256))
    checkpoint(settings, trial_id).parent.mkdir(parents=True)
    checkpoint(settings, trial_id).write_bytes(b"a previous epoch")

    failed = run(trial_id)

    assert failed.state == "failed" and "lower the learning rate" in (failed.error or "")
    assert not checkpoint(settings, trial_id).parent.exists()


def test_late_result_keeps_checkpoint_for_next_worker(
    request_trial: Callable[[Recipe], str],
    run: Callable[[str], TrialRow],
    work: Callable[[], UnitOfWork],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    report, epochs = lifecycle.report, []

    def lose_the_lease_at_the_end(unit: UnitOfWork, claim: lifecycle.Claim, progress: Any, *rest: Any) -> bool:
        epochs.append(progress.epoch)
        is_leased = report(unit, claim, progress, *rest)
        if epochs == [1, 2, 3]:
            with work() as other:
                other.session.execute(update(TrialRow).values(lease_expires_at=0.0))
                other.commit()
                reconciliation.reconcile(other, settings)
        return is_leased

    monkeypatch.setattr(lifecycle, "report", lose_the_lease_at_the_end)
    trial_id = request_trial(RECIPE)

    assert run(trial_id).state == "queued"
    assert checkpoint(settings, trial_id).exists()
    assert run(trial_id).state == "completed"
    assert epochs == [1, 2, 3], "no epoch was trained twice"
    assert not checkpoint(settings, trial_id).exists()
    with work() as unit:
        assert [event.kind for event in unit.events.list_after_each({trial_id: 0}, 200)].count("superseded") == 1


def test_trial_pauses_at_rung_and_resumes_after_promotion(
    run: Callable[[str], TrialRow], work: Callable[[], UnitOfWork], settings: Settings
) -> None:
    with work() as unit:
        trial_id = requests.get_or_create(unit, requests.TrialPlan("tiny", TINY, DIGITS, RECIPE, 0, until_epoch=1)).id
        unit.commit()

    paused = run(trial_id)

    assert (paused.state, paused.awaiting_promotion, paused.attempt) == ("queued", True, 0)
    assert paused.rungs is not None
    assert checkpoint(settings, trial_id).is_file()
    assert run(trial_id).state == "queued", "it is not claimed before its promotion"
    with work() as unit:
        assert lifecycle.promote(unit, trial_id, None)
        unit.commit()
    done = run(trial_id)
    assert (done.state, done.awaiting_promotion) == ("completed", False)
    assert done.result is not None
    assert [entry["epoch"] for entry in done.result.history] == [1, 2, 3]
    assert paused.rungs == (RungAccuracy(1, done.result.history[0]["validation_accuracy"]),)
    with work() as unit:
        ended = [attempt.outcome for attempt in list_attempts(unit.events.state_changes(trial_id))]
    assert ended == ["reached_rung", "completed"]
