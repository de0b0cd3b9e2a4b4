"""Automatic progress of studies: refits, the active sampler, successive halving."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.core.settings import Settings
from app.core.studies import Sampler
from app.core.trials import TrialResult, TrialState
from app.data.builtin_datasets import DIGITS
from app.data.recipes import Recipe
from app.db.tables import PredictorRow, TrialRow
from app.db.unit_of_work import UnitOfWork
from app.http.schemas.architectures import NewArchitecture
from app.http.schemas.studies import NewStudy
from app.scaling.search.observations import Role
from app.scaling.search.random_sampler import SearchSpace
from app.services import observations
from app.services.studies import lifecycle as study_lifecycle
from app.services.studies import refit as refits
from app.services.studies import studies, training
from app.services.trials import lifecycle
from tests.support import SMALL, process_changes

pytestmark = pytest.mark.databases("sqlite", "postgresql")

Open = Callable[[], UnitOfWork]
SPACE = SearchSpace(r=(0.5, 2), d=(0.4, 3), w=(0.3, 3), ratio=(0.1, 3))


@pytest.fixture
def create(work: Open) -> Callable[..., str]:
    """Return a function that creates and starts a study on digits and returns its id."""

    def create(space: SearchSpace = SPACE, **given: Any) -> str:
        spec = NewStudy(name="a study", architecture="small", dataset="digits", **given)
        plan = studies.StudyPlan(
            spec.name,
            NewArchitecture(**SMALL).to_architecture(""),
            DIGITS,
            Recipe(epochs=9, batch_size=64),
            space,
            spec.trials,
            spec.seed,
            Sampler(spec.sampler),
            spec.to_options(),
        )
        with work() as unit:
            study = studies.create(unit, plan)
            study_lifecycle.start(unit, study.id)
            return study.id

    return create


def process_all_changes(settings: Settings) -> list[str]:
    """Process all pending changes and return the ids of the trials sent."""
    sent: list[str] = []
    while process_changes(settings, sent.extend):
        pass
    return sent


def accuracy_of(trial: TrialRow) -> float:
    assert trial.ratio is not None and trial.multipliers is not None
    return float(0.5 + 0.1 * trial.ratio**0.5 - 0.05 * (trial.multipliers["r"] - 1) ** 2)


def run_trials(work: Open, settings: Settings, most: int = 1000) -> int:
    """Run up to `most` trials to their rung or end, as workers do; return the number of epochs."""
    epochs = 0
    for _ in range(most):
        with work() as unit:
            claim = lifecycle.claim(unit, "a worker", settings)
            if claim is None:
                return epochs
            trial, done = claim.trial, claim.trial.rungs[-1].epoch if claim.trial.rungs else 0
            until = trial.until_epoch or trial.recipe["epochs"]
            epochs += until - done
            if trial.until_epoch is not None:
                assert lifecycle.reach_rung(unit, claim, until, accuracy_of(trial) * until / 9)
            else:
                assert lifecycle.complete(unit, claim, TrialResult(accuracy_of(trial), 1.0, {"torch": "2"}))
    return epochs


def predictors(work: Open) -> list[PredictorRow]:
    with work() as unit:
        return [row for row in unit.predictors.page(50, None, architecture="small").items]


def study_of(work: Open, study: str) -> tuple[str, dict[str, int], int]:
    with work() as unit:
        row = studies.find(unit, study)
        progress = study_lifecycle.progress(unit, [row])[row.id]
        return progress.status, progress.trials, row.proposed


@pytest.mark.parametrize("promote", [True, False])
def test_study_refits_after_every_n_observations(
    create: Callable[..., str], work: Open, settings: Settings, promote: bool
) -> None:
    create(trials=20, refit={"every": 8, "promote": promote})
    run_trials(work, settings, 7)
    process_all_changes(settings)
    assert predictors(work) == []

    run_trials(work, settings, 1)
    process_all_changes(settings)
    (first,) = predictors(work)
    assert first.version == 1
    assert "8 observations had come" in first.provenance
    run_trials(work, settings)
    process_all_changes(settings)

    found = predictors(work)
    assert [row.version for row in found] == [2, 1]
    for row in found:
        assert row.gate is not None
        assert row.gate.reason.startswith("Passed" if row.gate.promoted else "Not passed")
    assert sum(row.active for row in found) == (promote and any(row.gate.promoted for row in found if row.gate))


def test_study_without_refit_policy_is_not_refitted(create: Callable[..., str], work: Open, settings: Settings) -> None:
    create(trials=10, refit={"every": None})
    run_trials(work, settings)
    process_all_changes(settings)

    assert predictors(work) == []


@pytest.mark.parametrize("sampler", ["random", "active"])
def test_study_of_a_tiny_baseline_trains_every_network_that_it_proposed(
    sampler: str, create: Callable[..., str], work: Open, settings: Settings
) -> None:
    """At 16 px the default space begins at 6 px, which cannot be trained."""
    study = create(space=SearchSpace(), trials=12, sampler=sampler)
    for _ in range(20):
        process_all_changes(settings)
        run_trials(work, settings)

    assert study_of(work, study) == ("completed", {"completed": 12}, 12)


def test_very_many_random_networks_are_enqueued_in_parts(
    create: Callable[..., str], work: Open, settings: Settings
) -> None:
    study = create(trials=12, seeds=20)
    assert study_of(work, study) == ("running", {"queued": 200}, 10)

    sent = process_all_changes(settings)

    assert study_of(work, study) == ("running", {"queued": 240}, 12)
    assert len(set(sent)) == len(sent) == 40


def test_concurrent_processes_handle_a_change_once(create: Callable[..., str], work: Open, settings: Settings) -> None:
    create(trials=10, refit={"every": 10})
    run_trials(work, settings)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: process_changes(settings), range(4)))
    process_all_changes(settings)

    assert len(predictors(work)) == 1


def test_compound_networks_keep_their_own_role(create: Callable[..., str], work: Open, settings: Settings) -> None:
    study = create(trials=6, compound=3, seeds=2)
    run_trials(work, settings)

    with work() as unit:
        row = studies.find(unit, study)
        seen = observations.load_for_study(unit, row)
        trials = unit.trials.page(200, None, state=TrialState.COMPLETED, study_id=study).items
    assert sorted(o.role for o in seen) == ["compound"] * 6 + ["random"] * 12
    assert {trial.seed for trial in trials} == {0, 1}
    compound = sorted({o.flops for o in seen if o.role == "compound"})
    assert compound[0] < compound[1] < compound[2]


def test_active_study_trains_the_requested_number_of_networks(
    create: Callable[..., str], work: Open, settings: Settings
) -> None:
    study = create(trials=14, sampler="active")
    assert study_of(work, study)[0] == "running"
    rounds = 0
    while study_of(work, study)[0] == "running":
        sent = process_all_changes(settings)
        assert sent or study_of(work, study)[1]["completed"] == 14
        run_trials(work, settings)
        rounds += 1
        assert rounds < 20

    state, trials, proposed = study_of(work, study)
    assert (state, trials, proposed) == ("completed", {"completed": 14}, 14)
    with work() as unit:
        found = unit.trials.page(200, None, state=TrialState.COMPLETED, study_id=study).items
    assert len({(t.config["resolution"], t.flops, t.params) for t in found}) == 14
    assert sum(t.predicted is not None for t in found) >= 4


def test_paused_study_proposes_nothing_until_resumed(
    create: Callable[..., str], work: Open, settings: Settings
) -> None:
    study = create(trials=10, sampler="active")
    process_all_changes(settings)
    with work() as unit:
        study_lifecycle.pause(unit, study)
    run_trials(work, settings)
    before = study_of(work, study)[2]
    assert process_all_changes(settings) == []
    assert study_of(work, study)[2] == before

    with work() as unit:
        study_lifecycle.resume(unit, study)
    run_trials(work, settings)
    process_all_changes(settings)
    assert study_of(work, study)[2] > before


def test_halving_promotes_the_best_and_stops_the_rest(
    create: Callable[..., str], work: Open, settings: Settings
) -> None:
    study = create(trials=9, halving={"eta": 3, "min_epochs": 1})
    epochs = 0
    while study_of(work, study)[0] == "running":
        epochs += run_trials(work, settings)
        process_all_changes(settings)

    state, trials, _ = study_of(work, study)
    assert (state, sum(trials.values())) == ("completed", 9)
    assert trials["completed"] >= 1
    assert epochs < 9 * 9 / 2
    with work() as unit:
        stopped = unit.trials.page(200, None, state=TrialState.CANCELLED, study_id=study).items
    assert all("of 9 epochs" in (trial.error or "") for trial in stopped)
    assert [trial.rungs[0].epoch for trial in stopped if trial.rungs] == [1] * len(stopped)


def test_request_for_all_epochs_releases_a_held_trial(
    create: Callable[..., str], work: Open, settings: Settings
) -> None:
    study = create(trials=3, halving={"eta": 3, "min_epochs": 1})
    run_trials(work, settings, 1)
    with work() as unit:
        queued = unit.trials.page(200, None, state=TrialState.QUEUED, study_id=study).items
        (held,) = [trial for trial in queued if trial.awaiting_promotion]
        again = training.enqueue(
            unit, studies.find(unit, study), [_network(held)], Role.RECOMMENDED, recipe=Recipe(**held.recipe)
        )
        unit.commit()

    assert again == [[held.id]]
    with work() as unit:
        trial = unit.trials.by_ids([held.id])[held.id]
    assert (trial.awaiting_promotion, trial.until_epoch) == (False, None)


def _network(trial: TrialRow) -> training.Network:
    from app.scaling.network import Config, Multipliers

    assert trial.multipliers is not None
    return training.Network(Multipliers(**trial.multipliers), Config.from_json(trial.config))


def test_concurrent_refits_get_versions_with_one_active(
    create: Callable[..., str], work: Open, settings: Settings
) -> None:
    study = create(trials=10, refit={"every": None})
    run_trials(work, settings)

    def refit(_: int) -> None:
        with work() as read:
            fitted = refits.fit(read, studies.find(read, study), 20)
        for _ in range(3):
            with work() as unit:
                refits.add_version(unit, fitted, True)
                unit.commit()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(refit, range(4)))

    found = predictors(work)
    assert sorted(row.version for row in found) == list(range(1, 13))
    assert sum(row.active for row in found) == 1
