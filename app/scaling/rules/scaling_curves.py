"""How a target becomes resolution and depth; the width is then solved on the exact cost (`width_solver`)."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from functools import lru_cache
from math import exp, log

import numpy as np

from app.scaling.families import flops_of
from app.scaling.network import Architecture, Multipliers
from app.scaling.predictors.predictor import Predictor
from app.scaling.rounding import Floats
from app.scaling.solver.width_grid import MAX_WIDTH, get_width_grid


@dataclass(frozen=True)
class Curve:
    """Multipliers as powers of one number: r = e^(r t), d = e^(d t), w = e^(w t)."""

    r: float
    d: float
    w: float

    def at(self, t: float) -> Multipliers:
        return Multipliers(exp(self.r * t), exp(self.d * t), exp(self.w * t))


COMPOUND = Curve(r=log(1.15), d=log(1.2), w=log(1.1))
"""EfficientNet's curve (Tan and Le, 2019), where t is its phi and negative to shrink."""

CURVES: dict[str, Curve] = {
    "compound": COMPOUND,
    "dwr": Curve(r=1 / 6, d=1 / 3, w=1 / 6),  # from here on t is the logarithm of the cost ratio (pycls `scaler.py`)
    "fast": Curve(r=0.05, d=0.1, w=0.4),  # Fast and Accurate Model Scaling (Dollár et al., 2021), alpha = .8
    "resolution": Curve(r=0.5, d=0, w=0),
    "depth": Curve(r=0, d=1, w=0),
    "width": Curve(r=0, d=0, w=0.5),
}

_T_RANGE = (-40.0, 20.0)
_MAX_MULTIPLIERS = Multipliers(r=10.0, d=10.0, w=MAX_WIDTH - 1e-6)  # upper bounds
_MAX_T = {
    name: min(
        log(limit) / power for limit, power in zip(astuple(_MAX_MULTIPLIERS)[:3], astuple(curve), strict=True) if power
    )
    for name, curve in CURVES.items()
}
_MIN_R, _MIN_D = 0.02, 0.02
_STEP_END = 0.01  # of a step's length, so that float noise does not decide on which step a network is


@dataclass(frozen=True)
class RuleTarget:
    """The r and d that a rule asks for, with their uncertainty if known; w only if it is not to be solved.

    `curve_w` is the width that belongs to r and d, from which the solved one should not be far. `flops` is the cost
    that the rule would spend, if that is less than the target.
    """

    r: float
    d: float
    r_sd: float | None = None
    d_sd: float | None = None
    phi: float | None = None
    w: float | None = None
    curve_w: float | None = None
    flops: int | None = None


def tiny_formula(predictor: Predictor, architecture: Architecture, target: int) -> RuleTarget:
    """Return r(c) and d(c) of the predictor (the paper's tiny formula); a curve without skill is that of `dwr`."""
    log_c = log(target / flops_of(architecture))
    (r, r_sd), (d, d_sd) = predictor.multiplier("r", log_c), predictor.multiplier("d", log_c)
    if r_sd is None or d_sd is None:
        dwr = solve_curve(architecture, target, "dwr")
        r, d = (dwr.r if r_sd is None else r), (dwr.d if d_sd is None else d)
    return RuleTarget(max(r, _MIN_R), max(d, _MIN_D), r_sd, d_sd)


def solve_curve(architecture: Architecture, target: int, name: str) -> RuleTarget:
    """Return r, d and w where the curve of that name is nearest to the target; at the baseline's cost, the baseline.

    With `width`, w is left to be solved.
    """
    curve, (edges, flops) = CURVES[name], _curve_steps(architecture, name)
    above = int(flops.searchsorted(target))
    nearest = min(max(above - 1, 0), min(above, len(flops) - 1), key=lambda i: abs(flops[i] - target))
    first, last = (int(flops.searchsorted(flops[nearest], side)) for side in ("left", "right"))
    low, high = float(edges[first]), float(edges[last])
    t = 0.0
    if not low <= 0.0 <= high:  # the end of the step that is nearer to the target
        t = low + (_STEP_END if flops[nearest] > target else 1 - _STEP_END) * (high - low)
    m = curve.at(t)
    is_fixed = curve.w == 0
    return RuleTarget(
        m.r,
        m.d,
        w=1.0 if is_fixed else None,
        curve_w=None if is_fixed or name == "width" else m.w,
        phi=t if curve is COMPOUND else None,
    )


@lru_cache(maxsize=128)
def _curve_steps(architecture: Architecture, name: str) -> tuple[Floats, Floats]:
    """Return the values of t between which the network on a curve is the same [step + 1], and its FLOPs [step]."""
    curve, grid = CURVES[name], get_width_grid(architecture)
    sizes, smallest = grid.sizes, grid.min_resolution
    low, high = _T_RANGE[0], min(_T_RANGE[1], _MAX_T[name])
    edges = [np.array([low, high])]
    if curve.r:
        edges.append(np.log(sizes.starts[smallest + 1 :]) / curve.r)
    if curve.d:
        edges.append(np.log([edge for edge in grid.depth_edges if edge > 0]) / curve.d)
    if curve.w:
        edges.append(np.log(grid.edges[1:-1]) / curve.w)
    steps = np.unique(np.concatenate(edges))
    steps = steps[(steps >= low) & (steps <= high)]
    t = (steps[:-1] + steps[1:]) / 2
    r = sizes.middles[np.clip(sizes.sizes_at(np.exp(curve.r * t)), smallest, sizes.last)]
    _, flops, _ = grid.costs(r, np.exp(curve.d * t), np.exp(curve.w * t))
    return steps, np.maximum.accumulate(flops)
