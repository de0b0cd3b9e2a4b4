"""A study's family: the networks that the rules give for some budgets, trained and tabulated (the paper's step 5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, median, stdev
from typing import Any, Literal

from app.datasets import task_of
from app.db.tables import PredictorRow, StudyRow, TrialRow
from app.db.unit_of_work import UnitOfWork
from app.errors import Conflict, Invalid
from app.recipes import PRESETS, Recipe
from app.scaling.architecture import Architecture
from app.scaling.errors import ScalingError
from app.scaling.recommend import Recommendation, Rule, flops_of, recommend
from app.services import predictors, studies

RecipeName = Literal["same", "randaugment"]


@dataclass(frozen=True)
class Member:
    """A network of a family: its budget, rule and recipe, and its trials, one a seed."""

    target_flops: int
    rule: str
    recipe: str
    problem: str | None = None  # why the rule has no network for that budget
    multipliers: dict[str, Any] | None = None
    config: dict[str, Any] | None = None
    flops: int | None = None
    params: int | None = None
    predicted: dict[str, Any] | None = None
    trials: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trained:
    """A member with what its trials have come to."""

    member: Member
    trials: list[TrialRow]

    @property
    def accuracies(self) -> list[float]:
        """On validation, from 0 to 1, of the seeds that have completed."""
        return [trial.result["accuracy"] for trial in self.trials if trial.state == "completed" and trial.result]

    @property
    def mean(self) -> float | None:
        return fmean(self.accuracies) if self.accuracies else None

    @property
    def sd(self) -> float | None:
        """Between seeds (n - 1)."""
        return stdev(self.accuracies) if len(self.accuracies) > 1 else None

    @property
    def latency_ms(self) -> float | None:
        """The median of its trials'."""
        timed = [(trial.result or {}).get("latency") for trial in self.trials]
        known = [latency["median_ms"] for latency in timed if latency]
        return median(known) if known else None


def train(
    work: UnitOfWork,
    study_id: str,
    *,
    targets: Sequence[Callable[[int], int]],
    rules: Sequence[Rule],
    recipes: Sequence[RecipeName],
    seeds: int,
    predictor_id: str | None = None,
    request_id: str | None = None,
) -> StudyRow:
    """Enqueue each rule's network for each budget, by each recipe and seed; a target takes the baseline's flops.

    By the predictor named, else the study's newest. What was asked for before is taken as it is.
    Raises: NotFound; Conflict where the study was cancelled or has no predictor; Invalid for a detector's RandAugment.
    """
    study = studies.find(work, study_id)
    study = work.studies.lock(study.id) or study
    if study.state == "cancelled":
        raise Conflict("The study was cancelled; create another one.")
    row = predictors.find(work, predictor_id) if predictor_id else work.predictors.newest_of_study(study.id)
    if row is None:
        raise Conflict("The study has no predictor yet: refit it (POST …/predictors), then ask for its family.")
    members = of_study(study)
    known = {(m.target_flops, m.rule, m.recipe): m for m in members}
    architecture = Architecture.from_json(study.spec)
    for target in targets:
        for rule in rules:
            found = _recommended(architecture, target(flops_of(architecture)), rule, row)
            for recipe in recipes:
                member = _member(work, study, found, rule, recipe, seeds, row, request_id)
                known[member.target_flops, member.rule, member.recipe] = member
    study.family = [asdict(member) for member in known.values()]
    work.commit()
    return study


def of_study(study: StudyRow) -> list[Member]:
    """In the order asked for."""
    return [Member(**{**plain, "trials": tuple(plain["trials"])}) for plain in study.family or []]


def trained(work: UnitOfWork, study: StudyRow) -> list[Trained]:
    """The family with its trials."""
    members = of_study(study)
    rows = work.trials.by_id(trial for member in members for trial in member.trials)
    return [Trained(member, [rows[trial] for trial in member.trials if trial in rows]) for member in members]


def _recommended(
    architecture: Architecture, target: int, rule: Rule, row: PredictorRow
) -> tuple[int, Recommendation | str]:
    """The target, and the rule's network for it or why there is none."""
    try:
        return target, recommend(
            architecture,
            target,
            rule,
            predictor=predictors.restored(row),
            transferred_from=None if row.architecture == architecture.name else row.architecture,
        )
    except ScalingError as error:
        return target, str(error)


def _member(
    work: UnitOfWork,
    study: StudyRow,
    target_and_found: tuple[int, Recommendation | str],
    rule: Rule,
    recipe: RecipeName,
    seeds: int,
    predictor: PredictorRow,
    request_id: str | None,
) -> Member:
    target, found = target_and_found
    if isinstance(found, str):
        return Member(target, rule, recipe, problem=found)
    predicted = None
    if found.accuracy is not None and recipe == "same" and predictor.dataset == study.dataset:
        mean, sd = found.accuracy
        predicted = {"mean": mean, "sd": sd, "predictor": predictor.id}
    network = studies.Network(found.multipliers, found.config, predicted)
    role = "family" if recipe != "same" else "compound" if rule == "compound" else "recommended"
    (ids,) = studies.train(work, study, [network], role, request_id, recipe=_recipe(study, recipe), seeds=seeds)
    return Member(
        target, rule, recipe, None, found.multipliers.to_json(), found.config.to_json(), found.cost.flops,
        found.cost.params, predicted, tuple(ids),
    )  # fmt: skip


def _recipe(study: StudyRow, name: RecipeName) -> Recipe:
    """The study's, or that with RandAugment, which replaces colour jitter as it does in timm.

    Raises: Invalid where the study's data set is for detection.
    """
    own = Recipe(**study.recipe)
    if name == "same":
        return own
    if task_of(study.dataset) == "detection":
        raise Invalid("/recipes", "RandAugment has no meaning for detection: ask for `same` alone.")
    with_it = {"randaugment": PRESETS["tinynet-ra"].randaugment, "colour_jitter": 0.0}
    return own.model_copy(update=with_it)
