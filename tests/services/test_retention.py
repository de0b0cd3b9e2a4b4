"""What is old and of no more use goes by itself, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from app.datasets import DIGITS
from app.db.tables import EventRow, TrialRow, utc_now
from app.db.unit_of_work import UnitOfWork
from app.recipes import Recipe
from app.services import artifacts, leases, retention, trials
from app.settings import Settings
from tests.worker.support import TINY

Open = Callable[[], UnitOfWork]
RESULT = {"accuracy": 0.5, "seconds": 1.0, "environment": {}}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"keep_days": 7.0})


@pytest.fixture
def trial(work: Open, settings: Settings) -> Callable[[str, float], str]:
    """A trial in a state, which it came to so many days ago, after three epochs and their checkpoint."""
    seeds = iter(range(100))

    def make(state: str, days: float) -> str:
        with work() as unit:
            trials.request(unit, trials.Plan("tiny", TINY, DIGITS, Recipe(epochs=3), next(seeds)))
            unit.commit()
            claim = leases.claim(unit, "a test", settings)
            assert claim is not None
            for epoch in (1, 2, 3):
                leases.report(unit, claim, {"epoch": epoch, "validation_accuracy": 0.5})
            if state == "completed":
                leases.complete(unit, claim, RESULT)
            elif state == "failed":
                leases.fail(unit, claim, "a test", [])
            elif state == "cancelled":
                leases.cancelled(unit, claim)
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
            artifacts.folder(settings.data_dir, claim.trial.id).mkdir()
        return claim.trial.id

    return make


def kinds(work: Open, trial_id: str) -> list[str]:
    with work() as unit:
        return [event.kind for event in unit.events.after(trial_id, 0)]


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled"])
def test_how_a_trial_went_that_ended_long_ago_goes_and_how_it_ended_stays(
    trial: Callable[[str, float], str], work: Open, settings: Settings, state: str
) -> None:
    old = trial(state, 8)

    assert retention.prune(settings) == 3

    assert kinds(work, old) == ["state", "state", "state"]
    place = artifacts.trial_folder(settings.data_dir, old)
    assert list(place.glob("checkpoint*")) == []
    assert place.exists() is (state == "completed")
    with work() as unit:
        assert trials.find(unit, old).state == state
        assert unit.session.query(TrialRow).count() == 1


@pytest.mark.parametrize(("state", "days"), [("completed", 6), ("failed", 6), ("running", 8)])
def test_what_ended_lately_or_goes_on_stays(
    trial: Callable[[str, float], str], work: Open, settings: Settings, state: str, days: float
) -> None:
    kept = trial(state, days)

    assert retention.prune(settings) == 0

    assert kinds(work, kept).count("progress") == 3
    assert len(list(artifacts.trial_folder(settings.data_dir, kept).glob("checkpoint*"))) == 2


def test_more_than_goes_at_once_goes_all_the_same(
    trial: Callable[[str, float], str], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_AT_ONCE", 2)
    for _ in range(3):
        trial("completed", 8)

    assert retention.prune(settings) == 9
    assert retention.prune(settings) == 0


def test_a_trial_retried_after_its_checkpoint_has_gone_is_queued(
    trial: Callable[[str, float], str], work: Open, settings: Settings
) -> None:
    old = trial("failed", 8)
    retention.prune(settings)

    with work() as unit:
        assert trials.retry(unit, old).state == "queued"
