from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import update

from app.core.settings import Settings
from app.core.trials import TrialResult
from app.data.builtin_datasets import DIGITS
from app.data.recipes import PRESETS
from app.db.tables import ObservationRow, TrialRow
from app.db.unit_of_work import UnitOfWork
from app.http.schemas.architectures import NewArchitecture
from app.scaling.families import flops_of
from app.scaling.network import Multipliers
from app.services.trials import lifecycle, reconciliation, requests
from app.services.trials.heartbeats import LeaseStatus, extend_lease
from tests.support import SMALL, claim_trial, expire_lease

pytestmark = pytest.mark.databases("sqlite", "postgresql")

Open = Callable[[], UnitOfWork]
RESULT = TrialResult(0.9, 1.0, {"torch": "2"})


@pytest.fixture
def trial_id(work: Open) -> str:
    architecture = NewArchitecture(**SMALL).to_architecture("")
    multipliers = Multipliers(1, 1, 1)
    plan = requests.TrialPlan(
        "small",
        architecture.scale(multipliers),
        DIGITS,
        PRESETS["digits-smoke"],
        0,
        multipliers,
        flops_of(architecture),
    )
    with work() as unit:
        trial = requests.get_or_create(unit, plan)
        unit.commit()
        return trial.id


def lose_lease(work: Open, trial_id: str, settings: Settings) -> None:
    """Expire the trial's lease and reconcile."""
    expire_lease(work, trial_id)
    with work() as unit:
        reconciliation.reconcile(unit, settings)


def observation_count(work: Open) -> int:
    with work() as unit:
        return unit.session.query(ObservationRow).count()


def state(work: Open, trial_id: str) -> str:
    with work() as unit:
        return requests.find(unit, trial_id).state


def test_leased_trial_cannot_be_claimed(work: Open, trial_id: str, settings: Settings) -> None:
    claim_trial(work, trial_id, settings)

    with work() as unit:
        assert lifecycle.claim(unit, "b", settings) is None


def test_expired_lease_is_claimed_by_another_worker(work: Open, trial_id: str, settings: Settings) -> None:
    first = claim_trial(work, trial_id, settings)
    lose_lease(work, trial_id, settings)

    second = claim_trial(work, trial_id, settings, "b")

    assert second.trial.attempt == 2
    assert second.token != first.token


def test_completion_stores_result_and_one_observation(work: Open, trial_id: str, settings: Settings) -> None:
    claim = claim_trial(work, trial_id, settings)

    with work() as unit:
        assert lifecycle.complete(unit, claim, RESULT)

    with work() as unit:
        trial = requests.find(unit, trial_id)
        assert trial.result is not None
        assert (trial.result.accuracy, trial.result.environment) == (RESULT.accuracy, RESULT.environment)
        assert (trial.state, trial.lease_owner) == ("completed", None)
        observation = unit.session.query(ObservationRow).one()
        assert (observation.accuracy, observation.ratio, observation.r) == (0.9, 1.0, 1.0)


def test_result_after_lost_lease_is_recorded_as_superseded(work: Open, trial_id: str, settings: Settings) -> None:
    late = claim_trial(work, trial_id, settings)
    lose_lease(work, trial_id, settings)
    current = claim_trial(work, trial_id, settings, "b")

    with work() as unit:
        assert not lifecycle.complete(unit, late, RESULT)
    assert observation_count(work) == 0
    with work() as unit:
        assert lifecycle.complete(unit, current, RESULT)
    with work() as unit:
        assert not lifecycle.complete(unit, late, RESULT)

    assert observation_count(work) == 1
    with work() as unit:
        kinds = [event.kind for event in unit.events.list_after_each({trial_id: 0}, 200)]
    assert kinds.count("superseded") == 2


def test_heartbeat_extends_lease_and_reports_cancellation(work: Open, trial_id: str, settings: Settings) -> None:
    claim = claim_trial(work, trial_id, settings)

    with work() as unit:
        assert extend_lease(unit, claim, 60) is LeaseStatus.HELD
        unit.commit()
    with work() as unit:
        requests.cancel(unit, trial_id)
    with work() as unit:
        assert extend_lease(unit, claim, 60) is LeaseStatus.CANCEL_REQUESTED
        assert extend_lease(unit, replace(claim, token="another token"), 60) is LeaseStatus.LOST


def test_running_trial_is_cancelled_once_its_worker_confirms(work: Open, trial_id: str, settings: Settings) -> None:
    claim = claim_trial(work, trial_id, settings)
    with work() as unit:
        requests.cancel(unit, trial_id)

    with work() as unit:
        assert lifecycle.confirm_cancel(unit, claim)

    assert state(work, trial_id) == "cancelled"
    assert observation_count(work) == 0


def test_reconcile_resends_an_expired_trial_once(work: Open, trial_id: str, settings: Settings) -> None:
    claim_trial(work, trial_id, settings)
    expire_lease(work, trial_id)

    sent: list[str] = []
    for _ in range(3):
        with UnitOfWork(settings.database, sent.extend) as unit:
            reconciliation.reconcile(unit, settings)

    assert sent == [trial_id]


def test_reconcile_ignores_leased_and_just_sent_trials(work: Open, trial_id: str, settings: Settings) -> None:
    with work() as unit:
        assert reconciliation.reconcile(unit, settings) == 0
    claim_trial(work, trial_id, settings)
    with work() as unit:
        assert reconciliation.reconcile(unit, settings) == 0


def test_reconcile_resends_lost_message_to_idle_worker(work: Open, trial_id: str, settings: Settings) -> None:
    with work() as unit:
        unit.session.execute(update(TrialRow).values(sent_at=1.0))
        unit.workers.record_heartbeat("busy", 1, "another trial")
        unit.commit()
    with work() as unit:
        assert reconciliation.reconcile(unit, settings) == 0, "all workers are busy: the trial waits for one"

    with work() as unit:
        unit.workers.record_heartbeat("idle", 1, None)
        assert reconciliation.reconcile(unit, settings) == 1


def test_trial_fails_after_max_attempts(work: Open, trial_id: str, settings: Settings) -> None:
    for _ in range(settings.max_attempts):
        claim_trial(work, trial_id, settings)
        lose_lease(work, trial_id, settings)

    with work() as unit:
        assert lifecycle.claim(unit, "b", settings) is None
        trial = requests.find(unit, trial_id)
    assert trial.state == "failed"
    assert f"{settings.max_attempts} times" in (trial.error or "")


def test_cancelled_trial_of_a_dead_worker_ends_cancelled(work: Open, trial_id: str, settings: Settings) -> None:
    claim_trial(work, trial_id, settings)
    with work() as unit:
        requests.cancel(unit, trial_id)
    lose_lease(work, trial_id, settings)

    assert state(work, trial_id) == "cancelled"


def test_released_trial_is_claimable_with_same_attempt_count(work: Open, trial_id: str, settings: Settings) -> None:
    claim = claim_trial(work, trial_id, settings)

    with work() as unit:
        assert lifecycle.release(unit, claim)
    with work() as unit:
        assert reconciliation.reconcile(unit, settings) == 1

    assert claim_trial(work, trial_id, settings, "b").trial.attempt == 1


def test_lease_expires_if_the_clock_was_set_back(work: Open, trial_id: str, settings: Settings) -> None:
    claim_trial(work, trial_id, settings)
    with work() as unit:
        columns = "lease_expires_at", "heartbeat_at", "sent_at"
        unit.session.execute(update(TrialRow).values({name: getattr(TrialRow, name) + 3600 for name in columns}))
        unit.commit()

    with work() as unit:
        assert reconciliation.reconcile(unit, settings) == 1

    assert claim_trial(work, trial_id, settings, "b").trial.attempt == 2


def test_lease_longer_than_the_apis_setting_is_respected(work: Open, trial_id: str, settings: Settings) -> None:
    claim = claim_trial(work, trial_id, settings.model_copy(update={"lease_seconds": 600.0}))

    with work() as unit:
        assert reconciliation.reconcile(unit, settings) == 0
        assert extend_lease(unit, claim, 600) is LeaseStatus.HELD


def test_message_is_resent_after_clock_moves_back(work: Open, trial_id: str, settings: Settings) -> None:
    with work() as unit:
        unit.session.execute(update(TrialRow).values(sent_at=TrialRow.sent_at + 3600))
        unit.workers.record_heartbeat("idle", 1, None)
        unit.commit()

    with work() as unit:
        assert reconciliation.reconcile(unit, settings) == 1
