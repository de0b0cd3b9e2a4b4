"""The order of the queue, concurrent claims, and resent messages."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import update

from app.core.settings import Settings
from app.data.builtin_datasets import DIGITS
from app.data.recipes import PRESETS
from app.db.tables import TrialRow
from app.db.unit_of_work import UnitOfWork
from app.http.schemas.architectures import NewArchitecture
from app.scaling.network import Config
from app.services.trials import lifecycle, reconciliation, requests
from app.services.trials.heartbeats import LeaseStatus, extend_lease
from tests.support import SMALL, expire_lease

pytestmark = pytest.mark.databases("sqlite", "postgresql")

Open = Callable[[], UnitOfWork]


@pytest.fixture(scope="module")
def config() -> Config:
    return NewArchitecture(**SMALL).to_architecture("").baseline


@pytest.fixture
def add(work: Open, config: Config) -> Callable[..., str]:
    """Return a function that enqueues a new trial and returns its id."""
    seeds = iter(range(1000))

    def add(priority: int = 0, seed: int | None = None) -> str:
        chosen = next(seeds) if seed is None else seed
        plan = requests.TrialPlan("small", config, DIGITS, PRESETS["digits-smoke"], chosen)
        with work() as unit:
            trial = requests.get_or_create(unit, plan, priority=priority)
            unit.commit()
            return trial.id

    return add


def test_queue_is_ordered_by_priority_then_age(add: Callable[..., str], claim_next: Callable[[], str | None]) -> None:
    bulk, first, second, urgent = add(-5), add(), add(), add(3)

    assert [claim_next() for _ in range(5)] == [urgent, first, second, bulk, None]


def test_trial_takes_the_highest_priority_of_its_requests(
    add: Callable[..., str], claim_next: Callable[[], str | None]
) -> None:
    wanted = add(-5, seed=1)
    other = add()

    assert add(5, seed=1) == wanted
    assert add(-10, seed=1) == wanted, "a request with lower priority changes nothing"

    assert [claim_next(), claim_next()] == [wanted, other]


def test_concurrent_workers_claim_each_trial_once(
    add: Callable[..., str], claim_next: Callable[[], str | None]
) -> None:
    there = [add() for _ in range(24)]
    taken: list[str] = []
    together = threading.Barrier(4)

    def worker() -> None:
        together.wait()
        while (trial := claim_next()) is not None:
            taken.append(trial)

    threads = [threading.Thread(target=worker) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(taken) == sorted(there)


@pytest.mark.databases("postgresql")  # SQLite has one writer at a time
def test_claim_skips_locked_trials(add: Callable[..., str], claim_next: Callable[[], str | None], work: Open) -> None:
    first, second = add(), add()

    with work() as slow:
        locked = slow.trials.lock_first_in_queue(lifecycle.QUEUE)
        assert locked is not None and locked.id == first
        assert claim_next() == second

    assert [claim_next(), claim_next()] == [first, None]


def test_expired_trial_moves_behind_its_priority(
    add: Callable[..., str], claim_next: Callable[[], str | None], work: Open, settings: Settings
) -> None:
    poison, healthy, bulk = add(), add(), add(-5)
    assert claim_next() == poison
    expire_lease(work, poison)
    with work() as unit:
        assert reconciliation.reconcile(unit, settings) == 1

    assert [claim_next(), claim_next(), claim_next()] == [healthy, poison, bulk]


def test_released_trial_keeps_its_place_in_the_queue(
    add: Callable[..., str], claim_next: Callable[[], str | None], work: Open, settings: Settings
) -> None:
    first, second = add(), add()
    with work() as unit:
        claim = lifecycle.claim(unit, "a worker that shuts down", settings)
        assert claim is not None
        lifecycle.release(unit, claim)

    assert [claim_next(), claim_next()] == [first, second]


def test_lease_extended_before_reconcile_is_not_expired(
    add: Callable[..., str], work: Open, settings: Settings
) -> None:
    add()
    with work() as unit:
        claim = lifecycle.claim(unit, "a worker", settings)
    assert claim is not None
    expire_lease(work, claim.trial.id)
    with work() as unit:
        assert extend_lease(unit, claim, 60) is LeaseStatus.HELD
        unit.commit()

    with work() as unit:
        assert reconciliation.reconcile(unit, settings) == 0

    with work() as unit:
        assert requests.find(unit, claim.trial.id).state == "running"


@pytest.mark.databases("postgresql")  # SQLite has one writer at a time
def test_lease_being_extended_is_not_expired(add: Callable[..., str], work: Open, settings: Settings) -> None:
    add()
    with work() as unit:
        claim = lifecycle.claim(unit, "a worker", settings)
    assert claim is not None
    expire_lease(work, claim.trial.id)

    with work() as beating:
        assert extend_lease(beating, claim, 60) is LeaseStatus.HELD
        with work() as unit:
            assert reconciliation.reconcile(unit, settings) == 0
        beating.commit()

    with work() as unit:
        assert requests.find(unit, claim.trial.id).state == "running"


@pytest.mark.databases("postgresql")  # SQLite has one writer at a time
def test_full_request_while_reaching_a_rung_prevents_holding(
    config: Config, work: Open, settings: Settings, claim_next: Callable[[], str | None]
) -> None:
    plan = requests.TrialPlan("small", config, DIGITS, PRESETS["digits-smoke"], 0, until_epoch=1)
    with work() as unit:
        trial_id = requests.get_or_create(unit, plan).id
        unit.commit()
    with work() as unit:
        claim = lifecycle.claim(unit, "a worker", settings)
    assert claim is not None

    with work() as client:
        read_before = requests.find(client, trial_id)
        with work() as unit:
            assert lifecycle.reach_rung(unit, claim, 1, 0.5)
        assert not read_before.awaiting_promotion
        requests.get_or_create(client, replace(plan, until_epoch=None))
        client.commit()

    assert claim_next() == trial_id


def test_first_queued_trials_are_resent_while_worker_idles(
    add: Callable[..., str], work: Open, settings: Settings
) -> None:
    there = [add(-5) for _ in range(10)] + [add(2)]
    with work() as unit:
        unit.workers.record_heartbeat("idle", 1, None)
        unit.session.execute(update(TrialRow).values(sent_at=1.0))
        unit.commit()

    sent: list[str] = []
    with UnitOfWork(settings.database, sent.extend) as unit:
        reconciliation.reconcile(unit, settings)

    assert sent == [there[-1], *there[:7]]
