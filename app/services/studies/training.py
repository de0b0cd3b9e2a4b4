"""Enqueues a study's networks as trials."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from app.core.predictions import PredictedAccuracy
from app.data.recipes import Recipe
from app.db.tables import StudyRow
from app.db.unit_of_work import UnitOfWork
from app.scaling.families import flops_of
from app.scaling.network import Config, Multipliers
from app.scaling.search.observations import Role
from app.services.catalog import datasets
from app.services.trials import requests
from app.services.trials.estimates import fit_throughput

MAX_TRIALS_AT_ONCE = 200  # in a transaction, which others wait for


def networks_at_once(study: StudyRow) -> int:
    """Return how many of the study's networks one transaction enqueues."""
    return max(1, MAX_TRIALS_AT_ONCE // study.options.seeds)


@dataclass(frozen=True)
class Network:
    """A network to train in a study, and its predicted accuracy if there is one."""

    multipliers: Multipliers
    config: Config
    predicted: PredictedAccuracy | None = None


def enqueue(
    work: UnitOfWork,
    study: StudyRow,
    networks: Iterable[Network],
    role: Role,
    request_id: str | None = None,
    *,
    recipe: Recipe | None = None,
    seeds: int | None = None,
) -> list[list[str]]:
    """Enqueue networks as trials of the study, each with several seeds; return the ids of each network's trials.

    The recipe and number of seeds are the study's unless given. Halving applies to sampled networks only.
    """
    dataset = datasets.find(work, study.dataset)
    baseline_flops, throughput = flops_of(study.spec), fit_throughput(work, dataset.task)
    until_epoch = _first_rung(study) if role.is_sampled else None

    def request(network: Network, seed: int) -> str:
        plan = requests.TrialPlan(
            study.architecture, network.config, dataset, recipe or study.recipe, seed, network.multipliers,
            baseline_flops, network.predicted, throughput, until_epoch,
        )  # fmt: skip
        trial = requests.get_or_create(
            work, plan, study_id=study.id, role=role, request_id=request_id, priority=requests.BULK
        )
        return trial.id

    seeds_of_each = range(study.seed, study.seed + (seeds or study.options.seeds))
    return [[request(network, seed) for seed in seeds_of_each] for network in networks]


def _first_rung(study: StudyRow) -> int | None:
    """Return the epoch after which a sampled network first waits; None if it trains to the end at once."""
    first = study.options.rungs(study.recipe.epochs)[0]
    return first if first < study.recipe.epochs else None
