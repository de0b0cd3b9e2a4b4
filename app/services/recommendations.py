"""Recommendations: the network that a scaling rule finds for a target, with the predictor in use.

Scaling, families, comparisons, trainings and studies all use this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from app.core.predictions import PredictedAccuracy
from app.data.builtin_datasets import Dataset
from app.data.recipes import Recipe
from app.scaling.cost.budget_unit import FLOPS
from app.scaling.errors import ScalingError
from app.scaling.families import flops_of
from app.scaling.network import Architecture, Multipliers
from app.scaling.predictors.predictor import Predictor
from app.scaling.rules.batch import (
    RecommendationRequest,
    Work,
    estimate_preparation,
    recommend_each,
    recommend_for,
    scale_network,
)
from app.scaling.rules.names import PREDICTOR_RULES, RequestedRule, Rule
from app.scaling.rules.recommend import Recommendation
from app.scaling.solver.search_work import REQUEST_WORK
from app.scaling.solver.width_grid import has_width_grid
from app.services.predictors.store import ResolvedPredictor
from app.services.trials.requests import TrialPlan

_MAX_QUICK = 10  # targets
_MAX_QUICK_PREPARATION = 20_000_000  # ns


@dataclass(frozen=True)
class ScalingResult:
    """A recommended network, and the predictor that its multipliers or its accuracy come from, if any do.

    `rule_reason` says in one sentence why `auto` took the rule.
    """

    recommendation: Recommendation
    predictor: ResolvedPredictor | None
    rule_reason: str | None = None

    def predicted_accuracy_on(self, dataset: str) -> PredictedAccuracy | None:
        """Return the predicted accuracy, if the predictor was fitted on this data set."""
        accuracy, predictor = self.recommendation.accuracy, self.predictor
        if accuracy is None or predictor is None or predictor.dataset != dataset:
            return None
        return PredictedAccuracy(mean=accuracy[0], sd=accuracy[1], predictor=predictor.id)


@dataclass(frozen=True)
class RuleOutcome:
    """A rule's result for a target, or why it has none."""

    rule: RequestedRule
    result: ScalingResult | None
    error: ScalingError | None = None

    @property
    def problem(self) -> str | None:
        return None if self.error is None else str(self.error)

    def unwrap(self) -> ScalingResult:
        """Return the result, or raise the error."""
        if self.error is not None:
            raise self.error
        assert self.result is not None
        return self.result


def recommend_network(request: RecommendationRequest, predictor: ResolvedPredictor | None = None) -> ScalingResult:
    """Find the rule's network for the target.

    Raises: InvalidNetwork; TargetOutOfRange; NotEnoughObservations if the rule needs a surrogate that does not exist.
    """
    recommendation = recommend_for(_with_rule(request, predictor), *_fitted(predictor))
    return _result(request, recommendation, predictor)


def recommend_networks(
    requests: Sequence[RecommendationRequest], predictor: ResolvedPredictor | None = None
) -> list[RuleOutcome]:
    """Return each request's network or error, within the work that one HTTP request may cause."""
    return outcomes_of(requests, list(recommend_each(*arguments_of(requests, predictor))), predictor)[0]


def outcomes_of(
    requests: Sequence[RecommendationRequest], recommended: Sequence[Any], predictor: ResolvedPredictor | None
) -> tuple[list[RuleOutcome], Work]:
    """Return the outcomes for what `recommend_each` yielded, and the work."""
    *recommendations, work = recommended
    outcomes = [
        RuleOutcome(request.rule, None, one)
        if isinstance(one, ScalingError)
        else RuleOutcome(request.rule, _result(request, one, predictor))
        for request, one in zip(requests, recommendations, strict=True)
    ]
    return outcomes, work


def arguments_of(
    requests: Sequence[RecommendationRequest], predictor: ResolvedPredictor | None, limit: int = REQUEST_WORK
) -> tuple[Any, ...]:
    """Return the arguments with which `recommend_each` answers the requests."""
    return ([_with_rule(request, predictor) for request in requests], *_fitted(predictor), limit)


def _fitted(predictor: ResolvedPredictor | None) -> tuple[Predictor | None, str | None]:
    return (None, None) if predictor is None else (predictor.predictor, predictor.transferred_from)


def _with_rule(request: RecommendationRequest, predictor: ResolvedPredictor | None) -> RecommendationRequest:
    """Return the request with the rule that `auto` takes."""
    if request.rule != "auto":
        return request
    return replace(request, rule=choose_rule(request.architecture, predictor)[0])


def _result(
    request: RecommendationRequest, recommendation: Recommendation, predictor: ResolvedPredictor | None
) -> ScalingResult:
    rule_reason = choose_rule(request.architecture, predictor)[1] if request.rule == "auto" else None
    uses_predictor = recommendation.accuracy is not None or recommendation.rule in PREDICTOR_RULES
    return ScalingResult(recommendation, predictor if uses_predictor else None, rule_reason)


def choose_rule(architecture: Architecture, predictor: ResolvedPredictor | None) -> tuple[Rule, str]:
    """Return the rule that `auto` takes, and why: the best that the predictor supports, else the best without data.

    A predictor of another architecture is used only if the request named it.
    """
    if predictor is None or (predictor.transferred_from is not None and not predictor.is_requested):
        return "dwr", f"No predictor was fitted on {architecture.name}, and dwr is the best rule that needs no data."
    fitted = predictor.predictor
    if fitted.surrogate is not None and fitted.has_skill("surrogate"):
        return "surrogate", f"The surrogate of {predictor.id} predicts left-out networks better than a line over cost."
    proven = [f"{name}(c)" for name in ("r", "d") if fitted.has_skill(name)]
    if not proven:
        return "dwr", f"No curve of {predictor.id} has proven skill, and dwr is the best rule that needs no data."
    if not fitted.skill:
        return "tiny_formula", f"{predictor.id} has the published r and d, and no surrogate."
    lacking = "has no surrogate" if fitted.surrogate is None else "has a surrogate without proven skill"
    return "tiny_formula", f"{predictor.id} has proven skill in {' and '.join(proven)}, and {lacking}."


@lru_cache(maxsize=256)
def adapt(architecture: Architecture, num_classes: int | None, in_chans: int | None) -> Architecture:
    """Return the baseline for another number of classes or of the input's channels; equal calls return one value."""
    return architecture.adapt(num_classes, in_chans)


def are_quick(requests: Sequence[RecommendationRequest], predictor: ResolvedPredictor) -> bool:
    """Whether the requests, for one baseline, take so little work that other requests may wait for it."""
    return are_mostly_quick(requests) and (
        isinstance(requests[0].manual, Multipliers) or all(_is_near(request, predictor) for request in requests)
    )


def are_mostly_quick(requests: Sequence[RecommendationRequest]) -> bool:
    """Whether the requests are quick for targets near the predictor's data, and for most of the others."""
    first = requests[0]
    return len(requests) <= _MAX_QUICK and (
        isinstance(first.manual, Multipliers)
        or (estimate_preparation(first) <= _MAX_QUICK_PREPARATION and all(map(_is_loose, requests)))
    )


def is_immediate(request: RecommendationRequest, predictor: ResolvedPredictor) -> bool:
    """Whether the search is so quick that no thread is worth it, also since the baseline's costs are in the cache."""
    is_prepared = isinstance(request.manual, Multipliers) or has_width_grid(request.architecture)
    rule = choose_rule(request.architecture, predictor)[0] if request.rule == "auto" else request.rule
    return is_prepared and rule != "surrogate" and _is_loose(request) and _is_near(request, predictor)


def _is_loose(request: RecommendationRequest) -> bool:
    """Whether the budget is a loose one in FLOPs, and the network has no limits."""
    return request.unit == FLOPS and request.budget.is_quickly_met and request.constraints.are_loose


def _is_near(request: RecommendationRequest, predictor: ResolvedPredictor) -> bool:
    """Whether the target is near the predictor's data."""
    if request.target is None:
        return True
    min_ratio, max_ratio = predictor.predictor.range
    return min_ratio / 2 <= request.target / flops_of(request.architecture) <= 2 * max_ratio


def plan_training(result: ScalingResult, dataset: Dataset, recipe: Recipe, seed: int) -> TrialPlan:
    """Plan the training of a recommended network."""
    found, predicted = result.recommendation, result.predicted_accuracy_on(dataset.name)
    base = flops_of(found.architecture)
    return TrialPlan(found.architecture.name, found.config, dataset, recipe, seed, found.multipliers, base, predicted)


def plan_training_at(
    architecture: Architecture, multipliers: Multipliers, dataset: Dataset, recipe: Recipe, seed: int
) -> TrialPlan:
    """Plan the training of a baseline at given multipliers.

    Raises: InvalidNetwork.
    """
    config, base = scale_network(architecture, multipliers), flops_of(architecture)
    return TrialPlan(architecture.name, config, dataset, recipe, seed, multipliers, base)
