"""Studies: random networks around a baseline, trained, selected, and made into a predictor."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from app.datasets import Dataset
from app.db.tables import ObservationRow, PredictorRow, StudyRow, TrialRow
from app.db.unit_of_work import UnitOfWork
from app.errors import Conflict, Invalid, NotFound
from app.recipes import Recipe
from app.scaling import families
from app.scaling.architecture import Architecture, Multipliers
from app.scaling.cost_table import cost_table
from app.scaling.front import Correlation, correlations, hypervolume, select_front
from app.scaling.observations import Observation, networks, points
from app.scaling.predictor import Predictor
from app.scaling.recommend import flops_of
from app.scaling.sampling import Space, sample
from app.services import datasets, predictors, trials
from app.services.estimates import Estimate, calibration


@dataclass(frozen=True)
class Progress:
    """Where a study stands: `state` follows from its trials."""

    state: str
    trials: dict[str, int]


@dataclass(frozen=True)
class Imported:
    """A result from outside: multipliers and the accuracy (0 to 1) that they reached."""

    multipliers: Multipliers
    accuracy: float
    seconds: float | None
    source: str


def find(work: UnitOfWork, study_id: str) -> StudyRow:
    """Raises: NotFound."""
    row = work.studies.get(study_id)
    if row is None:
        raise NotFound("study", study_id)
    return row


def create(
    work: UnitOfWork,
    *,
    name: str,
    architecture: Architecture,
    dataset: Dataset,
    recipe: Recipe,
    space: dict[str, Any],
    size: int,
    seed: int,
) -> StudyRow:
    """A study, its networks drawn at once, so that a space with too few of them is refused here.

    `space` has ranges [least, most] of r, d, w and of the flops ratio c to the baseline (with the data set's classes).
    Raises: SpaceTooSmall; InvalidNetwork.
    """
    fitted = architecture.for_classes(dataset.num_classes)
    families.check(fitted.baseline)
    sample(fitted, _space(fitted, space), size, seed)
    row = StudyRow(
        name=name,
        architecture=architecture.name,
        spec=fitted.to_json(),
        dataset=dataset.name,
        recipe=recipe.model_dump(),
        space=space,
        size=size,
        seed=seed,
    )
    work.studies.add(row)
    work.commit()
    return row


def estimate(
    work: UnitOfWork,
    *,
    architecture: Architecture,
    dataset: Dataset,
    recipe: Recipe,
    space: dict[str, Any],
    size: int,
    seed: int,
) -> Estimate:
    """What all trials of such a study would take, one after the other; nothing is kept.

    Raises: SpaceTooSmall; InvalidNetwork.
    """
    fitted = architecture.for_classes(dataset.num_classes)
    calibrated = calibration(work, dataset.task)
    drawn = sample(fitted, _space(fitted, space), size, seed)
    return reduce(add, (calibrated.estimate(found.cost.flops, dataset, recipe) for found in drawn))


def start(work: UnitOfWork, study_id: str, request_id: str | None = None) -> StudyRow:
    """Enqueue the study's trials; those that were trained before are taken as they are. Again is the same as once.

    Raises: NotFound; Conflict where the study was cancelled.
    """
    study = find(work, study_id)
    if study.state == "cancelled":
        raise Conflict("The study was cancelled; create another one.")
    if work.studies.move(study.id, "created", "started"):
        work.session.refresh(study)
        dataset, recipe = datasets.find(work, study.dataset), Recipe(**study.recipe)
        architecture = Architecture.from_json(study.spec)
        whole, calibrated = flops_of(architecture), calibration(work, dataset.task)
        for found in sample(architecture, _space(architecture, study.space), study.size, study.seed):
            plan = trials.Plan(
                study.architecture, found.config, dataset, recipe, study.seed, found.multipliers, whole,
                calibration=calibrated,
            )  # fmt: skip
            trials.request(work, plan, study_id=study.id, request_id=request_id, priority=trials.BULK)
        work.commit()
    return study


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
        work.send(work.trials.of_study_in(study.id, "queued"))
    elif state != "running":
        raise Conflict(f"The study is {state}: only one that is paused can be resumed.")
    work.commit()
    return study


def progress(work: UnitOfWork, studies: list[StudyRow]) -> dict[str, Progress]:
    """Each study's state and its trials by state."""
    counts = work.studies.trials_by_state([study.id for study in studies])
    return {study.id: _progress(study, counts.get(study.id, {})) for study in studies}


def import_observations(work: UnitOfWork, study_id: str, imported: list[Imported]) -> int:
    """Add results from outside, all or none; how many.

    Raises: NotFound; Invalid where an input is too small for the network.
    """
    study = find(work, study_id)
    architecture = Architecture.from_json(study.spec)
    whole, table = flops_of(architecture), cost_table(architecture)
    multipliers = np.array([[i.multipliers.r, i.multipliers.d, i.multipliers.w] for i in imported])
    costs = zip(*(column.tolist() for column in table.costs(*multipliers.T)), strict=True)
    for index, (result, (resolution, flops, params)) in enumerate(zip(imported, costs, strict=True)):
        if resolution < table.least_resolution:
            least = table.least_resolution
            raise Invalid(f"/observations/{index}/r", f"{resolution} px: the network needs {least} or more")
        work.session.add(
            ObservationRow(
                study_id=study.id,
                architecture=study.architecture,
                dataset=study.dataset,
                r=result.multipliers.r,
                d=result.multipliers.d,
                w=result.multipliers.w,
                ratio=flops / whole,
                resolution=resolution,
                flops=int(flops),
                params=int(params),
                accuracy=result.accuracy,
                seconds=result.seconds,
                provenance={"source": result.source},
            )
        )
    work.commit()
    return len(imported)


def observations(work: UnitOfWork, study_id: str) -> list[Observation]:
    """The study's observations that have multipliers, as the core takes them.

    Raises: NotFound.
    """
    study = find(work, study_id)
    return [
        Observation(row.r, row.d, row.w, row.ratio, row.flops, row.params, row.accuracy, row.trial_id, row.latency_ms)
        for row in work.observations.of_study(study.id)
        if row.r is not None and row.d is not None and row.w is not None and row.ratio is not None
    ]


@dataclass(frozen=True)
class Front:
    """A study's networks, one observation each, and those among them that NSGA-III keeps, by rising flops."""

    observations: list[Observation]
    selected: list[Observation]

    @property
    def hypervolume(self) -> float | None:
        """Below the whole front; None where there is none."""
        if not self.selected:
            return None
        seen = self.observations
        worst = (max(o.flops for o in seen) * 1.01, 0.0)
        return hypervolume([o.flops for o in seen], [o.accuracy for o in seen], worst)

    def fitted(self) -> Predictor:
        """r(c), d(c) and accuracy(c) on the networks selected.

        Raises: NotEnoughObservations.
        """
        return Predictor.fitted(points(self.selected))


def front(work: UnitOfWork, study_id: str, k: int) -> Front:
    """Raises: NotFound."""
    seen = networks(observations(work, study_id))
    return Front(seen, [seen[i] for i in select_front(seen, k)])


def front_correlations(work: UnitOfWork, study_id: str, k: int) -> dict[str, Correlation]:
    """Of r, d and w with FLOPs on the front (the paper's third step).

    Raises: NotFound.
    """
    return correlations(front(work, study_id, k).selected)


def refit(work: UnitOfWork, study_id: str, k: int) -> PredictorRow:
    """Fit on the study's front and keep it as a new version, not yet in use.

    Raises: NotFound; NotEnoughObservations.
    """
    study = find(work, study_id)
    found = front(work, study_id, k)
    predictor, seen = found.fitted(), len(found.observations)
    row = predictors.keep(
        work,
        predictor,
        architecture=study.architecture,
        dataset=study.dataset,
        provenance=f"Study {study.name!r} ({study.id}): {len(predictor.points)} networks of {seen}.",
        study_id=study.id,
    )
    work.commit()
    return row


def predicted_and_measured(work: UnitOfWork, study_id: str) -> list[tuple[float, float, float]]:
    """(mean, sd, measured) of the study's trials whose accuracy was predicted before they were trained."""
    study = find(work, study_id)
    done = work.trials.completed_of_study(study.id)
    return [_pair(trial, trial.predicted) for trial in done if trial.predicted]


def _pair(trial: TrialRow, predicted: dict[str, Any]) -> tuple[float, float, float]:
    return predicted["mean"], predicted["sd"], (trial.result or {})["accuracy"]


def _progress(study: StudyRow, counts: dict[str, int]) -> Progress:
    if study.state not in ("started", "paused"):
        return Progress(study.state, counts)
    waiting = counts.get("queued", 0) + counts.get("running", 0)
    going_on = "running" if study.state == "started" else "paused"
    return Progress(going_on if waiting else "completed", counts)


def _space(architecture: Architecture, space: dict[str, Any]) -> Space:
    whole = flops_of(architecture)
    least, most = space["ratio"]
    return Space(
        r=tuple(space["r"]), d=tuple(space["d"]), w=tuple(space["w"]), flops=(int(least * whole), int(most * whole))
    )
