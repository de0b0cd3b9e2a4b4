"""What a training that does not come to its end leaves: the reason, the log, and a checkpoint to go on from."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.datasets import DIGITS
from app.db.tables import TrialRow
from app.db.unit_of_work import UnitOfWork
from app.recipes import Recipe
from app.services import artifacts, leases, trials
from app.services.attempts import attempts
from app.settings import Settings
from tests.worker.support import TINY
from worker import trials as training
from worker.leases import Heartbeat

RECIPE = Recipe(epochs=3, batch_size=64, train_images=256)


@pytest.fixture
def request_trial(work: Callable[[], UnitOfWork]) -> Callable[[Recipe], str]:
    def request(recipe: Recipe) -> str:
        with work() as unit:
            trial = trials.request(unit, trials.Plan("tiny", TINY, DIGITS, recipe, 0))
            unit.commit()
            return trial.id

    return request


@pytest.fixture
def run(work: Callable[[], UnitOfWork], settings: Settings) -> Callable[[str], TrialRow]:
    """Runs what is next, as a worker does; the trial afterwards."""

    def run(trial_id: str) -> TrialRow:
        training.train_trial(settings, Heartbeat(settings, "a test"), trial_id)
        with work() as unit:
            return trials.find(unit, trial_id)

    return run


def checkpoint(settings: Settings, trial_id: str) -> Path:
    return artifacts.trial_folder(settings.data_dir, trial_id) / "checkpoint.pt"


def test_a_failed_trial_keeps_its_log_and_goes_on_from_its_checkpoint_when_retried(
    request_trial: Callable[[Recipe], str],
    run: Callable[[str], TrialRow],
    work: Callable[[], UnitOfWork],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    epochs: list[int] = []

    def report(unit: UnitOfWork, claim: leases.Claim, progress: dict[str, Any], _: float | None) -> bool:
        if progress["epoch"] == 2 and progress["epoch"] not in epochs:
            epochs.append(2)
            raise RuntimeError("the disk is full")
        epochs.append(progress["epoch"])
        return True

    monkeypatch.setattr(leases, "report", report)
    trial_id = request_trial(RECIPE)

    failed = run(trial_id)

    assert (failed.state, failed.error) == ("failed", "Unexpected RuntimeError; the worker's log has more.")
    assert failed.log is not None and "failed unexpectedly" in failed.log[-2]
    assert not any("Traceback" in line for line in failed.log)
    with work() as unit:
        trials.retry(unit, trial_id)
    assert run(trial_id).state == "completed"
    assert epochs == [1, 2, 3], "what had been trained was not trained again"


def test_each_whole_epoch_is_counted_with_its_seconds(
    request_trial: Callable[[Recipe], str], run: Callable[[str], TrialRow], work: Callable[[], UnitOfWork]
) -> None:
    before = time.monotonic()

    run(request_trial(RECIPE))

    with work() as unit:
        counts = unit.counters.all()
    assert counts["epochs"] == RECIPE.epochs
    assert 0 < counts["epoch_seconds"] < time.monotonic() - before


def test_a_diverged_trial_keeps_no_checkpoint(
    request_trial: Callable[[Recipe], str], run: Callable[[str], TrialRow], settings: Settings
) -> None:
    trial_id = request_trial(Recipe(epochs=10, batch_size=32, lr=10, weight_decay=1, warmup_epochs=0, train_images=256))
    checkpoint(settings, trial_id).parent.mkdir(parents=True)
    checkpoint(settings, trial_id).write_bytes(b"of an epoch before")

    failed = run(trial_id)

    assert failed.state == "failed" and "lower the learning rate" in (failed.error or "")
    assert not checkpoint(settings, trial_id).parent.exists()


def test_a_late_result_leaves_the_checkpoint_to_who_has_the_trial_now(
    request_trial: Callable[[Recipe], str],
    run: Callable[[str], TrialRow],
    work: Callable[[], UnitOfWork],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    report, epochs = leases.report, []

    def lose_the_lease_at_the_end(unit: UnitOfWork, claim: leases.Claim, progress: Any, *rest: Any) -> bool:
        epochs.append(progress["epoch"])
        held = report(unit, claim, progress, *rest)
        if epochs == [1, 2, 3]:
            with work() as other:
                other.trials.change_held(claim.trial.id, claim.token, lease_expires_at=0.0)
                other.commit()
                leases.reconcile(other, settings)
        return held

    monkeypatch.setattr(leases, "report", lose_the_lease_at_the_end)
    trial_id = request_trial(RECIPE)

    assert run(trial_id).state == "queued"
    assert checkpoint(settings, trial_id).exists()
    assert run(trial_id).state == "completed"
    assert epochs == [1, 2, 3], "what had been trained was not trained again"
    assert not checkpoint(settings, trial_id).exists()
    with work() as unit:
        assert [event.kind for event in unit.events.after(trial_id, 0)].count("superseded") == 1


def test_a_trial_that_its_study_halves_stops_at_its_rung_and_goes_on_from_there(
    run: Callable[[str], TrialRow], work: Callable[[], UnitOfWork], settings: Settings
) -> None:
    with work() as unit:
        trial_id = trials.request(unit, trials.Plan("tiny", TINY, DIGITS, RECIPE, 0, until_epoch=1)).id
        unit.commit()

    held = run(trial_id)

    assert (held.state, held.held, held.attempt) == ("queued", True, 0)
    assert held.rungs is not None
    assert checkpoint(settings, trial_id).is_file()
    assert run(trial_id).state == "queued", "nobody takes it while it is held"
    with work() as unit:
        assert unit.trials.let_go_on(trial_id, None)
        unit.commit()
    done = run(trial_id)
    assert (done.state, done.held) == ("completed", False)
    assert done.result is not None
    assert [entry["epoch"] for entry in done.result["history"]] == [1, 2, 3]
    assert held.rungs == [{"epoch": 1, "accuracy": done.result["history"][0]["validation_accuracy"]}]
    with work() as unit:
        ended = [attempt.outcome for attempt in attempts(unit.events.of_states(trial_id))]
    assert ended == ["held", "completed"]
