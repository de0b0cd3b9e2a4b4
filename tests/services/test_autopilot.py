"""Studies that go on by themselves: refits, the active sampler, successive halving."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.datasets import DIGITS
from app.db.tables import PredictorRow, TrialRow
from app.db.unit_of_work import UnitOfWork
from app.recipes import Recipe
from app.scaling.gate import Gate
from app.schemas.architectures import NewArchitecture
from app.schemas.studies import NewStudy
from app.services import leases, observations, refits, studies
from app.services.advance import advance
from app.settings import Settings
from tests.support import SMALL

Open = Callable[[], UnitOfWork]
RESULT: dict[str, Any] = {"seconds": 1.0, "environment": {"torch": "2"}}
SPACE = {"r": [0.5, 2], "d": [0.4, 3], "w": [0.3, 3], "ratio": [0.1, 3]}


@pytest.fixture
def create(work: Open) -> Callable[..., str]:
    """A study of digits that has been started; its id."""

    def create(**given: Any) -> str:
        spec = NewStudy(name="a study", architecture="small", dataset="digits", **given)
        plan = studies.Plan(
            spec.name,
            NewArchitecture(**SMALL).to_architecture(""),
            DIGITS,
            Recipe(epochs=9, batch_size=64),
            SPACE,
            spec.trials,
            spec.seed,
            sampler=spec.sampler,
            compound=spec.compound,
            seeds=spec.seeds,
            halving=spec.halving.model_dump() if spec.halving else None,
            refit=spec.refit.model_dump(),
        )
        with work() as unit:
            study = studies.create(unit, plan)
            studies.start(unit, study.id)
            return study.id

    return create


def settle(settings: Settings) -> list[str]:
    """Until nothing is left to see to; the ids of the trials that were sent."""
    sent: list[str] = []
    while advance(settings, sent.extend):
        pass
    return sent


def accuracy_of(trial: TrialRow) -> float:
    assert trial.ratio is not None and trial.multipliers is not None
    return float(0.5 + 0.1 * trial.ratio**0.5 - 0.05 * (trial.multipliers["r"] - 1) ** 2)


def work_off(work: Open, settings: Settings, most: int = 1000) -> int:
    """What workers do: trials from claim to their rung or end; how many epochs were trained."""
    epochs = 0
    for _ in range(most):
        with work() as unit:
            claim = leases.claim(unit, "a worker", settings)
            if claim is None:
                return epochs
            trial, done = claim.trial, (claim.trial.rungs or [{"epoch": 0}])[-1]["epoch"]
            until = trial.until_epoch or trial.recipe["epochs"]
            epochs += until - done
            if trial.until_epoch is not None:
                assert leases.reached(unit, claim, until, accuracy_of(trial) * until / 9)
            else:
                assert leases.complete(unit, claim, {**RESULT, "accuracy": accuracy_of(trial)})
    return epochs


def predictors(work: Open) -> list[PredictorRow]:
    with work() as unit:
        return [row for row in unit.predictors.page(50, None, "small", None).items]


def study_of(work: Open, study: str) -> tuple[str, dict[str, int], int]:
    with work() as unit:
        row = studies.find(unit, study)
        progress = studies.progress(unit, [row])[row.id]
        return progress.state, progress.trials, row.proposed


def test_a_study_refits_after_so_many_observations_and_the_first_good_one_answers(
    create: Callable[..., str], work: Open, settings: Settings
) -> None:
    create(trials=20, refit={"every": 8})
    work_off(work, settings, 7)
    settle(settings)
    assert predictors(work) == []

    work_off(work, settings, 1)
    settle(settings)
    (first,) = predictors(work)
    assert first.version == 1
    assert "8 observations had come" in first.provenance
    work_off(work, settings)
    settle(settings)

    found = predictors(work)
    assert [row.version for row in found] == [2, 1]
    for row in found:
        assert row.gate is not None
        assert row.gate["why"].startswith("Promoted" if row.gate["promoted"] else "Not promoted")
    assert sum(row.active for row in found) == any(row.gate["promoted"] for row in found if row.gate)


def test_a_study_that_is_not_to_refit_does_not(create: Callable[..., str], work: Open, settings: Settings) -> None:
    create(trials=10, refit={"every": None})
    work_off(work, settings)
    settle(settings)

    assert predictors(work) == []


def test_one_change_is_seen_to_once_however_many_look(
    create: Callable[..., str], work: Open, settings: Settings
) -> None:
    create(trials=10, refit={"every": 10})
    work_off(work, settings)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: advance(settings, lambda ids: None), range(4)))
    settle(settings)

    assert len(predictors(work)) == 1


def test_compound_networks_stand_beside_and_neither_on_the_front_nor_in_a_fit(
    create: Callable[..., str], work: Open, settings: Settings
) -> None:
    study = create(trials=6, compound=3, seeds=2)
    work_off(work, settings)

    with work() as unit:
        row = studies.find(unit, study)
        seen = observations.of_study(unit, row)
        trials = unit.trials.completed_of_study(study)
    assert sorted(o.role for o in seen) == ["compound"] * 6 + ["random"] * 12
    assert {trial.seed for trial in trials} == {0, 1}
    compound = sorted({o.flops for o in seen if o.role == "compound"})
    assert compound[0] < compound[1] < compound[2]


def test_the_active_sampler_keeps_workers_busy_and_ends_with_as_many_networks_as_were_asked_for(
    create: Callable[..., str], work: Open, settings: Settings
) -> None:
    study = create(trials=14, sampler="active")
    assert study_of(work, study)[0] == "running"
    rounds = 0
    while study_of(work, study)[0] == "running":
        sent = settle(settings)
        assert sent or study_of(work, study)[1]["completed"] == 14
        work_off(work, settings)
        rounds += 1
        assert rounds < 20

    state, trials, proposed = study_of(work, study)
    assert (state, trials, proposed) == ("completed", {"completed": 14}, 14)
    with work() as unit:
        found = unit.trials.completed_of_study(study)
    assert len({(t.config["resolution"], t.flops, t.params) for t in found}) == 14
    assert sum(t.predicted is not None for t in found) >= 4


def test_a_paused_study_proposes_nothing_until_it_goes_on(
    create: Callable[..., str], work: Open, settings: Settings
) -> None:
    study = create(trials=10, sampler="active")
    settle(settings)
    with work() as unit:
        studies.pause(unit, study)
    work_off(work, settings)
    before = study_of(work, study)[2]
    assert settle(settings) == []
    assert study_of(work, study)[2] == before

    with work() as unit:
        studies.resume(unit, study)
    work_off(work, settings)
    settle(settings)
    assert study_of(work, study)[2] > before


def test_halving_trains_most_networks_a_little_and_the_best_of_each_rung_on(
    create: Callable[..., str], work: Open, settings: Settings
) -> None:
    study = create(trials=9, halving={"eta": 3, "least_epochs": 1})
    epochs = 0
    while study_of(work, study)[0] == "running":
        epochs += work_off(work, settings)
        settle(settings)

    state, trials, _ = study_of(work, study)
    assert (state, sum(trials.values())) == ("completed", 9)
    assert trials["completed"] >= 1
    assert epochs < 9 * 9 / 2
    with work() as unit:
        stopped = unit.trials.of_study_in(study, "cancelled")
    assert all("of 9 epochs" in (trial.error or "") for trial in stopped)
    assert [trial.rungs[0]["epoch"] for trial in stopped if trial.rungs] == [1] * len(stopped)


def test_who_wants_all_epochs_of_a_held_trial_gets_them(
    create: Callable[..., str], work: Open, settings: Settings
) -> None:
    study = create(trials=3, halving={"eta": 3, "least_epochs": 1})
    work_off(work, settings, 1)
    with work() as unit:
        (held,) = [trial for trial in unit.trials.of_study_in(study, "queued") if trial.held]
        again = studies.train(
            unit, studies.find(unit, study), [_network(held)], "recommended", recipe=Recipe(**held.recipe)
        )
        unit.commit()

    assert again == [[held.id]]
    with work() as unit:
        trial = unit.trials.by_id([held.id])[held.id]
    assert (trial.held, trial.until_epoch) == (False, None)


def _network(trial: TrialRow) -> studies.Network:
    from app.scaling.architecture import Config, Multipliers

    assert trial.multipliers is not None
    return studies.Network(Multipliers(**trial.multipliers), Config.from_json(trial.config))


def test_refits_at_once_each_get_a_version_and_one_is_active(
    create: Callable[..., str], work: Open, settings: Settings
) -> None:
    study = create(trials=10, refit={"every": None})
    work_off(work, settings)

    def refit(_: int) -> None:
        with work() as look:
            fitted = refits.fit(look, studies.find(look, study), 20, Gate())
        for _ in range(3):
            with work() as unit:
                refits.keep(unit, fitted, True)
                unit.commit()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(refit, range(4)))

    found = predictors(work)
    assert sorted(row.version for row in found) == list(range(1, 13))
    assert sum(row.active for row in found) == 1
