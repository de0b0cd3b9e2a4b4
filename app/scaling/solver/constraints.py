"""Constraints on a network besides its budget."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from itertools import combinations
from math import lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.scaling import families
from app.scaling.cost.ledger import BYTES_PER_ELEMENT
from app.scaling.cost.memory import Precision
from app.scaling.errors import InvalidNetwork
from app.scaling.input_sizes import MAX_RESOLUTION, Indices, InputSizes
from app.scaling.network import Architecture
from app.scaling.resolution import Resolution, describe_resolution, sides_of
from app.scaling.rounding import make_divisible
from app.scaling.solver.cost_batch import BatchCost, Repeats

_REQUEST_NAMES = {
    "multiple_of": "resolution.multiple_of",
    "min_resolution": "resolution.min",
    "max_resolution": "resolution.max",
    "fixed_resolution": "resolution.fixed",
}

_CONVENTIONS = ("weights_precision", "activation_bytes_per_element")  # no bounds, but how bounds are counted
_WIDE_PX = (32, 1024)


@dataclass(frozen=True)
class Constraints:
    """These are bounds on the input's sides in px and on the network's costs, and a channel divisor.

    Both sides of an input are within the bounds and multiples of `multiple_of`.
    Weights are counted at `weights_precision`, peak memory at `activation_bytes_per_element`: 4 for float32, 1 for
    int8. The divisor applies to the outputs of stages, stem and head. A block's inner channels follow from those.
    """

    multiple_of: int = 1
    min_resolution: int = 8
    max_resolution: int = 1024
    fixed_resolution: Resolution | None = None
    max_flops: int | None = None
    max_params: int | None = None
    max_weights_bytes: int | None = None
    weights_precision: Precision = "float32"
    max_activation_bytes: int | None = None
    activation_bytes_per_element: int = BYTES_PER_ELEMENT
    channel_divisor: int | None = None

    def allowed_sizes(self, sizes: InputSizes, low: int, target: int, high: int, min_size: int = 1) -> list[int]:
        """Return the allowed input sizes in [low, high]; if the range contains none, the nearest one to `target`.

        The list is empty if no size of at least `min_size`, which the family needs, is allowed.
        """
        if self.fixed_resolution is not None:
            fixed = sizes.find(self.fixed_resolution)
            return [] if fixed is None or fixed < min_size else [fixed]
        if not sizes.is_square:
            allowed = _allowed_sizes(sizes, self.multiple_of, self.min_resolution, self.max_resolution)
            allowed = allowed[allowed >= min_size]
            inside = allowed[(allowed >= low) & (allowed <= high)]
            if len(inside) or not len(allowed):
                return [int(size) for size in inside]
            distances = np.abs(sizes.px[allowed] - sizes.px[min(target, sizes.last)])
            return [int(allowed[distances.argmin()])]
        step = self.multiple_of
        lowest = -(-max(self.min_resolution, min_size) // step) * step
        highest = self.max_resolution // step * step
        if lowest > highest:
            return []
        in_range = [px for px in range(-(-low // step) * step, high + 1, step) if lowest <= px <= highest]
        return in_range or [min(max(round(target / step) * step, lowest), highest)]

    def allows(self, resolution: Resolution) -> bool:
        """Whether the bounds on the sides allow a resolution."""
        if self.fixed_resolution is not None:
            return resolution == self.fixed_resolution
        sides, step = sides_of(resolution), self.multiple_of
        in_range = self.min_resolution <= min(sides) and max(sides) <= self.max_resolution
        return in_range and sides[0] % step == sides[1] % step == 0

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

    def every_size(self, sizes: InputSizes, min_size: int) -> list[int]:
        """Return all allowed input sizes of at least `min_size`, which the family needs."""
        return self.allowed_sizes(sizes, 1, 1, sizes.last, min_size)

    def allowed_networks(self, batch: BatchCost, repeats: Repeats, size: int) -> NDArray[np.bool_]:
        """Return which of a batch's networks satisfy the bounds on cost, [network]."""
        allowed = self._allowed_weights(batch, repeats)
        if self.max_flops is not None:
            allowed &= batch.flops(repeats, size) <= self.max_flops
        if self.max_live_elements is not None:
            allowed &= batch.peaks(repeats, size) <= BYTES_PER_ELEMENT * self.max_live_elements
        return allowed

    def largest_sizes(self, batch: BatchCost, repeats: Repeats) -> Indices:
        """Return the largest input size at which a batch's networks satisfy the bounds on cost, [network]; 0: none."""
        sizes = np.where(self._allowed_weights(batch, repeats), batch.last_size, 0)
        if self.max_live_elements is not None:
            sizes = np.minimum(sizes, batch.largest_sizes(repeats, self.max_live_elements))
        if self.max_flops is not None:
            sizes = np.minimum(sizes, batch.largest_sizes_by_flops(repeats, self.max_flops))
        return sizes

    def _allowed_weights(self, batch: BatchCost, repeats: Repeats) -> NDArray[np.bool_]:
        """Return which of a batch's networks satisfy the bounds that are the same at every input size, [network]."""
        allowed = np.ones(batch.n, bool)
        if self.max_params is not None:
            allowed &= batch.params(repeats) <= self.max_params
        if self.max_weights_bytes is not None:
            allowed &= batch.weights_bytes(repeats, self.weights_precision) <= self.max_weights_bytes
        return allowed

    @property
    def max_live_elements(self) -> int | None:
        """The elements of feature maps that may be live at once."""
        limit = self.max_activation_bytes
        return None if limit is None else limit // self.activation_bytes_per_element

    @property
    def limits_cost(self) -> bool:
        """Whether a network's cost has bounds besides its budget."""
        return self.limits_size or self.max_params is not None or self.max_weights_bytes is not None

    @property
    def limits_size(self) -> bool:
        """Whether the bounds on cost depend on the input's size."""
        return self.max_flops is not None or self.max_activation_bytes is not None

    @property
    def limits_on_networks(self) -> tuple[int | None, ...]:
        """The bounds that concern more than the input's sides."""
        return self.max_flops, self.max_params, self.max_weights_bytes, self.max_live_elements, self.channel_divisor

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
        return f"{name} ({describe_resolution(value) if isinstance(value, tuple) else f'{value:,}'})"

    def names_of_binding(self, resolution: Resolution) -> list[str]:
        """Return the names of the bounds that are set, but for bounds of px that a network of that input satisfies."""
        sides = sides_of(resolution)
        satisfied = {
            "resolution.min": self.fixed_resolution is not None or min(sides) >= self.min_resolution,
            "resolution.max": self.fixed_resolution is not None or max(sides) <= self.max_resolution,
            "resolution.multiple_of": all(side % self.multiple_of == 0 for side in sides),
        }
        return [name for name in self.names if not satisfied.get(name, False)]

    def binds(self, resolution: Resolution) -> bool:
        """Whether a network of that input may violate a bound."""
        return any(self.limits_on_networks) or not self.allows(resolution)

    def relaxations(self, n: int) -> Iterator[tuple[list[str], Constraints]]:
        """Yield each choice of `n` bounds that are set, by their names in requests, with what remains without them."""
        for bounds in combinations(self._set_bounds(), n):
            relaxed: dict[str, Any] = {name: _UNSET[name] for name in bounds}
            yield [_REQUEST_NAMES.get(name, name) for name in bounds], replace(self, **relaxed)

    def _set_bounds(self) -> list[str]:
        return [name for name, unset in _UNSET.items() if getattr(self, name) != unset]


@lru_cache(maxsize=32)
def _allowed_sizes(sizes: InputSizes, multiple_of: int, min_px: int, max_px: int) -> Indices:
    """Return the sizes both of whose sides are within the bounds and multiples of a number."""
    allowed = (sizes.heights % multiple_of == 0) & (sizes.widths % multiple_of == 0)
    allowed &= (np.minimum(sizes.heights, sizes.widths) >= min_px) & (np.maximum(sizes.heights, sizes.widths) <= max_px)
    return np.flatnonzero(allowed)


_UNSET = {
    **{f.name: f.default for f in fields(Constraints) if f.name not in _CONVENTIONS},
    "max_resolution": MAX_RESOLUTION,
}
