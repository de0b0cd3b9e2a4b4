"""From a budget in another unit to multiply-adds, in which the rules give r and d.

A rule maps multiply-adds to r and d, and the width is then solved. Its network thus has a cost in every unit, which
grows with the multiply-adds, but for steps: the rule's network for a budget in parameters or bytes is the one at the
multiply-adds where that cost meets the budget. They are searched from the baseline outwards, so that of several such
places the one nearest to the baseline is taken, and then by bisection.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, log

import numpy as np

from app.scaling.cost.budget_unit import BudgetUnit
from app.scaling.families import flops_of, network_cost
from app.scaling.network import Architecture
from app.scaling.rounding import Floats
from app.scaling.rules.scaling_curves import RuleTarget
from app.scaling.solver.cost_batch import Repeats
from app.scaling.solver.search_work import SearchWork
from app.scaling.solver.width_grid import WidthGrid, get_width_grid

_STEP = log(1.25)
_START = -_STEP / 3  # not the baseline, at whose cost a rule need not predict anything, nor a multiple of it
_MAX_C, _MIN_C = 64.0, 1e-4
_BISECTIONS = 9  # to a two-thousandth of c: the solver meets the budget, this gives r and d

FlopsRule = Callable[[int], RuleTarget]
"""Returns the r and d of a rule for a target in multiply-adds."""


@dataclass(frozen=True)
class UnitTarget:
    """What a rule asks for where its network meets a budget in another unit.

    `flops` are the multiply-adds there, `width` is the network's width, and `cost` its cost in the unit.
    """

    flops: int
    rule_target: RuleTarget
    width: float
    cost: int


def solve_unit(
    architecture: Architecture, target: int, unit: BudgetUnit, rule: FlopsRule, work: SearchWork
) -> UnitTarget:
    """Return where the network of the rule costs `target` in the unit, or comes nearest to it."""
    base = flops_of(architecture)
    grid = get_width_grid(architecture)
    if target == unit.measure(network_cost(architecture.baseline)):
        return _evaluate(grid, base, unit, rule)

    def at(log_c: float) -> UnitTarget:
        work.count_point(grid.batch)
        return _evaluate(grid, max(1, round(base * exp(log_c))), unit, rule)

    def gap(one: UnitTarget) -> int:
        return abs(one.cost - target)

    log_c = _START
    nearest = near = at(log_c)
    step = _STEP if near.cost <= target else -_STEP
    while True:
        if not log(_MIN_C) < log_c + step < log(_MAX_C) or work.is_exhausted:
            return nearest
        far = at(log_c + step)
        nearest = min(nearest, far, key=gap)
        if (far.cost <= target) != (near.cost <= target):
            break
        log_c, near = log_c + step, far
    for _ in range(_BISECTIONS):
        if work.is_exhausted:
            break
        step /= 2
        middle = at(log_c + step)
        if (middle.cost <= target) == (near.cost <= target):
            log_c, near = log_c + step, middle
        else:
            far = middle
    return min(near, far, key=gap)


def _evaluate(grid: WidthGrid, flops: int, unit: BudgetUnit, rule: FlopsRule) -> UnitTarget:
    """Return what the rule asks for at these multiply-adds, and the cost of its network, with one width."""
    rule_target = rule(flops)
    size = min(max(grid.sizes.size_at(rule_target.r), grid.min_resolution), grid.sizes.last)
    repeats = grid.repeats(rule_target.d)
    if rule_target.w is not None:
        segment = grid.segment(rule_target.w)
        cost = _costs(grid, unit, repeats, size, [segment])[0]
        return UnitTarget(flops, rule_target, rule_target.w, round(cost))
    spent = flops if rule_target.flops is None else rule_target.flops
    by_width = grid.batch.flops(repeats, size)
    above = min(max(int(by_width.searchsorted(spent)), 1), len(by_width) - 1)
    segment = above if abs(by_width[above] - spent) < abs(by_width[above - 1] - spent) else above - 1
    if unit.name == "activation_bytes":
        cost = _costs(grid, unit, repeats, size, [segment])[0]
    else:  # between two widths, as the solver meets the target with widths per stage
        cost = np.interp(spent, by_width[[above - 1, above]], _costs(grid, unit, repeats, size, [above - 1, above]))
    return UnitTarget(flops, rule_target, grid.short_width(segment), round(cost))


def _costs(grid: WidthGrid, unit: BudgetUnit, repeats: Repeats, size: int, segments: list[int]) -> Floats:
    networks = np.array(segments)
    return grid.batch.costs_at(unit, networks, repeats, np.full(len(networks), size))
