"""Recommendations for several targets, with one bound on their work: what a request asks for, here or in a process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.scaling import families
from app.scaling.cost.budget_unit import FLOPS, BudgetUnit
from app.scaling.errors import ScalingError, prefix_pointer
from app.scaling.network import Architecture, Config, Multipliers
from app.scaling.predictors.predictor import Predictor
from app.scaling.rules.names import RequestedRule
from app.scaling.rules.recommend import Budget, Recommendation, evaluate_multipliers, recommend
from app.scaling.rules.scaling_curves import RuleTarget
from app.scaling.solver.constraints import Constraints
from app.scaling.solver.search_work import REQUEST_WORK, TARGET_WORK, SearchWork, WorkDone
from app.scaling.solver.width_grid import grid_work


@dataclass(frozen=True)
class RecommendationRequest:
    """A baseline, a rule, and the target in a unit.

    For the rule `manual`, `manual` has r and d, with the width to be solved, or all multipliers: then no target is
    needed, and neither constraints nor budget apply.
    """

    architecture: Architecture
    rule: RequestedRule
    target: int | None
    manual: RuleTarget | Multipliers | None = None
    constraints: Constraints = Constraints()
    budget: Budget = Budget()
    unit: BudgetUnit = FLOPS


@dataclass(frozen=True)
class Work:
    """The work of several searches in nominal nanoseconds (`search_work`); `is_cut`: one reached its limit."""

    total: int
    is_cut: bool


def recommend_each(
    requests: Sequence[RecommendationRequest],
    predictor: Predictor | None = None,
    transferred_from: str | None = None,
    limit: int = REQUEST_WORK,
) -> Iterator[Recommendation | ScalingError | Work]:
    """Yield the recommendation for each request, or its error, and at the end the work of all.

    The requests have the same baseline. Each has an equal share of the limit, at most that of a target.
    """
    done = WorkDone()
    done.total = preparation = estimate_preparation(requests[0])
    share = min(TARGET_WORK, limit // len(requests)) - preparation // len(requests)
    for request in requests:
        try:
            yield recommend_for(request, predictor, transferred_from, SearchWork(share, done))
        except ScalingError as error:
            yield error
    yield Work(done.total, done.is_cut)


def recommend_for(
    request: RecommendationRequest,
    predictor: Predictor | None = None,
    transferred_from: str | None = None,
    work: SearchWork | None = None,
) -> Recommendation:
    """Return the rule's network for the target.

    Raises: InvalidNetwork; TargetOutOfRange; NotEnoughObservations if the rule needs a surrogate that does not exist.
    """
    if isinstance(request.manual, Multipliers):
        scale_network(request.architecture, request.manual)
        return evaluate_multipliers(
            request.architecture,
            request.manual,
            request.target,
            unit=request.unit,
            predictor=predictor,
            transferred_from=transferred_from,
        )
    assert request.target is not None, "a target is needed unless all multipliers are given"
    assert request.rule != "auto", "the caller takes the rule, since it knows where the predictor comes from"
    return recommend(
        request.architecture,
        request.target,
        request.rule,
        unit=request.unit,
        predictor=predictor,
        manual=request.manual,
        constraints=request.constraints,
        budget=request.budget,
        transferred_from=transferred_from,
        work=work,
    )


def estimate_preparation(request: RecommendationRequest) -> int:
    """Return the work of computing the costs of the baseline at every width, in nominal nanoseconds."""
    if isinstance(request.manual, Multipliers):
        return 0
    grids = 1 if request.constraints.channel_divisor is None else 2
    return grids * grid_work(request.architecture)


def scale_network(architecture: Architecture, multipliers: Multipliers) -> Config:
    """Scale the architecture by given multipliers and check the network.

    Raises: InvalidNetwork.
    """
    with prefix_pointer("/multipliers"):
        config = architecture.scale(multipliers)
        families.check(config)
    return config
