"""The multipliers of a concrete network: the inverse of scaling."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.scaling.families import network_cost
from app.scaling.input_sizes import input_sizes
from app.scaling.network import Architecture, Config, Multipliers
from app.scaling.rounding import Channels, shortest_decimal
from app.scaling.solver.width_grid import MAX_DEPTH, WidthGrid, get_width_grid


def find_multipliers(architecture: Architecture, config: Config) -> Multipliers | None:
    """Return multipliers at which the architecture is this network; None if no multipliers give it.

    One width for all stages is preferred to a width per stage.
    """
    size = input_sizes(architecture.baseline.resolution).find(config.resolution)
    if len(config.stages) != len(architecture.baseline.stages) or size is None:
        return None
    grid = get_width_grid(architecture)
    repeats = tuple(stage.repeats for stage in config.stages)
    d = _find_depth(grid, repeats)
    widths = None if d is None else _find_widths(grid, config, repeats, size)
    if d is None or widths is None:
        return None
    r = grid.sizes.short_multiplier(size, float(grid.sizes.starts[size]))
    d = shortest_decimal(d, d - 1e-4, d + 1e-4, lambda d: grid.repeats(d) == repeats)
    multipliers = Multipliers(r, d, *widths)
    return multipliers if architecture.scale(multipliers) == config else None


def _find_depth(grid: WidthGrid, repeats: tuple[int, ...]) -> float | None:
    """Return a depth multiplier of these repeats: within a step or, as halves are rounded to even, at its end."""
    totals = [stage.repeats for stage in grid.architecture.baseline.stages]
    ends = [(k + half) / n for k, n in zip(repeats, totals, strict=True) for half in (-0.5, 0.0, 0.5)]
    depths = [*(depth for depth, _ in grid.depths(1.0, MAX_DEPTH)), *ends]
    return next((depth for depth in depths if grid.repeats(depth) == repeats), None)


def _channels(network: Config) -> list[Channels]:
    """Return the channels of the stages and the head."""
    return [*(stage.channels for stage in network.stages), network.head.channels]


def _find_widths(
    grid: WidthGrid, config: Config, repeats: tuple[int, ...], size: int
) -> tuple[float, tuple[float, ...] | None] | None:
    """Return the width for all stages and, if that is not enough, the widths of the stages and the head."""
    networks = grid.architecture.assemble(config.resolution, repeats, grid.widths)
    matches: list[NDArray[np.bool_]] = [
        np.broadcast_to(np.asarray(channels) == target, grid.widths.shape)
        for channels, target in zip(_channels(networks), _channels(config), strict=True)
    ]
    matches[0] = matches[0] & (np.asarray(networks.stem.channels) == config.stem.channels)
    if not all(match.any() for match in matches):
        return None
    matches_all = np.logical_and.reduce(matches)
    if matches_all.any():
        return grid.short_width(int(matches_all.argmax())), None
    flops = grid.batch.flops(repeats, size)
    nearest = int(np.abs(flops - network_cost(config).flops).argmin())
    return grid.short_width(nearest), tuple(grid.short_width(int(match.argmax())) for match in matches)
