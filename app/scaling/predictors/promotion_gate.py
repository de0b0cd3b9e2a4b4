"""The promotion gate decides whether a newly fitted predictor may replace the active one.

It makes four checks. Each uses predictions for networks that were left out of the fit, never the fit to its own
points:

- `points`: the predictor is based on enough networks of different costs;
- `coverage`: for r and d, the share of networks within the 90 % bands is as expected, allowing for chance;
- `skill`: r(c), d(c) or the surrogate predicts left-out networks better than a constant (the surrogate: than a line) by
  more than chance, and so does accuracy over cost. On pure noise the check passes in about 2 of 100 cases;
- `error`: for the networks that the active predictor was not fitted on, the new predictor without them predicts r and d
  about as well as the active one, or better. If there are no such networks, nothing is new. A curve without skill
  counts as that of `dwr`, which replaces it.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from app.scaling.predictors.point import Point

if TYPE_CHECKING:  # importing it takes long, as it needs SciPy
    from app.scaling.predictors.predictor import Predictor
    from app.scaling.predictors.regression import Regression


@dataclass(frozen=True)
class Gate:
    """The requirements on a new predictor before it becomes active; the defaults are the loosest that count."""

    min_points: int = 6
    min_coverage: float = 0.7
    max_error: float = 1.1  # relative to the active predictor's

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Gate:
        """Read the requirements; those that are looser than the defaults become the defaults."""
        stored = cls(**plain)
        return cls(
            max(stored.min_points, cls.min_points),
            max(stored.min_coverage, cls.min_coverage),
            min(stored.max_error, cls.max_error),
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Check:
    """The outcome of one check; `detail` says what was compared."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class Decision:
    """The result of the checks; the predictor may be promoted if all of them passed."""

    checks: tuple[Check, ...]

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Decision:
        return cls(tuple(Check(**check) for check in plain["checks"]))

    def to_json(self) -> dict[str, Any]:
        return {"promoted": self.promoted, "reason": self.reason, "checks": [asdict(check) for check in self.checks]}

    @property
    def promoted(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def reason(self) -> str:
        """One sentence for people."""
        details = [check.detail for check in self.checks if self.promoted or not check.passed]
        return f"{'Passed' if self.promoted else 'Not passed'}: {'; '.join(details)}."


def decide(new: Predictor, active: Predictor | None, gate: Gate = Gate()) -> Decision:
    """Decide whether `new` may replace `active` (None if its architecture and data set have no active predictor)."""
    checks = [_check_points(new, gate), _check_coverage(new, gate), _check_skill(new)]
    if active is not None:
        checks.append(_check_error(new, active, gate))
    return Decision(tuple(checks))


def _check_points(new: Predictor, gate: Gate) -> Check:
    costs = len({round(point.c, 9) for point in new.points})
    return Check("points", costs >= gate.min_points, f"{costs} networks of different costs, {gate.min_points} required")


def _check_coverage(new: Predictor, gate: Gate) -> Check:
    quality = new.quality()
    r, d = quality["r"].coverage_90, quality["d"].coverage_90
    detail = (
        f"the 90 % bands contain {r:.0%} of the networks' r and {d:.0%} of their d, {gate.min_coverage:.0%} required"
    )
    return Check("coverage", min(r, d) >= gate.min_coverage, detail)


def _check_skill(new: Predictor) -> Check:
    passed = any(new.has_skill(curve) for curve in ("r", "d", "surrogate"))
    if "accuracy" in new.skill:
        passed &= new.has_skill("accuracy")
    shares = ", ".join(
        f"{name} {skill.explained:.0%} ({skill.required:.0%} required{'' if skill.proven else ': no skill'})"
        for name, skill in new.skill.items()
    )
    return Check("skill", passed, f"of the squared error, left-out networks are spared by {shares or 'no test'}")


def _check_error(new: Predictor, active: Predictor, gate: Gate) -> Check:
    active_keys = {_point_key(point) for point in active.points}
    new_indices = [i for i, point in enumerate(new.points) if _point_key(point) not in active_keys]
    if not new_indices:
        return Check("error", False, "nothing new: the active predictor was fitted on all of its networks")
    new_error, active_error = _error(new, new, new_indices), _error(new, active, new_indices)
    detail = (
        f"on the {len(new_indices)} networks that the active predictor was not fitted on, the error is "
        f"{new_error:.2f} of their spread; it may be at most {gate.max_error:g} times the active predictor's "
        f"{active_error:.2f}"
    )
    return Check("error", new_error <= gate.max_error * active_error, detail)


def _point_key(point: Point) -> tuple[float, float, float, float]:
    return point.c, point.r, point.d, point.w


def _error(new: Predictor, by: Predictor, indices: list[int]) -> float:
    """Return the root mean square error of a predictor for these of the new one's networks.

    It is over r and d, each relative to its spread and without outliers. The new predictor's predictions are those of
    the fit without the network.
    """
    squares: list[float] = []
    curves: tuple[tuple[Literal["r", "d"], Regression], ...] = (("r", new.r), ("d", new.d))
    for name, regression in curves:
        left_out = dict(zip(regression.inliers, regression.leave_one_out()[0].tolist(), strict=True))
        spread = max(float(np.std(regression.y)), 1e-6)
        for i in indices:
            if i in left_out:
                is_own = by is new and new.has_skill(name)
                predicted = left_out[i] if is_own else by.multiplier(name, regression.x[i])[0]
                squares.append(((regression.y[i] - predicted) / spread) ** 2)
    return math.sqrt(sum(squares) / len(squares)) if squares else 0.0
