"""The table of a trial's transitions and the groups of states derived from it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from sqlalchemy import update

from app.core.errors import IllegalTransition
from app.core.settings import Settings
from app.core.trials import TrialResult, TrialState
from app.data.builtin_datasets import DIGITS
from app.data.recipes import Recipe
from app.db.tables import TrialRow
from app.db.unit_of_work import UnitOfWork
from app.http.schemas.architectures import NewArchitecture
from app.services.trials import lifecycle, requests
from app.services.trials.lifecycle import Transition
from tests.support import SMALL

Open = Callable[[], UnitOfWork]


@pytest.fixture
def trial_id(work: Open) -> str:
    config = NewArchitecture(**SMALL).to_architecture("").baseline
    with work() as unit:
        trial = requests.get_or_create(unit, requests.TrialPlan("small", config, DIGITS, Recipe(epochs=3), 0))
        unit.commit()
        return trial.id


def set_state(work: Open, trial_id: str, state: TrialState) -> None:
    with work() as unit:
        unit.session.execute(update(TrialRow).where(TrialRow.id == trial_id).values(state=state))
        unit.commit()


def attempt(work: Open, settings: Settings, trial_id: str, transition: Transition) -> bool:
    """Attempt the transition with a valid lease; return whether it took place."""
    with work() as unit:
        trial = requests.find(unit, trial_id)
        claim = lifecycle.Claim(trial, "a token")
        values = {"token": "a token", "awaiting_promotion": transition is Transition.PRUNE}
        unit.session.execute(update(TrialRow).where(TrialRow.id == trial_id).values(values))
        match transition:
            case Transition.CLAIM:
                return lifecycle.claim(unit, "a worker", settings) is not None
            case Transition.COMPLETE:
                return lifecycle.complete(unit, claim, TrialResult(0.5, 1.0, {}))
            case Transition.FAIL:
                return lifecycle.fail(unit, claim, "a test", [])
            case Transition.STOP:
                return lifecycle.confirm_cancel(unit, claim)
            case Transition.RELEASE:
                return lifecycle.release(unit, claim)
            case Transition.REACH_RUNG:
                return lifecycle.reach_rung(unit, claim, 1, 0.5)
            case Transition.STALL:
                return lifecycle.stall(unit, claim, "a test", [], settings.max_attempts)
            case Transition.EXPIRE:
                return lifecycle.expire(unit, trial, settings.max_attempts)
            case Transition.CANCEL:
                lifecycle.cancel(unit, trial)
                return trial.state is TrialState.CANCELLED
            case Transition.PRUNE:
                return lifecycle.prune(unit, trial_id, 1, 3)
            case Transition.RETRY:
                lifecycle.retry(unit, trial)
                return True


@pytest.mark.parametrize("transition", Transition)
def test_transition_is_allowed_only_from_its_sources(
    work: Open, settings: Settings, trial_id: str, transition: Transition
) -> None:
    moved = []
    for state in TrialState:
        set_state(work, trial_id, state)
        with suppress(IllegalTransition):
            if attempt(work, settings, trial_id, transition):
                moved.append(state)

    assert tuple(moved) == transition.sources


@pytest.mark.parametrize("state", lifecycle.TERMINAL)
def test_cancelling_an_ended_trial_is_illegal(work: Open, trial_id: str, state: TrialState) -> None:
    set_state(work, trial_id, state)

    with work() as unit, pytest.raises(IllegalTransition, match=f"The trial is {state}"):
        requests.cancel(unit, trial_id)


@pytest.mark.parametrize("state", lifecycle.LIVE)
def test_retrying_a_live_trial_is_illegal(work: Open, trial_id: str, state: TrialState) -> None:
    set_state(work, trial_id, state)

    with work() as unit, pytest.raises(IllegalTransition, match=f"The trial is {state}"):
        requests.retry(unit, trial_id)


def test_derived_states_follow_from_the_table() -> None:
    assert lifecycle.TERMINAL == (TrialState.COMPLETED, TrialState.FAILED, TrialState.CANCELLED)
    assert lifecycle.UNFINISHED == (TrialState.QUEUED, TrialState.RUNNING)
    assert lifecycle.LIVE == (TrialState.QUEUED, TrialState.RUNNING, TrialState.COMPLETED)


def test_the_unique_index_covers_the_live_states() -> None:
    (index,) = [i for i in TrialRow.__table__.indexes if i.name == "uq_trials_fingerprint_live"]  # type: ignore[attr-defined]

    for dialect in ("sqlite", "postgresql"):
        where = str(index.dialect_options[dialect]["where"])
        assert where == f"state IN ({', '.join(repr(state.value) for state in lifecycle.LIVE)})"
