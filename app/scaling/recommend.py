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
from app.scaling.predictor import Predictor
from app.scaling.rules import CURVES, Wanted, on_curve, tiny_formula
from app.scaling.width_solver import CLOSE, Latitude, Mode, Moved, solve

SolvedRule = Literal["tiny_formula", "compound", "dwr", "fast", "resolution", "depth", "width"]
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
    code: Literal["extrapolated", "transferred", "budget_missed"]
    detail: str


@dataclass(frozen=True)
class Recommendation:
    """A network for a budget, and how it came about. `accuracy` is (mean, sd), where the predictor knows one."""

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

    Raises: TargetOutOfRange.
    """
    c = target / flops_of(architecture)
    wanted = _wanted(architecture, target, c, rule, predictor, manual)
    solution = solve(
        architecture,
        wanted.r,
        wanted.d,
        target,
        width=wanted.w,
        latitude=_latitude(architecture, wanted, rule, budget),
        constraints=constraints,
        mode=budget.mode,
        close=0.0 if budget.tolerance is None else min(CLOSE, budget.tolerance),
    )
    warnings = []
    accuracy = None
    if rule == "tiny_formula" and predictor is not None:
        warnings = _predictor_warnings(predictor, c, transferred_from)
        accuracy = predictor.accuracy.at(log(c)) if predictor.accuracy and transferred_from is None else None
    found = Recommendation(
        architecture, rule, target, solution.multipliers, wanted, solution.w_interval, solution.moved, solution.config,
        solution.cost, accuracy, warnings,
    )  # fmt: skip
    error = abs(found.budget_error or 0.0)
    if budget.tolerance is not None and error > budget.tolerance:
        detail = f"The nearest network within reach misses the target by {error:.2%}."
        warnings.append(Warning("budget_missed", detail))
    return found


def at_multipliers(architecture: Architecture, multipliers: Multipliers, target: int | None = None) -> Recommendation:
    """The network at given (r, d, w), nothing solved."""
    config = architecture.scaled(multipliers)
    wanted = Wanted(multipliers.r, multipliers.d)
    cost = families.network_cost(config)
    return Recommendation(architecture, "manual", target, multipliers, wanted, None, None, config, cost)


def _wanted(
    architecture: Architecture, target: int, c: float, rule: Rule, predictor: Predictor | None, manual: Wanted | None
) -> Wanted:
    if rule in CURVES:
        return on_curve(architecture, target, rule)
    if rule == "manual" and manual is not None:
        return manual
    if rule == "tiny_formula" and predictor is not None:
        return tiny_formula(predictor, c)
    raise ValueError(f"{rule} needs a predictor, or the multipliers r and d")


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


def _predictor_warnings(predictor: Predictor, c: float, transferred_from: str | None) -> list[Warning]:
    warnings = []
    least, most = predictor.range
    if not least * (1 - _BESIDE_DATA) <= c <= most * (1 + _BESIDE_DATA):
        detail = f"c = {c:.3g} lies outside of the predictor's data, {least:.3g} to {most:.3g}: it is a guess there."
        warnings.append(Warning("extrapolated", detail))
    if transferred_from is not None:
        detail = (
            f"The predictor was fitted on {transferred_from}; whether its r and d suit another network is not known."
        )
        warnings.append(Warning("transferred", detail))
    return warnings
