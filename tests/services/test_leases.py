from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import update

from app.datasets import DIGITS
from app.db.tables import ObservationRow, TrialRow
from app.db.unit_of_work import UnitOfWork
from app.recipes import PRESETS
from app.scaling.architecture import Multipliers
from app.scaling.recommend import flops_of
from app.schemas.architectures import NewArchitecture
from app.services import leases, trials
from app.settings import Settings
from tests.support import SMALL, claim_of, expire

Open = Callable[[], UnitOfWork]
RESULT: dict[str, Any] = {"accuracy": 0.9, "seconds": 1.0, "environment": {"torch": "2"}}


@pytest.fixture
def trial_id(work: Open) -> str:
    architecture = NewArchitecture(**SMALL).to_architecture("")
    multipliers = Multipliers(1, 1, 1)
    plan = trials.Plan(
        "small",
        architecture.scaled(multipliers),
        DIGITS,
        PRESETS["digits-smoke"],
        0,
        multipliers,
        flops_of(architecture),
    )
    with work() as unit:
        trial = trials.request(unit, plan)
        unit.commit()
        return trial.id


def lose(work: Open, trial_id: str, settings: Settings) -> None:
    """The trial's worker falls silent, and that is noticed."""
    expire(work, trial_id)
    with work() as unit:
        leases.reconcile(unit, settings)


def observed(work: Open) -> int:
    with work() as unit:
        return unit.session.query(ObservationRow).count()


def state(work: Open, trial_id: str) -> str:
    with work() as unit:
        return trials.find(unit, trial_id).state


def test_a_trial_is_claimed_once(work: Open, trial_id: str, settings: Settings) -> None:
    claim_of(work, trial_id, settings)

    with work() as unit:
        assert leases.claim(unit, "b", settings) is None


def test_an_expired_lease_can_be_claimed_by_another_worker(work: Open, trial_id: str, settings: Settings) -> None:
    first = claim_of(work, trial_id, settings)
    lose(work, trial_id, settings)

    second = claim_of(work, trial_id, settings, "b")

    assert second.trial.attempt == 2
    assert second.token != first.token


def test_finishing_stores_the_result_and_one_observation(work: Open, trial_id: str, settings: Settings) -> None:
    claim = claim_of(work, trial_id, settings)

    with work() as unit:
        assert leases.complete(unit, claim, RESULT)

    with work() as unit:
        trial = trials.find(unit, trial_id)
        assert trial.result is not None
        assert {key: trial.result[key] for key in RESULT} == RESULT
        assert (trial.state, trial.lease_owner) == ("completed", None)
        observation = unit.session.query(ObservationRow).one()
        assert (observation.accuracy, observation.ratio, observation.r) == (0.9, 1.0, 1.0)


def test_a_result_that_comes_after_the_lease_was_lost_is_kept_and_not_counted(
    work: Open, trial_id: str, settings: Settings
) -> None:
    late = claim_of(work, trial_id, settings)
    lose(work, trial_id, settings)
    current = claim_of(work, trial_id, settings, "b")

    with work() as unit:
        assert not leases.complete(unit, late, RESULT)
    assert observed(work) == 0
    with work() as unit:
        assert leases.complete(unit, current, RESULT)
    with work() as unit:
        assert not leases.complete(unit, late, RESULT)

    assert observed(work) == 1
    with work() as unit:
        kinds = [event.kind for event in unit.events.after(trial_id, 0)]
    assert kinds.count("superseded") == 2


def test_a_heartbeat_extends_the_lease_and_hears_of_a_cancel(work: Open, trial_id: str, settings: Settings) -> None:
    claim = claim_of(work, trial_id, settings)

    with work() as unit:
        assert unit.trials.extend(trial_id, claim.token, 60) is False
        unit.commit()
    with work() as unit:
        trials.cancel(unit, trial_id)
    with work() as unit:
        assert unit.trials.extend(trial_id, claim.token, 60) is True
        assert unit.trials.extend(trial_id, "another token", 60) is None


def test_a_running_trial_ends_cancelled_once_its_worker_hears_of_it(
    work: Open, trial_id: str, settings: Settings
) -> None:
    claim = claim_of(work, trial_id, settings)
    with work() as unit:
        trials.cancel(unit, trial_id)

    with work() as unit:
        assert leases.cancelled(unit, claim)

    assert state(work, trial_id) == "cancelled"
    assert observed(work) == 0


def test_reconcile_sends_an_expired_trial_again_but_once(work: Open, trial_id: str, settings: Settings) -> None:
    claim_of(work, trial_id, settings)
    expire(work, trial_id)

    sent: list[str] = []
    for _ in range(3):
        with UnitOfWork(settings.database, sent.extend) as unit:
            leases.reconcile(unit, settings)

    assert sent == [trial_id]


def test_reconcile_leaves_a_held_trial_and_one_just_sent_alone(work: Open, trial_id: str, settings: Settings) -> None:
    with work() as unit:
        assert leases.reconcile(unit, settings) == 0
    claim_of(work, trial_id, settings)
    with work() as unit:
        assert leases.reconcile(unit, settings) == 0


def test_reconcile_sends_a_queued_trial_whose_message_was_lost(work: Open, trial_id: str, settings: Settings) -> None:
    with work() as unit:
        unit.session.execute(update(TrialRow).values(sent_at=1.0))
        unit.workers.beat("busy", 1, "another trial")
        unit.commit()
    with work() as unit:
        assert leases.reconcile(unit, settings) == 0, "all workers are busy: it waits its turn"

    with work() as unit:
        unit.workers.beat("idle", 1, None)
        assert leases.reconcile(unit, settings) == 1


def test_a_trial_whose_workers_keep_dying_fails_with_that_reason(work: Open, trial_id: str, settings: Settings) -> None:
    for _ in range(settings.max_attempts):
        claim_of(work, trial_id, settings)
        lose(work, trial_id, settings)

    with work() as unit:
        assert leases.claim(unit, "b", settings) is None
        trial = trials.find(unit, trial_id)
    assert trial.state == "failed"
    assert f"{settings.max_attempts} times" in (trial.error or "")


def test_a_cancelled_trial_whose_worker_died_ends_cancelled(work: Open, trial_id: str, settings: Settings) -> None:
    claim_of(work, trial_id, settings)
    with work() as unit:
        trials.cancel(unit, trial_id)
    lose(work, trial_id, settings)

    assert state(work, trial_id) == "cancelled"


def test_a_trial_handed_back_is_anybodys_at_once_and_costs_no_attempt(
    work: Open, trial_id: str, settings: Settings
) -> None:
    claim = claim_of(work, trial_id, settings)

    with work() as unit:
        assert leases.hand_back(unit, claim)
    with work() as unit:
        assert leases.reconcile(unit, settings) == 1

    assert claim_of(work, trial_id, settings, "b").trial.attempt == 1


def test_a_lease_from_before_the_databases_clock_was_put_back_does_not_hold_for_hours(
    work: Open, trial_id: str, settings: Settings
) -> None:
    claim_of(work, trial_id, settings)
    with work() as unit:
        columns = "lease_expires_at", "heartbeat_at", "sent_at"
        unit.session.execute(update(TrialRow).values({name: getattr(TrialRow, name) + 3600 for name in columns}))
        unit.commit()

    with work() as unit:
        assert leases.reconcile(unit, settings) == 1

    assert claim_of(work, trial_id, settings, "b").trial.attempt == 2


def test_a_worker_with_a_longer_lease_than_the_apis_keeps_its_trial(
    work: Open, trial_id: str, settings: Settings
) -> None:
    claim = claim_of(work, trial_id, settings.model_copy(update={"lease_seconds": 600.0}))

    with work() as unit:
        assert leases.reconcile(unit, settings) == 0
        assert unit.trials.extend(trial_id, claim.token, 600) is False


def test_a_message_sent_before_the_databases_clock_was_put_back_is_sent_again(
    work: Open, trial_id: str, settings: Settings
) -> None:
    with work() as unit:
        unit.session.execute(update(TrialRow).values(sent_at=TrialRow.sent_at + 3600))
        unit.workers.beat("idle", 1, None)
        unit.commit()

    with work() as unit:
        assert leases.reconcile(unit, settings) == 1
