"""Stored studies: values survive the round trip through JSON columns, and old rows still load."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from app.core.errors import Conflict
from app.core.predictions import PredictedAccuracy
from app.core.studies import Family, FamilyMember, RefitPolicy, ReportedResult, StudyOptions, StudyState, StudyStatus
from app.data.builtin_datasets import DIGITS
from app.data.recipes import Recipe
from app.db.unit_of_work import UnitOfWork
from app.http.schemas.architectures import NewArchitecture
from app.scaling.network import Multipliers
from app.scaling.predictors.promotion_gate import Check, Decision, Gate
from app.scaling.search.asha import Halving
from app.scaling.search.random_sampler import SearchSpace
from app.services.studies import lifecycle, studies
from app.services.studies.lifecycle import Transition
from tests.support import SMALL

Open = Callable[[], UnitOfWork]

BASELINE = NewArchitecture(**SMALL).to_architecture("")
MEMBER = FamilyMember(
    10**6, "surrogate", "same", None, Multipliers(0.5, 0.6, 0.7, (0.7, 0.8)), BASELINE.baseline, 999_999, 1000,
    PredictedAccuracy(0.7, 0.01, "small.digits.v1"), ("a", "b"),
)  # fmt: skip


@pytest.fixture
def study(work: Open) -> str:
    plan = studies.StudyPlan(
        "a study", BASELINE, DIGITS, Recipe(epochs=9, batch_size=64), SearchSpace(), size=4, seed=0
    )
    with work() as unit:
        return studies.create(unit, plan).id


@pytest.mark.parametrize(
    "value",
    [
        SearchSpace(r=(0.5, 1.0), ratio=(0.2, 0.9)),
        StudyOptions(
            compound=2, seeds=3, halving=Halving(4, 2), refit=RefitPolicy(8, 10, Gate(min_points=9), promote=True)
        ),
        ReportedResult(accuracy=0.5, metrics={"f1": 0.4}, observation=7),
        ReportedResult(infeasible="out of memory"),
        Family((MEMBER, FamilyMember(5, "compound", "same", problem="out of range"))),
        Decision((Check("points", True, "12 networks"), Check("error", False, "nothing new"))),
    ],
    ids=lambda value: type(value).__name__,
)
def test_value_survives_json_round_trip(value: Any) -> None:
    assert type(value).from_json(value.to_json()) == value


@pytest.mark.databases("sqlite", "postgresql")
def test_study_stored_without_options_has_defaults_without_refit(work: Open, study: str) -> None:
    with work() as unit:
        unit.session.execute(text("UPDATE studies SET options = '{}', family = 'null'"))
        unit.commit()

    with work() as unit:
        row = studies.find(unit, study)

    assert row.options == StudyOptions(refit=RefitPolicy(every=None))
    assert row.family is None


@pytest.mark.parametrize("transition", Transition)
@pytest.mark.parametrize("state", StudyState)
def test_study_transition_is_allowed_only_from_its_sources(
    work: Open, study: str, transition: Transition, state: StudyState
) -> None:
    act = {
        Transition.START: lifecycle.start,
        Transition.PAUSE: lifecycle.pause,
        Transition.RESUME: lifecycle.resume,
        Transition.CANCEL: lifecycle.cancel,
    }[transition]
    with work() as unit:
        studies.find(unit, study).state = state
        unit.commit()

    try:
        with work() as unit:
            act(unit, study)
    except Conflict:
        assert state not in transition.sources

    with work() as unit:
        after = studies.find(unit, study).state
    assert after is (transition.target if state in transition.sources else state)


def test_study_is_completed_without_unfinished_trials(work: Open, study: str) -> None:
    with work() as unit:
        row = lifecycle.start(unit, study)
        assert lifecycle.status_of(unit, row) is StudyStatus.RUNNING

    with work() as unit:
        unit.session.execute(text("UPDATE trials SET state = 'failed'"))
        unit.commit()

    with work() as unit:
        assert lifecycle.status_of(unit, studies.find(unit, study)) is StudyStatus.COMPLETED
