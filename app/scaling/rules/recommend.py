"""The recommendation: the r, d and w that make a network fit a budget, with their uncertainty."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, log
from typing import Literal

from app.scaling.cost.budget_unit import FLOPS, BudgetUnit
from app.scaling.cost.ledger import Cost
from app.scaling.errors import NotEnoughObservations
from app.scaling.families import flops_of, network_cost
from app.scaling.network import Architecture, Config, Multipliers
from app.scaling.predictors.network_features import features_of
from app.scaling.predictors.point import Point
from app.scaling.predictors.predictor import Predictor
from app.scaling.predictors.surrogate import MIN_NETWORKS
from app.scaling.resolution import describe_resolution, mean_px
from app.scaling.rules.equivalent_flops import solve_unit
from app.scaling.rules.names import PREDICTOR_RULES, Rule
from app.scaling.rules.scaling_curves import CURVES, RuleTarget, solve_curve, tiny_formula
from app.scaling.rules.surrogate_rule import maximize_expected_accuracy
from app.scaling.solver.constraints import Constraints
from app.scaling.solver.range_scan import Mode
from app.scaling.solver.search_work import SearchWork
from app.scaling.solver.width_solver import BUDGET_TOLERANCE, Displacement, SearchRadius, Solution, solve

_RADIUS_PX, _RADIUS_BASE_PX = 8, 224  # 8 px of 224, in proportion for other baselines
_RADIUS_DEPTH = 0.05
_MAX_MOVED_BLOCKS = 0.05  # of the baseline's
_DEPTH_ROUNDING = 1e-3
_EXTRAPOLATION_SLACK = (
    0.02  # relative distance from the data that is no extrapolation, as published FLOPs are imprecise
)


_BASELINE = RuleTarget(1.0, 1.0, curve_w=1.0)
"""What rules with a predictor ask for at the baseline's own cost: nothing is to be scaled, so nothing is predicted."""


@dataclass(frozen=True)
class Budget:
    """How to meet a target (`nearest`, or `at_most`: never above), and how far the network may move.

    Without a tolerance the rule's r and d are kept exactly, and one width is solved for all stages.
    """

    mode: Mode = "nearest"
    tolerance: float | None = 0.005
    px: int | None = None  # how far the input's px may move; None: the default radius
    depth: float | None = None  # how far d may move; None: the default radius
    stages: bool = True  # whether stages may have widths of their own

    @property
    def is_quickly_met(self) -> bool:
        """Whether the default radius applies and the tolerance is no tighter than the solver's own."""
        usual_reach = self.px is None and self.depth is None
        return usual_reach and (self.tolerance is None or self.tolerance >= BUDGET_TOLERANCE)


@dataclass(frozen=True)
class RecommendationWarning:
    code: Literal[
        "extrapolated",
        "transferred",
        "no_skill",
        "off_curve",
        "budget_missed",
        "below_budget",
        "better_observed",
        "moved_for_constraint",
        "search_truncated",
    ]
    detail: str


@dataclass(frozen=True)
class Recommendation:
    """A network for a budget, and how it was found.

    `accuracy` is (mean, sd). It is the prediction of the predictor's surrogate for this network or, without a
    surrogate, what the tiny formula's networks reach at that cost.
    """

    architecture: Architecture
    rule: Rule
    target: int | None
    multipliers: Multipliers
    rule_target: RuleTarget
    w_interval: tuple[float, float] | None
    displacement: Displacement | None
    config: Config
    cost: Cost
    accuracy: tuple[float, float] | None = None
    warnings: list[RecommendationWarning] = field(default_factory=list)
    is_truncated: bool = False
    unit: BudgetUnit = FLOPS

    @property
    def budget_error(self) -> float | None:
        """The signed error in the target's unit: (cost - target) / target."""
        return None if self.target is None else (self.unit.measure(self.cost) - self.target) / self.target


def recommend(
    architecture: Architecture,
    target: int,
    rule: Rule,
    *,
    unit: BudgetUnit = FLOPS,
    predictor: Predictor | None = None,
    manual: RuleTarget | None = None,
    constraints: Constraints = Constraints(),
    budget: Budget = Budget(),
    transferred_from: str | None = None,
    work: SearchWork | None = None,
) -> Recommendation:
    """Return the rule's network for the target, with its width solved.

    The target is in multiply-adds, or in another unit: the rule's r and d are then those for the multiply-adds at which
    its network meets the target (`equivalent_flops`).
    The rules `tiny_formula` and `surrogate` use the predictor. Its surrogate predicts the accuracy for all rules. At
    the baseline's own cost every rule returns the baseline.
    `work` bounds the search (`search_work`).

    Raises: TargetOutOfRange; NotEnoughObservations for the rule `surrogate` if the predictor has no surrogate.
    """
    work = work or SearchWork()
    asked = _ask_rule(architecture, target, unit, rule, predictor, manual, constraints, work)
    rule_target = asked.rule_target
    c = asked.flops / flops_of(architecture)
    is_predicted = rule in PREDICTOR_RULES and rule_target is not _BASELINE
    radius = _search_radius(architecture, rule_target, rule, budget)
    solution = solve(
        architecture,
        rule_target.r,
        rule_target.d,
        asked.spent,
        unit=unit,
        width=rule_target.w,
        curve_width=asked.curve_w,
        radius=radius,
        constraints=constraints,
        mode=budget.mode,
        tolerance=_search_tolerance(unit, budget),
        work=work,
    )
    warnings = []
    accuracy = None
    if predictor is not None and is_predicted:
        warnings = _predictor_warnings(predictor, rule, c, transferred_from)
    if predictor is not None and transferred_from is None:
        accuracy = _surrogate_accuracy(architecture, predictor, solution.config, solution.cost)
        if accuracy is None and rule == "tiny_formula" and is_predicted and predictor.accuracy is not None:
            accuracy = predictor.accuracy.predict_one(log(c))
    recommendation = Recommendation(
        architecture, rule, target, solution.multipliers, rule_target, solution.w_interval, solution.displacement,
        solution.config, solution.cost, accuracy, warnings, solution.is_truncated, unit,
    )  # fmt: skip
    warnings += _movement_warnings(solution, unit, radius, constraints)
    cost = unit.measure(solution.cost)
    if rule_target.flops is not None and cost < target:
        detail = f"More accuracy is expected of {cost:,} {unit.label} than of {target:,}, beyond the noise."
        warnings.append(RecommendationWarning("below_budget", detail))
    if predictor is not None and accuracy is not None and constraints == Constraints():
        warnings.extend(_better_observed(architecture, predictor, recommendation.cost, accuracy))
    error = abs(cost - asked.spent) / asked.spent
    if budget.tolerance is not None and error > budget.tolerance:
        detail = f"The nearest network within reach misses the target by {error:.2%}."
        warnings.append(RecommendationWarning("budget_missed", detail))
    return recommendation


@dataclass(frozen=True)
class _Asked:
    """What a rule asks for: at which multiply-adds, what is to be spent in the target's unit, and the curve's width."""

    rule_target: RuleTarget
    flops: int
    spent: int
    curve_w: float | None


def _ask_rule(
    architecture: Architecture,
    target: int,
    unit: BudgetUnit,
    rule: Rule,
    predictor: Predictor | None,
    manual: RuleTarget | None,
    constraints: Constraints,
    work: SearchWork,
) -> _Asked:
    if unit == FLOPS:
        asked = _rule_target(architecture, target, rule, predictor, manual, constraints)
        return _Asked(asked, target, target if asked.flops is None else asked.flops, asked.curve_w)
    if manual is not None:
        return _Asked(manual, flops_of(architecture), target, None)

    def rule_at(flops: int) -> RuleTarget:
        if rule == "surrogate" and predictor is not None and predictor.surrogate is not None:
            work.count_maximization(len(predictor.surrogate.points))
        return _rule_target(architecture, flops, rule, predictor, manual, constraints)

    found = solve_unit(architecture, target, unit, rule_at, work)
    asked = found.rule_target
    spent = target if asked.flops is None else min(target, found.cost)
    # Memory hardly depends on the width, which is therefore kept near that of the rule's network.
    keeps_width = unit.name == "activation_bytes" and asked.w is None
    return _Asked(asked, found.flops, spent, found.width if keeps_width else asked.curve_w)


def evaluate_multipliers(
    architecture: Architecture,
    multipliers: Multipliers,
    target: int | None = None,
    *,
    unit: BudgetUnit = FLOPS,
    predictor: Predictor | None = None,
    transferred_from: str | None = None,
) -> Recommendation:
    """Return the network at given (r, d, w) without solving; a surrogate, if any, predicts its accuracy."""
    config = architecture.scale(multipliers)
    rule_target = RuleTarget(multipliers.r, multipliers.d)
    cost = network_cost(config)
    accuracy = None
    if predictor is not None and transferred_from is None:
        accuracy = _surrogate_accuracy(architecture, predictor, config, cost)
    return Recommendation(
        architecture, "manual", target, multipliers, rule_target, None, None, config, cost, accuracy, unit=unit
    )


def _rule_target(
    architecture: Architecture,
    target: int,
    rule: Rule,
    predictor: Predictor | None,
    manual: RuleTarget | None,
    constraints: Constraints,
) -> RuleTarget:
    if rule in CURVES:
        return solve_curve(architecture, target, rule)
    if rule == "manual" and manual is not None:
        return manual
    if rule == "surrogate":
        if predictor is None or predictor.surrogate is None:
            raise NotEnoughObservations(
                "The predictor has no surrogate of accuracy: it takes a study, or imported results, of "
                f"{MIN_NETWORKS} different networks or more, and a refit."
            )
        if _is_baseline(architecture, target, constraints):
            return _BASELINE
        return maximize_expected_accuracy(
            architecture, predictor.surrogate, target, flops_of(architecture), constraints
        )
    if rule == "tiny_formula" and predictor is not None:
        if _is_baseline(architecture, target, constraints):
            return _BASELINE
        return tiny_formula(predictor, architecture, target)
    raise ValueError(f"{rule} needs a predictor, or the multipliers r and d")


def _is_baseline(architecture: Architecture, target: int, constraints: Constraints) -> bool:
    """Whether the target is the cost of the baseline itself, and no constraint might exclude it."""
    return target == flops_of(architecture) and not constraints.binds(architecture.baseline.resolution)


def _surrogate_accuracy(
    architecture: Architecture, predictor: Predictor, config: Config, cost: Cost
) -> tuple[float, float] | None:
    if predictor.surrogate is None:
        return None
    return predictor.surrogate.predict_one(features_of(architecture, config, cost.flops))


def _search_radius(architecture: Architecture, rule_target: RuleTarget, rule: Rule, budget: Budget) -> SearchRadius:
    """Return how far the network may move.

    The default is 8 px of 224, in proportion for other baselines, and .05 of d, or two standard deviations of the
    rule's values if these are more; but a twentieth of the baseline's blocks at the most. A rule for a single dimension
    moves only in that dimension, and `depth` therefore by more blocks.
    """
    if budget.tolerance is None:
        return SearchRadius()
    base = mean_px(architecture.baseline.resolution)
    px, depth = budget.px, budget.depth
    blocks = None
    if px is None:
        px = max(1, ceil(_RADIUS_PX * base / _RADIUS_BASE_PX), int(2 * (rule_target.r_sd or 0.0) * base))
    if depth is None:
        blocks = int(_MAX_MOVED_BLOCKS * sum(stage.repeats for stage in architecture.baseline.stages))
        depth = max(_RADIUS_DEPTH, 2 * (rule_target.d_sd or 0.0))
    if rule in ("resolution", "depth", "width"):
        stages = budget.stages and rule == "width"
        return SearchRadius(px * (rule == "resolution"), depth * (rule == "depth"), stages)
    extends = budget.px is None and budget.depth is None
    return SearchRadius(px, depth, budget.stages, extends, blocks)


def _search_tolerance(unit: BudgetUnit, budget: Budget) -> float:
    """Return how near to the target the least moved network is taken; peak memory has no finer steps than a percent."""
    if budget.tolerance is None:
        return 0.0
    return budget.tolerance if unit.name == "activation_bytes" else min(BUDGET_TOLERANCE, budget.tolerance)


def _movement_warnings(
    solution: Solution, unit: BudgetUnit, radius: SearchRadius, constraints: Constraints
) -> list[RecommendationWarning]:
    warnings = []
    moved, d = solution.displacement, solution.multipliers.d
    if solution.is_off_curve and moved.w is not None:
        w = solution.multipliers.w
        detail = (
            f"Some channels are more than one step from those of the rule's w, {w - moved.w:.3f}, on average with w "
            f"{w:.3f}: no network nearer to the rule's curve meets the budget."
        )
        warnings.append(RecommendationWarning("off_curve", detail))
    is_beyond = abs(moved.px) > radius.px or abs(moved.depth) > radius.depth + _DEPTH_ROUNDING
    if is_beyond and constraints.binds(moved.origin):
        names = ", ".join(constraints.names_of_binding(moved.origin))
        origin, resolution = map(describe_resolution, (moved.origin, solution.config.resolution))
        moves = [f"{origin} px to {resolution} px"] if moved.px else []
        moves += [f"d {d - moved.depth:.3f} to d {d:.3f}"] if abs(moved.depth) > _DEPTH_ROUNDING else []
        cause = "steps of memory and the " if unit.name == "activation_bytes" else ""
        detail = f"The {cause}constraints ({names}) moved the network from the rule's {' and from '.join(moves)}."
        warnings.append(RecommendationWarning("moved_for_constraint", detail))
    if solution.is_truncated:
        detail = "The search was cut at its limit of work: this is the nearest network so far."
        warnings.append(RecommendationWarning("search_truncated", detail))
    return warnings


def _better_observed(
    architecture: Architecture, predictor: Predictor, cost: Cost, accuracy: tuple[float, float]
) -> list[RecommendationWarning]:
    """Warn if the predictor's data have a network that costs no more and was better than expected of this one."""
    base, (mean, sd) = flops_of(architecture), accuracy
    best: Point | None = None
    best_accuracy = mean + sd
    for point in predictor.points:
        if point.accuracy is not None and point.accuracy > best_accuracy and round(point.c * base) <= cost.flops:
            best, best_accuracy = point, point.accuracy
    if best is None:
        return []
    detail = (
        f"A network with {round(best.c * base):,} multiply-adds (r {best.r:.3g}, d {best.d:.3g}, w {best.w:.3g}) "
        f"reached {best_accuracy:.1%} when it was trained; {mean:.1%} is expected of this one."
    )
    return [RecommendationWarning("better_observed", detail)]


def _predictor_warnings(
    predictor: Predictor, rule: Rule, c: float, transferred_from: str | None
) -> list[RecommendationWarning]:
    warnings = []
    fitted = predictor.surrogate if rule == "surrogate" and predictor.surrogate is not None else predictor
    min_c, max_c = fitted.range
    if not min_c * (1 - _EXTRAPOLATION_SLACK) <= c <= max_c * (1 + _EXTRAPOLATION_SLACK):
        detail = f"c = {c:.3g} lies outside of the predictor's data, {min_c:.3g} to {max_c:.3g}: it is a guess there."
        warnings.append(RecommendationWarning("extrapolated", detail))
    unproven = [name for name in ("r", "d") if not predictor.has_skill(name)]
    if unproven and rule == "tiny_formula":
        names = " and ".join(unproven)
        detail = f"{names}: left-out networks are predicted no better than by a constant, so {names} is that of dwr."
        warnings.append(RecommendationWarning("no_skill", detail))
    if transferred_from is not None:
        detail = (
            f"The predictor was fitted on {transferred_from}; whether its r and d suit another network is not known."
        )
        warnings.append(RecommendationWarning("transferred", detail))
    return warnings
