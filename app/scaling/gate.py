"""The promotion gate: whether a newly fitted predictor is fit to answer in the active one's place.

Three checks, each on what the fit says of networks that it has not seen (leave-one-out), never on how well it goes
through its own points:

- `points`: it stands on enough networks of different costs;
- `coverage`: of r and of d, as many networks lie within its 90 % bands as is to be expected, with room for chance;
- `error`: of the networks that the active predictor was not fitted on, the new one without them foretells r and d about
  as well as the active one does, or better. Without such networks there is nothing new.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from app.scaling.point import Point
from app.scaling.predictor import Predictor

Array = np.ndarray[tuple[int], np.dtype[np.float64]]


@dataclass(frozen=True)
class Gate:
    """What is asked of a new predictor before it answers by itself."""

    least_points: int = 6
    least_coverage: float = 0.7
    most_error: float = 1.1  # relative to the active predictor's


@dataclass(frozen=True)
class Check:
    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class Decision:
    """Promoted where every check was passed."""

    checks: tuple[Check, ...]

    @property
    def promoted(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def why(self) -> str:
        """One sentence for people."""
        told = [check.detail for check in self.checks if self.promoted or not check.passed]
        return f"{'Promoted' if self.promoted else 'Not promoted'}: {'; '.join(told)}."


def decide(new: Predictor, active: Predictor | None, gate: Gate = Gate()) -> Decision:
    """Whether `new` may take the place of `active` (None: there is none for its architecture and data set)."""
    checks = [_points(new, gate), _coverage(new, gate)]
    if active is not None:
        checks.append(_error(new, active, gate))
    return Decision(tuple(checks))


def _points(new: Predictor, gate: Gate) -> Check:
    costs = len({round(point.c, 9) for point in new.points})
    return Check(
        "points", costs >= gate.least_points, f"{costs} networks of different costs, {gate.least_points} asked"
    )


def _coverage(new: Predictor, gate: Gate) -> Check:
    quality = new.quality()
    r, d = quality["r"].coverage_90, quality["d"].coverage_90
    detail = f"the 90 % bands hold {r:.0%} of the networks' r and {d:.0%} of their d, {gate.least_coverage:.0%} asked"
    return Check("coverage", min(r, d) >= gate.least_coverage, detail)


def _error(new: Predictor, active: Predictor, gate: Gate) -> Check:
    known = {_key(point) for point in active.points}
    unseen = np.array([i for i, point in enumerate(new.points) if _key(point) not in known], int)
    if not len(unseen):
        return Check("error", False, "nothing new: the active predictor was fitted on all of its networks")
    of_new, of_active = _errors(new, unseen), _active_errors(new, active, unseen)
    detail = (
        f"at the {len(unseen)} networks that the active predictor has not seen its error is {of_new:.2f} of their "
        f"spread, the active one's {of_active:.2f}, at most {gate.most_error:g} times that asked"
    )
    return Check("error", of_new <= gate.most_error * of_active, detail)


def _key(point: Point) -> tuple[float, float, float, float]:
    return point.c, point.r, point.d, point.w


def _errors(new: Predictor, unseen: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
    """Leave-one-out, root mean square over r and d, each by its spread."""
    r, d = new.r.leave_one_out()[0][unseen], new.d.leave_one_out()[0][unseen]
    return _by_spread(new, unseen, r, d)


def _active_errors(new: Predictor, active: Predictor, unseen: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
    at = np.log([new.points[i].c for i in unseen])
    return _by_spread(new, unseen, active.r.over(at)[0], active.d.over(at)[0])


def _by_spread(new: Predictor, unseen: np.ndarray[tuple[int], np.dtype[np.int64]], r: Array, d: Array) -> float:
    squares = []
    for name, said in (("r", r), ("d", d)):
        values = np.array([getattr(point, name) for point in new.points])
        spread = max(float(values.std()), 1e-6)
        squares.append(((values[unseen] - said) / spread) ** 2)
    return float(np.sqrt(np.mean(squares)))
