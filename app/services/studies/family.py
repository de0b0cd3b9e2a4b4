"""A study's family: the rules' networks for several budgets, trained and tabulated (step 5 of the paper)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev
from typing import Literal

from app.core.errors import Conflict, InvalidRequest
from app.core.studies import Family, FamilyMember
from app.core.trials import TrialState
from app.data.builtin_datasets import task_of
from app.data.recipes import PRESETS, Recipe
from app.db.tables import StudyRow, TrialRow
from app.db.unit_of_work import UnitOfWork
from app.scaling.families import flops_of
from app.scaling.rules.batch import RecommendationRequest
from app.scaling.rules.names import RequestedRule, SolvedRule
from app.scaling.search.observations import Role
from app.services.auth import quotas
from app.services.catalog import dataset_life, datasets
from app.services.predictors import store
from app.services.predictors.store import ResolvedPredictor
from app.services.recommendations import RuleOutcome, recommend_networks
from app.services.studies import lifecycle, studies, training

_MAX_TRAININGS = 400  # of a request, which enqueues them in one transaction

RecipeName = Literal["same", "randaugment"]


@dataclass(frozen=True)
class FamilyRequest:
    """A request to train each rule's network for each budget with each recipe and seed.

    A target is a function of the baseline's flops. The predictor is the one of that id, else the study's newest.
    """

    targets: Sequence[Callable[[int], int]]
    rules: Sequence[SolvedRule]
    recipes: Sequence[RecipeName]
    seeds: int
    predictor_id: str | None = None


@dataclass(frozen=True)
class FamilyMemberResult:
    """A family member and its trials."""

    member: FamilyMember
    trials: list[TrialRow]

    @property
    def accuracies(self) -> list[float]:
        """The validation accuracies (0 to 1) of the completed trials."""
        completed = (trial for trial in self.trials if trial.state is TrialState.COMPLETED)
        return [trial.result.accuracy for trial in completed if trial.result]

    @property
    def mean(self) -> float | None:
        return fmean(self.accuracies) if self.accuracies else None

    @property
    def sd(self) -> float | None:
        """The standard deviation between seeds (n - 1)."""
        return stdev(self.accuracies) if len(self.accuracies) > 1 else None

    @property
    def latency_ms(self) -> float | None:
        """The median latency over the trials."""
        latencies = [t.result.latency.median_ms for t in self.trials if t.result and t.result.latency]
        return median(latencies) if latencies else None


def train(
    work: UnitOfWork,
    study_id: str,
    request: FamilyRequest,
    request_id: str | None = None,
    solve: Callable[[Sequence[RecommendationRequest], ResolvedPredictor], list[RuleOutcome]] = recommend_networks,
) -> StudyRow:
    """Enqueue the family's networks; networks that were trained before are reused.

    Raises: NotFound; NotOwner; Conflict if the study was cancelled, is archived, is on an archived data set or has no
    predictor; InvalidRequest for RandAugment and detection, and for too many trainings; QuotaExceeded.
    """
    trainings = len(request.targets) * len(request.rules) * len(request.recipes) * request.seeds
    if trainings > _MAX_TRAININGS:
        raise InvalidRequest("/targets", f"these are {trainings:,} trainings; request at most {_MAX_TRAININGS} at once")
    study = studies.find_own(work, study_id)
    lifecycle.require_takes_work(study)
    predictor = _find_predictor(work, study, request.predictor_id)
    work.release()  # the networks are computed outside of the transaction that stores them
    targets = [target(flops_of(study.spec)) for target in request.targets]
    wanted = [(target_flops, rule) for target_flops in targets for rule in request.rules]
    solved = solve([RecommendationRequest(study.spec, rule, target_flops) for target_flops, rule in wanted], predictor)
    outcomes = dict(zip(wanted, solved, strict=True))
    study = studies.lock_own(work, study_id)
    lifecycle.require_takes_work(study)
    dataset_life.require_trainable(work, datasets.find(work, study.dataset))
    members = {(m.target_flops, m.rule, m.recipe): m for m in members_of(study)}
    for (target_flops, rule), outcome in outcomes.items():
        for recipe in request.recipes:
            member = _train_member(work, study, target_flops, outcome, recipe, request.seeds, request_id)
            members[target_flops, rule, recipe] = member
    study.family = Family(tuple(members.values()))
    if work.has_trials_to_send:
        quotas.check_trials(work)
    work.commit()
    return study


def members_of(study: StudyRow) -> tuple[FamilyMember, ...]:
    """Return the family's members in the order requested."""
    return study.family.members if study.family else ()


def results(work: UnitOfWork, study: StudyRow) -> list[FamilyMemberResult]:
    """Return the family's members with their trials."""
    members = members_of(study)
    rows = work.trials.by_ids(trial for member in members for trial in member.trials)
    return [FamilyMemberResult(member, [rows[id] for id in member.trials if id in rows]) for member in members]


def _find_predictor(work: UnitOfWork, study: StudyRow, predictor_id: str | None) -> ResolvedPredictor:
    """Load the predictor of that id, else the study's newest.

    Raises: NotFound; Conflict.
    """
    row = store.find_usable(work, predictor_id) if predictor_id else work.predictors.newest_of_study(study.id)
    if row is None:
        raise Conflict("The study has no predictor yet. Refit it (POST …/predictors) before you request its family.")
    return store.resolve_version(work, row, study.architecture)


def _train_member(
    work: UnitOfWork,
    study: StudyRow,
    target_flops: int,
    outcome: RuleOutcome,
    recipe: RecipeName,
    seeds: int,
    request_id: str | None,
) -> FamilyMember:
    if outcome.result is None:
        return FamilyMember(target_flops, outcome.rule, recipe, problem=outcome.problem)
    recommendation = outcome.result.recommendation
    predicted = outcome.result.predicted_accuracy_on(study.dataset) if recipe == "same" else None
    network = training.Network(recommendation.multipliers, recommendation.config, predicted)
    role = _role(outcome.rule, recipe)
    (trials,) = training.enqueue(work, study, [network], role, request_id, recipe=_recipe(study, recipe), seeds=seeds)
    return FamilyMember(
        target_flops, outcome.rule, recipe, None, recommendation.multipliers, recommendation.config,
        recommendation.cost.flops, recommendation.cost.params, predicted, tuple(trials),
    )  # fmt: skip


def _role(rule: RequestedRule, recipe: RecipeName) -> Role:
    if recipe != "same":
        return Role.FAMILY
    return Role.COMPOUND if rule == "compound" else Role.RECOMMENDED


def _recipe(study: StudyRow, name: RecipeName) -> Recipe:
    """Return the study's recipe, or that with RandAugment, which replaces colour jitter as it does in timm.

    Raises: InvalidRequest for RandAugment if the study's data set is for detection.
    """
    if name == "same":
        return study.recipe
    if task_of(study.dataset) == "detection":
        raise InvalidRequest("/recipes", "RandAugment does not apply to detection: request only `same`.")
    changes = {"randaugment": PRESETS["tinynet-ra"].randaugment, "colour_jitter": 0.0}
    return study.recipe.model_copy(update=changes)
