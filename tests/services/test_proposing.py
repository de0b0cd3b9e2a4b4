"""What an active study learns from while none of its networks has been trained to the end."""

from __future__ import annotations

from collections.abc import Callable

from app.datasets import DIGITS
from app.db.unit_of_work import UnitOfWork
from app.recipes import Recipe
from app.scaling.surrogate import LEAST_NETWORKS
from app.schemas.architectures import NewArchitecture
from app.services import leases, proposing, studies
from app.services.advance import advance
from app.settings import Settings
from tests.support import SMALL

Open = Callable[[], UnitOfWork]
SPACE = {"r": [0.5, 2], "d": [0.4, 3], "w": [0.3, 3], "ratio": [0.1, 3]}


def halved_study(work: Open) -> str:
    plan = studies.Plan(
        "a study",
        NewArchitecture(**SMALL).to_architecture(""),
        DIGITS,
        Recipe(epochs=9, batch_size=64),
        SPACE,
        size=60,
        seed=0,
        sampler="active",
        halving={"eta": 3, "least_epochs": 1},
    )
    with work() as unit:
        study = studies.create(unit, plan)
        studies.start(unit, study.id)
        return study.id


def reach_first_rung(work: Open, settings: Settings, networks: int) -> None:
    """So many train to it, and those that may go on; a resolution of the baseline's own does best."""
    reached = 0
    while reached < networks:
        advance(settings, lambda ids: None)
        with work() as unit:
            claim = leases.claim(unit, "a worker", settings)
            assert claim is not None and claim.trial.multipliers is not None
            until = claim.trial.until_epoch or 9
            accuracy = until * (0.1 - 0.05 * (claim.trial.multipliers["r"] - 1) ** 2)
            if until < 9:
                assert leases.reached(unit, claim, until, accuracy)
            else:
                assert leases.complete(unit, claim, {"accuracy": accuracy, "seconds": 1.0, "environment": {}})
            reached += until == 1


def proposals(work: Open, study: str, n: int) -> list[proposing.Proposal]:
    with work() as unit:
        return proposing.proposals(unit, studies.find(unit, study), n)


def test_a_halved_study_learns_from_the_rung_that_enough_networks_have_reached(work: Open, settings: Settings) -> None:
    study = halved_study(work)
    reach_first_rung(work, settings, LEAST_NETWORKS - 1)
    blind = [p.network.multipliers.r for p in proposals(work, study, 8)]

    reach_first_rung(work, settings, LEAST_NETWORKS + 4)
    found = proposals(work, study, 8)
    informed = [p.network.multipliers.r for p in found]

    def off(r: list[float]) -> float:
        return sum(abs(one - 1) for one in r) / len(r)

    assert off(informed) < 0.5 * off(blind)
    assert [p.predicted for p in found] == [None] * 8  # a rung's accuracy is no prediction of the last one's
