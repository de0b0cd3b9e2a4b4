"""Studies: networks around a baseline, drawn at random or one after the other by what was learned, and trained."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from app.datasets import Dataset
from app.db.tables import StudyRow
from app.db.unit_of_work import UnitOfWork
from app.errors import Conflict, NotFound
from app.recipes import Recipe
from app.scaling import families
from app.scaling.architecture import Architecture, Config, Multipliers
from app.scaling.errors import TargetOutOfRange
from app.scaling.halving import rungs
from app.scaling.recommend import Budget, flops_of, recommend
from app.scaling.sampling import Space, sample
from app.services import datasets, trials
from app.services.estimates import Estimate, calibration

_KEPT = Budget(tolerance=None)  # compound shrinking as it is, its width alone solved


@dataclass(frozen=True)
class Progress:
    """Where a study stands: `state` follows from its trials."""

    state: str
    trials: dict[str, int]


@dataclass(frozen=True)
class Network:
    """A network to train in a study, and what its accuracy is predicted to be, where that is known."""

    multipliers: Multipliers
    config: Config
    predicted: dict[str, Any] | None = None


@dataclass(frozen=True)
class Plan:
    """A study as it is asked for.

    `space` has ranges [least, most] of r, d, w and of the flops ratio c to the baseline (with the data set's classes).
    `compound` networks, shrunk so, are trained beside, over the same range; each network with `seeds` seeds.
    """

    name: str
    architecture: Architecture
    dataset: Dataset
    recipe: Recipe
    space: dict[str, Any]
    size: int
    seed: int
    sampler: str = "random"
    compound: int = 0
    seeds: int = 1
    halving: dict[str, Any] | None = None
    refit: dict[str, Any] | None = None

    @property
    def fitted(self) -> Architecture:
        """The baseline with the data set's classes."""
        return self.architecture.for_classes(self.dataset.num_classes)


def find(work: UnitOfWork, study_id: str) -> StudyRow:
    """Raises: NotFound."""
    row = work.studies.get(study_id)
    if row is None:
        raise NotFound("study", study_id)
    return row


def create(work: UnitOfWork, plan: Plan) -> StudyRow:
    """A study, its networks drawn at once, so that a space with too few of them is refused here.

    Raises: SpaceTooSmall; InvalidNetwork.
    """
    if made := work.outcome():
        return find(work, made)
    fitted = plan.fitted
    families.check(fitted.baseline)
    sample(fitted, space_of(fitted, plan.space), plan.size, plan.seed)
    row = StudyRow(
        name=plan.name,
        architecture=plan.architecture.name,
        spec=fitted.to_json(),
        dataset=plan.dataset.name,
        recipe=plan.recipe.model_dump(),
        space=plan.space,
        size=plan.size,
        seed=plan.seed,
        sampler=plan.sampler,
        options={
            "compound": plan.compound,
            "seeds": plan.seeds,
            "halving": plan.halving,
            "refit": plan.refit,
        },
    )
    work.studies.add(row)
    work.keep_outcome(row.id)
    work.commit()
    return row


def estimate(work: UnitOfWork, plan: Plan) -> Estimate:
    """What all trials of such a study would take, one after the other; nothing is kept.

    What halving saves is not counted, and of an active study's networks random ones are taken.
    Raises: SpaceTooSmall; InvalidNetwork.
    """
    fitted = plan.fitted
    families.check(fitted.baseline)
    calibrated = calibration(work, plan.dataset.task)
    drawn = [found.config for found in sample(fitted, space_of(fitted, plan.space), plan.size, plan.seed)]
    drawn += [network.config for network in _compound(fitted, plan.space, plan.compound)]
    flops = [families.network_cost(config).flops for config in drawn for _ in range(plan.seeds)]
    return reduce(add, (calibrated.estimate(cost, plan.dataset, plan.recipe) for cost in flops))


def start(work: UnitOfWork, study_id: str, request_id: str | None = None) -> StudyRow:
    """Enqueue the study's trials; those that were trained before are taken as they are. Again is the same as once.

    Of a study with the active sampler the first few; the others follow as results come in.
    Raises: NotFound; Conflict where the study was cancelled.
    """
    study = find(work, study_id)
    if study.state == "cancelled":
        raise Conflict("The study was cancelled; create another one.")
    if work.studies.move(study.id, "created", "started"):
        work.session.refresh(study)
        architecture = Architecture.from_json(study.spec)
        if study.sampler == "random":
            drawn = sample(architecture, space_of(architecture, study.space), study.size, study.seed)
            train(work, study, [Network(found.multipliers, found.config) for found in drawn], "random", request_id)
            study.proposed = study.size
        compound = _compound(architecture, study.space, study.options.get("compound", 0))
        train(work, study, compound, "compound", request_id)
        work.studies.changed(study.id)
        work.commit()
    return study


def train(
    work: UnitOfWork,
    study: StudyRow,
    networks: Iterable[Network],
    role: str,
    request_id: str | None = None,
    *,
    recipe: Recipe | None = None,
    seeds: int | None = None,
) -> list[list[str]]:
    """Enqueue networks as the study's, each with its seeds; the ids of the trials of each.

    By the study's recipe and number of seeds, or those given. Halved are those of its own recipe that it drew itself.
    """
    dataset, architecture = datasets.find(work, study.dataset), Architecture.from_json(study.spec)
    own = Recipe(**study.recipe)
    halving = study.options.get("halving") if role in ("random", "active") else None
    first = rungs(own.epochs, halving["eta"], halving["least_epochs"])[0] if halving else own.epochs
    whole, calibrated = flops_of(architecture), calibration(work, dataset.task)
    ids = []
    for network in networks:
        of_seeds = []
        for seed in range(study.seed, study.seed + (seeds or study.options.get("seeds", 1))):
            plan = trials.Plan(
                study.architecture, network.config, dataset, recipe or own, seed, network.multipliers, whole,
                predicted=network.predicted, calibration=calibrated, until_epoch=first if first < own.epochs else None,
            )  # fmt: skip
            trial = trials.request(
                work, plan, study_id=study.id, role=role, request_id=request_id, priority=trials.BULK
            )
            of_seeds.append(trial.id)
        ids.append(of_seeds)
    return ids


def cancel(work: UnitOfWork, study_id: str) -> StudyRow:
    """Stop the study and its trials, but for those that another study or a client counts on as well.

    Raises: NotFound; Conflict where it has completed.
    """
    study = find(work, study_id)
    if progress(work, [study])[study.id].state == "completed":
        raise Conflict("The study has completed: there is nothing to cancel.")
    study.state = "cancelled"
    for trial in work.trials.of_study_in(study.id, "queued", "running"):
        if not trial.on_demand and not work.trials.shared(trial.id, study.id):
            trials.stop(work, trial)
    work.commit()
    return study


def pause(work: UnitOfWork, study_id: str) -> StudyRow:
    """Its waiting trials stay where they are, but for those that another study or a client wants; the others go on.

    Raises: NotFound; Conflict where it was not started, was cancelled or has completed.
    """
    study = find(work, study_id)
    state = progress(work, [study])[study.id].state
    if state == "completed" or (not work.studies.move(study.id, "started", "paused") and state != "paused"):
        raise Conflict(f"The study is {state}: only one that is running can be paused.")
    work.session.refresh(study)
    work.commit()
    return study


def resume(work: UnitOfWork, study_id: str) -> StudyRow:
    """Its waiting trials take their turns again; nothing happens to a study that is running.

    Raises: NotFound; Conflict where it was not started, was cancelled or has completed.
    """
    study = find(work, study_id)
    state = progress(work, [study])[study.id].state
    if work.studies.move(study.id, "paused", "started"):
        work.session.refresh(study)
        work.send([trial for trial in work.trials.of_study_in(study.id, "queued") if not trial.held])
        work.studies.changed(study.id)
    elif state != "running":
        raise Conflict(f"The study is {state}: only one that is paused can be resumed.")
    work.commit()
    return study


def progress(work: UnitOfWork, studies: list[StudyRow]) -> dict[str, Progress]:
    """Each study's state and its trials by state."""
    counts = work.studies.trials_by_state([study.id for study in studies])
    return {study.id: _progress(study, counts.get(study.id, {})) for study in studies}


def space_of(architecture: Architecture, space: dict[str, Any]) -> Space:
    """The study's space, its flops ratios in multiply-adds."""
    whole = flops_of(architecture)
    least, most = space["ratio"]
    return Space(
        r=tuple(space["r"]), d=tuple(space["d"]), w=tuple(space["w"]), flops=(int(least * whole), int(most * whole))
    )


def _compound(architecture: Architecture, space: dict[str, Any], n: int) -> list[Network]:
    """`n` compound-shrunk networks (EfficientNet's way down), even over the logarithm of the space's flops.

    Fewer where some cannot be reached.
    """
    networks: dict[Config, Network] = {}
    for ratio in np.geomspace(*space["ratio"], n + 2)[1:-1] if n else []:
        try:
            found = recommend(architecture, round(ratio * flops_of(architecture)), "compound", budget=_KEPT)
        except TargetOutOfRange:
            continue
        networks.setdefault(found.config, Network(found.multipliers, found.config))
    return list(networks.values())


def _progress(study: StudyRow, counts: dict[str, int]) -> Progress:
    if study.state not in ("started", "paused"):
        return Progress(study.state, counts)
    waiting = counts.get("queued", 0) + counts.get("running", 0)
    going_on = "running" if study.state == "started" else "paused"
    return Progress(going_on if waiting or study.proposed < study.size else "completed", counts)
