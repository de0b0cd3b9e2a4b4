"""Which trial is next: each queued one gets run, the urgent first, and none takes the others' turn."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import update

from app.datasets import DIGITS
from app.db.tables import TrialRow
from app.db.unit_of_work import UnitOfWork
from app.recipes import PRESETS
from app.scaling.architecture import Config
from app.schemas.architectures import NewArchitecture
from app.services import leases, trials
from app.settings import Settings
from tests.support import SMALL, expire

Open = Callable[[], UnitOfWork]


@pytest.fixture(scope="module")
def config() -> Config:
    return NewArchitecture(**SMALL).to_architecture("").baseline


@pytest.fixture
def add(work: Open, config: Config) -> Callable[..., str]:
    """Enqueues a trial of its own; the id."""
    seeds = iter(range(1000))

    def add(priority: int = 0, seed: int | None = None) -> str:
        chosen = next(seeds) if seed is None else seed
        plan = trials.Plan("small", config, DIGITS, PRESETS["digits-smoke"], chosen)
        with work() as unit:
            trial = trials.request(unit, plan, priority=priority)
            unit.commit()
            return trial.id

    return add


def test_the_urgent_go_first_and_among_equals_the_older(
    add: Callable[..., str], take: Callable[[], str | None]
) -> None:
    bulk, first, second, urgent = add(-5), add(), add(), add(3)

    assert [take() for _ in range(5)] == [urgent, first, second, bulk, None]


def test_a_trial_that_somebody_wants_more_goes_as_early_as_they_want_it(
    add: Callable[..., str], take: Callable[[], str | None]
) -> None:
    wanted = add(-5, seed=1)
    other = add()

    assert add(5, seed=1) == wanted
    assert add(-10, seed=1) == wanted, "who wants it less takes nothing from it"

    assert [take(), take()] == [wanted, other]


def test_workers_that_claim_at_once_get_each_trial_once(
    add: Callable[..., str], take: Callable[[], str | None]
) -> None:
    there = [add() for _ in range(24)]
    taken: list[str] = []
    together = threading.Barrier(4)

    def worker() -> None:
        together.wait()
        while (trial := take()) is not None:
            taken.append(trial)

    threads = [threading.Thread(target=worker) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(taken) == sorted(there)


@pytest.mark.parametrize("empty_database", ["postgresql"], indirect=True)  # SQLite has one writer at a time
def test_a_claim_under_way_keeps_no_other_worker_waiting(
    add: Callable[..., str], take: Callable[[], str | None], work: Open
) -> None:
    first, second = add(), add()

    with work() as slow:
        held = slow.trials.claim("a slow worker", 5)
        assert held is not None and held.id == first
        assert take() == second
        slow.commit()

    assert take() is None


def test_a_trial_that_lost_its_worker_goes_behind_those_of_its_priority(
    add: Callable[..., str], take: Callable[[], str | None], work: Open, settings: Settings
) -> None:
    poison, healthy, bulk = add(), add(), add(-5)
    assert take() == poison
    expire(work, poison)
    with work() as unit:
        assert leases.reconcile(unit, settings) == 1

    assert [take(), take(), take()] == [healthy, poison, bulk]


def test_one_handed_back_keeps_its_place(
    add: Callable[..., str], take: Callable[[], str | None], work: Open, settings: Settings
) -> None:
    first, second = add(), add()
    with work() as unit:
        claim = leases.claim(unit, "a worker that is told to stop", settings)
        assert claim is not None
        leases.hand_back(unit, claim)

    assert [take(), take()] == [first, second]


def test_a_lease_that_was_extended_meanwhile_is_not_lost(
    add: Callable[..., str], work: Open, settings: Settings
) -> None:
    add()
    with work() as unit:
        claim = leases.claim(unit, "a worker", settings)
    assert claim is not None
    expire(work, claim.trial.id)
    with work() as unit:
        (seen,) = unit.trials.expired(8)
    with work() as unit:
        assert unit.trials.extend(seen.id, claim.token, 60) is False
        unit.commit()

    with work() as unit:
        assert not unit.trials.lose(seen, state="queued")
        unit.commit()

    with work() as unit:
        assert trials.find(unit, seen.id).state == "running"


def test_while_trials_wait_and_a_worker_is_idle_the_first_in_line_are_sent_again(
    add: Callable[..., str], work: Open, settings: Settings
) -> None:
    there = [add(-5) for _ in range(10)] + [add(2)]
    with work() as unit:
        unit.workers.beat("idle", 1, None)
        unit.session.execute(update(TrialRow).values(sent_at=1.0))
        unit.commit()

    sent: list[str] = []
    with UnitOfWork(settings.database, sent.extend) as unit:
        leases.reconcile(unit, settings)

    assert sent == [there[-1], *there[:7]]
