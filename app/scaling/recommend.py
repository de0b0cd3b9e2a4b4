"""The question that rdw answers: which r, d and w make this network fit that budget, and how sure are we?"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from math import ceil, log
from typing import Literal, get_args

from app.scaling import families
from app.scaling.architecture import Architecture, Config, Multipliers
from app.scaling.cost import Cost
from app.scaling.errors import TargetOutOfRange
from app.scaling.predictor import Predictor
from app.scaling.rules import CURVES, Wanted, on_curve, tiny_formula
from app.scaling.width_solver import Constraints, Latitude, Mode, Solution, solve

SolvedRule = Literal["tiny_formula", "compound", "dwr", "fast", "resolution", "depth", "width"]
Rule = SolvedRule | Literal["manual"]
RULES: tuple[SolvedRule, ...] = get_args(SolvedRule)

_LATITUDE_PX, _LATITUDE_OF_PX = 8, 224  # 8 px of 224, in proportion for other baselines
_LATITUDE_DEPTH = 0.05
_BESIDE_DATA = 0.02  # c this little (relative) beyond the data is no guess: published FLOPs are off by as much


@dataclass(frozen=True)
class Budget:
    """`nearest`, or `at_most`: never above. Without a tolerance the rule's r and d are kept exactly."""

    mode: Mode = "nearest"
    tolerance: float | None = 0.005


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
    solution = _solved(architecture, wanted, target, constraints, budget, _latitudes(architecture, wanted, rule))
    warnings = []
    accuracy = None
    if rule == "tiny_formula" and predictor is not None:
        warnings = _predictor_warnings(predictor, c, transferred_from)
        accuracy = predictor.accuracy.at(log(c)) if predictor.accuracy and transferred_from is None else None
    found = Recommendation(
        architecture, rule, target, solution.multipliers, wanted, solution.w_interval, solution.config, solution.cost,
        accuracy, warnings,
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
    return Recommendation(architecture, "manual", target, multipliers, wanted, None, config, cost)


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


def _solved(
    architecture: Architecture,
    wanted: Wanted,
    target: int,
    constraints: Constraints,
    budget: Budget,
    latitudes: tuple[Latitude, Latitude],
) -> Solution:
    """The solution that meets the budget, moving ever further from the wanted r and d; else the nearest of all."""

    def within(latitude: Latitude) -> Solution:
        return solve(
            architecture,
            wanted.r,
            wanted.d,
            target,
            width=wanted.w,
            latitude=latitude,
            constraints=constraints,
            mode=budget.mode,
            tolerance=budget.tolerance or 0.0,
        )

    if budget.tolerance is None:
        return within(Latitude())
    usual, unsure = latitudes
    try:
        found = within(usual)
    except TargetOutOfRange:
        return within(unsure)
    met = abs(found.cost.flops - target) <= budget.tolerance * target
    return found if met or unsure == usual else within(unsure)


def _latitudes(architecture: Architecture, wanted: Wanted, rule: Rule) -> tuple[Latitude, Latitude]:
    """8 px of 224 and .05 of d; and, where the rule is less sure than that, its two standard deviations.

    A rule that scales one dimension alone moves in no other.
    """
    px = architecture.baseline.resolution
    if rule in ("resolution", "depth", "width"):
        alone = Latitude(px=_px_latitude(px) * (rule == "resolution"), depth=_LATITUDE_DEPTH * (rule == "depth"))
        return alone, alone
    usual = Latitude(px=_px_latitude(px), depth=_LATITUDE_DEPTH)
    px_2sd, depth_2sd = int(2 * (wanted.r_sd or 0.0) * px), 2 * (wanted.d_sd or 0.0)
    return usual, Latitude(px=max(usual.px, px_2sd), depth=max(usual.depth, depth_2sd))


def _px_latitude(resolution: int) -> int:
    return max(1, ceil(_LATITUDE_PX * resolution / _LATITUDE_OF_PX))


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
