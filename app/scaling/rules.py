"""How a target becomes resolution and depth; the width is then solved on the exact cost (`width_solver`)."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

from app.scaling import families
from app.scaling.architecture import Architecture, Multipliers
from app.scaling.predictor import Predictor

# EfficientNet's compound coefficients: depth, width and resolution grow as these to the power phi (Tan and Le, 2019).
ALPHA, BETA, GAMMA = 1.2, 1.1, 1.15

_PHI = (-40.0, 20.0)
_LEAST_R, _LEAST_D = 0.02, 0.02


@dataclass(frozen=True)
class Wanted:
    """The r and d that a rule asks for, with its uncertainty where it knows one."""

    r: float
    d: float
    r_sd: float | None = None
    d_sd: float | None = None
    phi: float | None = None


def tiny_formula(predictor: Predictor, c: float) -> Wanted:
    """r(c) and d(c) of the predictor's Gaussian processes (paper, section 4)."""
    (r, r_sd), (d, d_sd) = predictor.r.at(log(c)), predictor.d.at(log(c))
    return Wanted(max(r, _LEAST_R), max(d, _LEAST_D), r_sd, d_sd)


def compound(architecture: Architecture, target: int) -> Wanted:
    """d = 1.2^phi and r = 1.15^phi at the phi, negative too, where compound scaling comes nearest to the target."""
    low, high = _PHI

    def flops(phi: float) -> int:
        return families.network_cost(architecture.scaled(compound_multipliers(phi))).flops

    for _ in range(48):  # the cost is a monotone step function of phi
        middle = (low + high) / 2
        low, high = (middle, high) if flops(middle) < target else (low, middle)
    phi = min((low, high), key=lambda phi: abs(flops(phi) - target))
    grown = compound_multipliers(phi)
    return Wanted(grown.r, grown.d, phi=phi)


def compound_multipliers(phi: float) -> Multipliers:
    """EfficientNet's compound scaling at phi."""
    return Multipliers(r=GAMMA**phi, d=ALPHA**phi, w=BETA**phi)
