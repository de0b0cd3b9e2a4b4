"""The observations that the active sampler uses while no network has completed."""

from __future__ import annotations

from collections.abc import Callable

from app.core.settings import Settings
from app.core.studies import RefitPolicy, Sampler, StudyOptions
from app.core.trials import TrainingProgress, TrialResult
from app.data.builtin_datasets import DIGITS
from app.data.recipes import Recipe
from app.db.unit_of_work import UnitOfWork
from app.http.schemas.architectures import NewArchitecture
from app.scaling.predictors.surrogate import MIN_NETWORKS
from app.scaling.search.asha import Halving
from app.scaling.search.random_sampler import SearchSpace
from app.services.studies import lifecycle as study_lifecycle
from app.services.studies import proposals as proposing
from app.services.studies import studies
from app.services.trials import lifecycle
from tests.support import SMALL, process_changes

Open = Callable[[], UnitOfWork]
SPACE = SearchSpace(r=(0.5, 2), d=(0.4, 3), w=(0.3, 3), ratio=(0.1, 3))


def start_study(work: Open, sampler: Sampler, halving: Halving | None = None) -> str:
    plan = studies.StudyPlan(
        "a study",
        NewArchitecture(**SMALL).to_architecture(""),
        DIGITS,
        Recipe(epochs=9, batch_size=64),
        SPACE,
        size=60,
        seed=0,
        sampler=sampler,
        options=StudyOptions(halving=halving, refit=RefitPolicy(every=None)),
    )
    with work() as unit:
        study = studies.create(unit, plan)
        study_lifecycle.start(unit, study.id)
        return study.id


def reach_first_rung(work: Open, settings: Settings, networks: int) -> None:
    """Train this many networks to the first rung and promote the best; the baseline's resolution is best."""
    reached = 0
    while reached < networks:
        process_changes(settings)
        with work() as unit:
            claim = lifecycle.claim(unit, "a worker", settings)
            assert claim is not None and claim.trial.multipliers is not None
            until = claim.trial.until_epoch or 9
            accuracy = until * (0.1 - 0.05 * (claim.trial.multipliers["r"] - 1) ** 2)
            if until < 9:
                assert lifecycle.reach_rung(unit, claim, until, accuracy)
            else:
                assert lifecycle.complete(unit, claim, TrialResult(accuracy, 1.0, {}))
            reached += until == 1


def proposals(work: Open, study: str, n: int) -> list[proposing.Proposal]:
    with work() as unit:
        return proposing.propose_networks(unit, studies.find(unit, study), n).proposals


def test_sampler_uses_highest_rung_with_enough_networks(work: Open, settings: Settings) -> None:
    study = start_study(work, Sampler.ACTIVE, Halving(eta=3, min_epochs=1))
    reach_first_rung(work, settings, MIN_NETWORKS - 1)
    blind = [p.network.multipliers.r for p in proposals(work, study, 8)]

    reach_first_rung(work, settings, MIN_NETWORKS + 4)
    found = proposals(work, study, 8)
    informed = [p.network.multipliers.r for p in found]

    def off(r: list[float]) -> float:
        return sum(abs(one - 1) for one in r) / len(r)

    assert off(informed) < 0.75 * off(blind)  # about 0.6, by which networks were claimed first
    assert [p.predicted for p in found] == [None] * 8  # an accuracy at a rung does not predict that of a full training


def test_learning_curves_of_stopped_trainings_are_evidence(work: Open, settings: Settings) -> None:
    """A study of full trainings, of which some are cancelled after three of nine epochs."""
    study = start_study(work, Sampler.RANDOM)
    for i in range(20):
        process_changes(settings)
        with work() as unit:
            claim = lifecycle.claim(unit, "a worker", settings)
            assert claim is not None and claim.trial.multipliers is not None
            final = 0.7 - 0.2 * (claim.trial.multipliers["r"] - 1) ** 2
            history = [{"epoch": e, "validation_accuracy": final * (1 - 0.7**e)} for e in range(1, 10)]
            for entry in history[: 3 if i >= 12 else 9]:
                progress = TrainingProgress(int(entry["epoch"]), 9, validation_accuracy=entry["validation_accuracy"])
                assert lifecycle.report(unit, claim, progress)
            if i >= 12:
                lifecycle.cancel(unit, claim.trial)
                assert lifecycle.confirm_cancel(unit, claim)
            else:
                assert lifecycle.complete(unit, claim, TrialResult(final, 1.0, {}, history=history))

    with work() as unit:
        row = studies.find(unit, study)
        past = proposing.load_history(unit, row)
        evidence = proposing.load_evidence(unit, row)
    assert len(past.observed) == 12 and len(past.stopped) == 8
    assert all(o.curve == ((3, o.curve[0][1]),) for o in past.stopped)
    assert [len(o.curve) for o in past.observed] == [9] * 12
    estimates = [p for p in evidence if p.variance]
    assert estimates
    errors = [abs((p.accuracy or 0) - (0.7 - 0.2 * (p.r - 1) ** 2)) for p in estimates]
    assert sum(errors) / len(errors) < 0.03
