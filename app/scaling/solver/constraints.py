"""Constraints on a network besides its budget."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import combinations
from math import lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.scaling import families
from app.scaling.cost.ledger import BYTES_PER_ELEMENT
from app.scaling.errors import InvalidNetwork
from app.scaling.network import Architecture
from app.scaling.rounding import make_divisible
from app.scaling.solver.cost_batch import MAX_RESOLUTION, BatchCost, Indices, Repeats

_REQUEST_NAMES = {
    "multiple_of": "resolution.multiple_of",
    "min_resolution": "resolution.min",
    "max_resolution": "resolution.max",
    "fixed_resolution": "resolution.fixed",
}

_WIDE_PX = (32, 1024)


@dataclass(frozen=True)
class Constraints:
    """These are bounds on the input's side in px, the parameters and the peak activation memory, and a channel divisor.

    Memory is counted at `activation_bytes_per_element`: 4 for float32, 1 for int8. The divisor applies to the outputs
    of stages, stem and head. A block's inner channels follow from those.
    """

    multiple_of: int = 1
    min_resolution: int = 8
    max_resolution: int = 1024
    fixed_resolution: int | None = None
    max_params: int | None = None
    max_activation_bytes: int | None = None
    activation_bytes_per_element: int = BYTES_PER_ELEMENT
    channel_divisor: int | None = None

    def allowed_resolutions(self, low: int, target: int, high: int, min_px: int = 1) -> list[int]:
        """Return the allowed px in [low, high]; if the range contains no allowed px, the nearest one to `target`.

        The list is empty if no resolution of at least `min_px`, which the family needs, is allowed.
        """
        if self.fixed_resolution is not None:
            return [self.fixed_resolution] if self.fixed_resolution >= min_px else []
        step = self.multiple_of
        lowest = -(-max(self.min_resolution, min_px) // step) * step
        highest = self.max_resolution // step * step
        if lowest > highest:
            return []
        inside = [px for px in range(-(-low // step) * step, high + 1, step) if lowest <= px <= highest]
        return inside or [min(max(round(target / step) * step, lowest), highest)]

    def apply_channel_divisor(self, architecture: Architecture) -> Architecture:
        """Return the architecture with channels that are multiples of `channel_divisor`.

        Raises: InvalidNetwork if the family's fixed channels are not.
        """
        if self.channel_divisor is None:
            return architecture
        divisor, base, rules = self.channel_divisor, architecture.baseline, architecture.rules
        stem, head = base.stem, base.head
        if rules.stem == "fixed":
            stem = replace(stem, channels=make_divisible(float(stem.channels), divisor))
        if rules.head == "fixed" and head.channels:
            head = replace(head, channels=make_divisible(float(head.channels), divisor))
        narrowed = replace(
            architecture,
            baseline=replace(base, stem=stem, head=head),
            rules=replace(rules, divisor=lcm(rules.divisor, divisor)),
        )
        try:
            families.check(narrowed.assemble(base.resolution, narrowed.repeats(1.0), 1.0))
        except InvalidNetwork as error:
            raise InvalidNetwork("/constraints/channel_divisor", f"{error.message} ({error.pointer})") from None
        return narrowed

    def every_resolution(self, min_px: int) -> list[int]:
        """Return all allowed px of at least `min_px`, which the family needs."""
        return self.allowed_resolutions(1, 1, MAX_RESOLUTION, min_px)

    def allowed_networks(self, batch: BatchCost, repeats: Repeats, resolution: int) -> NDArray[np.bool_]:
        """Return which of a batch's networks satisfy the bounds on cost, [network]."""
        allowed = np.ones(batch.n, bool)
        if self.max_params is not None:
            allowed &= batch.params(repeats) <= self.max_params
        if self.max_live_elements is not None:
            allowed &= batch.peaks(repeats, resolution) <= BYTES_PER_ELEMENT * self.max_live_elements
        return allowed

    def largest_sides(self, batch: BatchCost, repeats: Repeats) -> Indices:
        """Return the largest input side at which a batch's networks satisfy the bounds on cost, [network]; 0: none."""
        sides = np.full(batch.n, MAX_RESOLUTION)
        if self.max_live_elements is not None:
            sides = batch.largest_sides(repeats, self.max_live_elements)
        if self.max_params is not None:
            sides = np.where(batch.params(repeats) <= self.max_params, sides, 0)
        return sides

    @property
    def max_live_elements(self) -> int | None:
        """The elements of feature maps that may be live at once."""
        limit = self.max_activation_bytes
        return None if limit is None else limit // self.activation_bytes_per_element

    @property
    def limits_cost(self) -> bool:
        """Whether a network's cost has bounds besides its budget."""
        return self.max_params is not None or self.max_activation_bytes is not None

    @property
    def limits_on_networks(self) -> tuple[int | None, ...]:
        """The bounds that concern more than the input's side."""
        return self.max_params, self.max_live_elements, self.channel_divisor

    @property
    def are_loose(self) -> bool:
        """Whether px alone is bounded, and so widely that a rule's px is hardly ever outside."""
        any_px = self.fixed_resolution is None and self.multiple_of == 1
        is_wide = self.min_resolution <= _WIDE_PX[0] and self.max_resolution >= _WIDE_PX[1]
        return any_px and is_wide and not any(self.limits_on_networks)

    @property
    def names(self) -> list[str]:
        """The bounds that are set, by their names in requests."""
        return [_REQUEST_NAMES.get(name, name) for name in self._set_bounds()]

    def describe(self, name: str) -> str:
        """Return the name of a bound that is set, with its value."""
        value = getattr(self, next(f for f in _UNSET if _REQUEST_NAMES.get(f, f) == name))
        return f"{name} ({value:,})"

    def names_of_binding(self, resolution: int) -> list[str]:
        """Return the names of the bounds that are set, but for bounds of px that a network of that side satisfies."""
        satisfied = {
            "resolution.min": self.fixed_resolution is not None or resolution >= self.min_resolution,
            "resolution.max": self.fixed_resolution is not None or resolution <= self.max_resolution,
            "resolution.multiple_of": resolution % self.multiple_of == 0,
        }
        return [name for name in self.names if not satisfied.get(name, False)]

    def binds(self, resolution: int) -> bool:
        """Whether a network of that input side may violate a bound."""
        return any(self.limits_on_networks) or self.allowed_resolutions(resolution, resolution, resolution) != [
            resolution
        ]

    def relaxations(self, n: int) -> Iterator[tuple[list[str], Constraints]]:
        """Yield each choice of `n` bounds that are set, by their names in requests, with what remains without them."""
        for bounds in combinations(self._set_bounds(), n):
            relaxed: dict[str, Any] = {name: _UNSET[name] for name in bounds}
            yield [_REQUEST_NAMES.get(name, name) for name in bounds], replace(self, **relaxed)

    def _set_bounds(self) -> list[str]:
        return [name for name, unset in _UNSET.items() if getattr(self, name) != unset]


_UNSET = {
    **{f.name: f.default for f in fields(Constraints) if f.name != "activation_bytes_per_element"},
    "max_resolution": MAX_RESOLUTION,
}
