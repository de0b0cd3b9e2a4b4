"""What a network has to keep to besides its budget."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from math import lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.scaling import families
from app.scaling.architecture import Architecture
from app.scaling.cost_sheet import LARGEST, CostSheet, Repeats
from app.scaling.errors import InvalidNetwork
from app.scaling.rounding import make_divisible

_NAMED = {
    "multiple_of": "resolution.multiple_of",
    "min_resolution": "resolution.min",
    "max_resolution": "resolution.max",
    "fixed_resolution": "resolution.fixed",
}


@dataclass(frozen=True)
class Constraints:
    """Bounds on the input's side in px, on parameters, on peak activation memory, and what divides channels.

    The divisor is of the outputs of stages, stem and head; a block's inner channels follow from those.
    """

    multiple_of: int = 1
    min_resolution: int = 8
    max_resolution: int = 1024
    fixed_resolution: int | None = None
    max_params: int | None = None
    max_activation_bytes: int | None = None
    channel_divisor: int | None = None

    def resolutions(self, low: int, wanted: int, high: int, needed: int = 1) -> list[int]:
        """The px to look at, in [low, high] where any is allowed there, else the allowed one nearest to `wanted`.

        None where the `needed` px of a family are not allowed.
        """
        if self.fixed_resolution is not None:
            return [self.fixed_resolution] if self.fixed_resolution >= needed else []
        step = self.multiple_of
        least = -(-max(self.min_resolution, needed) // step) * step
        most = self.max_resolution // step * step
        if least > most:
            return []
        inside = [px for px in range(-(-low // step) * step, high + 1, step) if least <= px <= most]
        return inside or [min(max(round(wanted / step) * step, least), most)]

    def of_channels(self, architecture: Architecture) -> Architecture:
        """The architecture with channels that `channel_divisor` divides.

        Raises: InvalidNetwork where the family's fixed channels are none.
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
            families.check(narrowed.assembled(base.resolution, narrowed.repeats(1.0), 1.0))
        except InvalidNetwork as error:
            raise InvalidNetwork("/constraints/channel_divisor", f"{error.message} ({error.pointer})") from None
        return narrowed

    def allow(self, sheet: CostSheet, repeats: Repeats, resolution: int) -> NDArray[np.bool_]:
        """Which of a sheet's networks keep to the bounds on cost, [network]."""
        allowed = np.ones(sheet.n, bool)
        if self.max_params is not None:
            allowed &= sheet.params(repeats) <= self.max_params
        if self.max_activation_bytes is not None:
            allowed &= sheet.peaks(repeats, resolution) <= self.max_activation_bytes
        return allowed

    @property
    def bound_cost(self) -> bool:
        """Whether there are bounds on what a network costs besides its budget."""
        return self.max_params is not None or self.max_activation_bytes is not None

    def each_relaxed(self) -> Iterator[tuple[str, Constraints]]:
        """Each bound that is set, named as requests name it, with the constraints that are left without it."""
        for f in fields(self):
            free = LARGEST if f.name == "max_resolution" else f.default
            if getattr(self, f.name) != free:
                without: dict[str, Any] = {f.name: free}
                yield _NAMED.get(f.name, f.name), replace(self, **without)
