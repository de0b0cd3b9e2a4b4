"""How a target becomes resolution and depth; the width is then solved on the exact cost (`width_solver`)."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from math import exp, log

from app.scaling.architecture import Architecture, Multipliers
from app.scaling.cost_sheet import LARGEST
from app.scaling.cost_table import WIDEST, cost_table
from app.scaling.predictor import Predictor
from app.scaling.rounding import round_resolution


@dataclass(frozen=True)
class Curve:
    """Multipliers as powers of one number: r = e^(r t), d = e^(d t), w = e^(w t)."""

    r: float
    d: float
    w: float

    def at(self, t: float) -> Multipliers:
        return Multipliers(exp(self.r * t), exp(self.d * t), exp(self.w * t))


COMPOUND = Curve(r=log(1.15), d=log(1.2), w=log(1.1))
"""EfficientNet's (Tan and Le, 2019): t is its phi, negative to shrink."""

CURVES: dict[str, Curve] = {
    "compound": COMPOUND,
    "dwr": Curve(r=1 / 6, d=1 / 3, w=1 / 6),  # t is the logarithm of the cost ratio, from here on (pycls `scaler.py`)
    "fast": Curve(r=0.05, d=0.1, w=0.4),  # Fast and Accurate Model Scaling (Dollár et al., 2021), alpha = .8
    "resolution": Curve(r=0.5, d=0, w=0),
    "depth": Curve(r=0, d=1, w=0),
    "width": Curve(r=0, d=0, w=0.5),
}

_T = (-40.0, 20.0)
_MOST = Multipliers(r=10.0, d=10.0, w=WIDEST - 1e-6)  # no multiplier is greater
_MOST_T = {
    name: min(log(most) / power for most, power in zip(astuple(_MOST)[:3], astuple(curve), strict=True) if power)
    for name, curve in CURVES.items()
}
_LEAST_R, _LEAST_D = 0.02, 0.02


@dataclass(frozen=True)
class Wanted:
    """The r and d that a rule asks for, with its uncertainty where it knows one; w where it is not to be solved.

    `flops` are what it would spend, where that is less than the target.
    """

    r: float
    d: float
    r_sd: float | None = None
    d_sd: float | None = None
    phi: float | None = None
    w: float | None = None
    flops: int | None = None


def tiny_formula(predictor: Predictor, c: float) -> Wanted:
    """r(c) and d(c) of the predictor's Gaussian processes (the paper's tiny formula)."""
    (r, r_sd), (d, d_sd) = predictor.r.at(log(c)), predictor.d.at(log(c))
    return Wanted(max(r, _LEAST_R), max(d, _LEAST_D), r_sd, d_sd)


def on_curve(architecture: Architecture, target: int, name: str) -> Wanted:
    """r and d where the curve of that name comes nearest to the target; w too, where the curve leaves it at 1."""
    curve, table = CURVES[name], cost_table(architecture)
    low, high = _T

    def flops(t: float) -> int:
        m = curve.at(min(t, _MOST_T[name]))
        px = min(max(round_resolution(architecture.baseline.resolution, m.r), table.least_resolution), LARGEST)
        return int(table.sheet.flops(table.repeats(m.d), px)[table.segment(m.w)])

    for _ in range(40):  # the cost is a monotone step function of t
        middle = (low + high) / 2
        low, high = (middle, high) if flops(middle) < target else (low, middle)
    t = min((low, high), key=lambda t: abs(flops(t) - target))
    found = curve.at(min(t, _MOST_T[name]))
    return Wanted(found.r, found.d, w=1.0 if curve.w == 0 else None, phi=t if curve is COMPOUND else None)
