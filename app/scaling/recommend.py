"""The question that rdw answers: which r, d and w make this network fit that budget, and how sure are we?"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from math import ceil, log
from typing import Literal, get_args

from app.scaling import families
from app.scaling.architecture import Architecture, Config, Multipliers
from app.scaling.constraints import Constraints
from app.scaling.cost import Cost
from app.scaling.errors import NotEnoughObservations
from app.scaling.predictor import Predictor
from app.scaling.rules import CURVES, Wanted, on_curve, tiny_formula
from app.scaling.surrogate import LEAST_NETWORKS
from app.scaling.surrogate_rule import best_expected
from app.scaling.width_solver import CLOSE, Latitude, Mode, Moved, solve

SolvedRule = Literal["tiny_formula", "surrogate", "compound", "dwr", "fast", "resolution", "depth", "width"]
Rule = SolvedRule | Literal["manual"]
RULES: tuple[SolvedRule, ...] = get_args(SolvedRule)

_LATITUDE_PX, _LATITUDE_OF_PX = 8, 224  # 8 px of 224, in proportion for other baselines
_LATITUDE_DEPTH = 0.05
_BESIDE_DATA = 0.02  # c this little (relative) beyond the data is no guess: published FLOPs are off by as much


@dataclass(frozen=True)
class Budget:
    """`nearest`, or `at_most`: never above; and how far the network may be from what the rule says.

    Without a tolerance the rule's r and d are kept exactly, and one width is solved for all stages.
    """

    mode: Mode = "nearest"
    tolerance: float | None = 0.005
    px: int | None = None  # how far the input's side may move; None: 8 px of 224, or two standard deviations
    depth: float | None = None  # how far d may; None: .05, or two standard deviations
    stages: bool = True  # whether stages may step a few channels apart


@dataclass(frozen=True)
class Warning:
    code: Literal["extrapolated", "transferred", "budget_missed", "below_budget"]
    detail: str


@dataclass(frozen=True)
class Recommendation:
    """A network for a budget, and how it came about.

    `accuracy` is (mean, sd): of the predictor's surrogate for the very network, where it has one; else what the tiny
    formula's networks reach at that cost.
    """

    architecture: Architecture
    rule: Rule
    target: int | None
    multipliers: Multipliers
    wanted: Wanted
    w_interval: tuple[float, float] | None
    moved: Moved | None
    config: Config
    cost: Cost
    accuracy: tuple[float, float] | None = None
    warnings: list[Warning] = field(default_factory=list)

    @property
    def budget_error(self) -> float | None:
        """Signed: (flops - target) / target."""
        return None if self.target is None else (self.cost.flops - self.target) / self.target


@lru_cache(maxsize=256)
def flops_of(architecture: Architecture) -> int:
    """The unscaled baseline's multiply-adds: what c is relative to."""
    return families.network_cost(architecture.baseline).flops


def recommend(
    architecture: Architecture,
    target: int,
    rule: Rule,
    *,
    predictor: Predictor | None = None,
    manual: Wanted | None = None,
    constraints: Constraints = Constraints(),
    budget: Budget = Budget(),
    transferred_from: str | None = None,
) -> Recommendation:
    """The network that the rule, with its width solved, gives for `target` multiply-adds.

    A predictor is what `tiny_formula` and `surrogate` go by; to all rules' networks its surrogate gives an accuracy.

    Raises: TargetOutOfRange; NotEnoughObservations for the rule `surrogate` where the predictor has none.
    """
    c = target / flops_of(architecture)
    wanted = _wanted(architecture, target, rule, predictor, manual, constraints)
    aim = target if wanted.flops is None else wanted.flops
    solution = solve(
        architecture,
        wanted.r,
        wanted.d,
        aim,
        width=wanted.w,
        latitude=_latitude(architecture, wanted, rule, budget),
        constraints=constraints,
        mode=budget.mode,
        close=0.0 if budget.tolerance is None else min(CLOSE, budget.tolerance),
    )
    warnings = []
    accuracy = None
    if predictor is not None and rule in ("tiny_formula", "surrogate"):
        warnings = _predictor_warnings(predictor, rule, c, transferred_from)
    if predictor is not None and transferred_from is None:
        accuracy = _surrogate_accuracy(architecture, predictor, solution.multipliers, solution.cost)
        if accuracy is None and rule == "tiny_formula" and predictor.accuracy is not None:
            accuracy = predictor.accuracy.at(log(c))
    found = Recommendation(
        architecture, rule, target, solution.multipliers, wanted, solution.w_interval, solution.moved, solution.config,
        solution.cost, accuracy, warnings,
    )  # fmt: skip
    if wanted.flops is not None:
        detail = (
            f"More accuracy is expected of {found.cost.flops:,} multiply-adds than of {target:,}, beyond the noise."
        )
        warnings.append(Warning("below_budget", detail))
    error = abs(found.cost.flops - aim) / aim
    if budget.tolerance is not None and error > budget.tolerance:
        detail = f"The nearest network within reach misses the target by {error:.2%}."
        warnings.append(Warning("budget_missed", detail))
    return found


def at_multipliers(
    architecture: Architecture,
    multipliers: Multipliers,
    target: int | None = None,
    *,
    predictor: Predictor | None = None,
    transferred_from: str | None = None,
) -> Recommendation:
    """The network at given (r, d, w), nothing solved; its accuracy by the predictor's surrogate, where it has one."""
    config = architecture.scaled(multipliers)
    wanted = Wanted(multipliers.r, multipliers.d)
    cost = families.network_cost(config)
    accuracy = None
    if predictor is not None and transferred_from is None:
        accuracy = _surrogate_accuracy(architecture, predictor, multipliers, cost)
    return Recommendation(architecture, "manual", target, multipliers, wanted, None, None, config, cost, accuracy)


def _wanted(
    architecture: Architecture,
    target: int,
    rule: Rule,
    predictor: Predictor | None,
    manual: Wanted | None,
    constraints: Constraints,
) -> Wanted:
    if rule in CURVES:
        return on_curve(architecture, target, rule)
    if rule == "manual" and manual is not None:
        return manual
    if rule == "surrogate":
        if predictor is None or predictor.surrogate is None:
            raise NotEnoughObservations(
                "The predictor has no surrogate of accuracy: it takes a study, or imported results, of "
                f"{LEAST_NETWORKS} different networks or more, and a refit."
            )
        return best_expected(architecture, predictor.surrogate, target, flops_of(architecture), constraints)
    if rule == "tiny_formula" and predictor is not None:
        return tiny_formula(predictor, target / flops_of(architecture))
    raise ValueError(f"{rule} needs a predictor, or the multipliers r and d")


def _surrogate_accuracy(
    architecture: Architecture, predictor: Predictor, found: Multipliers, cost: Cost
) -> tuple[float, float] | None:
    if predictor.surrogate is None:
        return None
    return predictor.surrogate.at(cost.flops / flops_of(architecture), found.r, found.d)


def _latitude(architecture: Architecture, wanted: Wanted, rule: Rule, budget: Budget) -> Latitude:
    """8 px of 224, in proportion for other baselines, and .05 of d; two standard deviations of the rule's where more.

    A rule that scales one dimension alone moves in no other.
    """
    if budget.tolerance is None:
        return Latitude()
    base = architecture.baseline.resolution
    px, depth = budget.px, budget.depth
    if px is None:
        px = max(1, ceil(_LATITUDE_PX * base / _LATITUDE_OF_PX), int(2 * (wanted.r_sd or 0.0) * base))
    if depth is None:
        depth = max(_LATITUDE_DEPTH, 2 * (wanted.d_sd or 0.0))
    if rule in ("resolution", "depth", "width"):
        return Latitude(px * (rule == "resolution"), depth * (rule == "depth"), budget.stages and rule == "width")
    return Latitude(px, depth, budget.stages)


def _predictor_warnings(predictor: Predictor, rule: Rule, c: float, transferred_from: str | None) -> list[Warning]:
    warnings = []
    fitted = predictor.surrogate if rule == "surrogate" and predictor.surrogate is not None else predictor
    least, most = fitted.range
    if not least * (1 - _BESIDE_DATA) <= c <= most * (1 + _BESIDE_DATA):
        detail = f"c = {c:.3g} lies outside of the predictor's data, {least:.3g} to {most:.3g}: it is a guess there."
        warnings.append(Warning("extrapolated", detail))
    if transferred_from is not None:
        detail = (
            f"The predictor was fitted on {transferred_from}; whether its r and d suit another network is not known."
        )
        warnings.append(Warning("transferred", detail))
    return warnings
