"""What can go wrong in scaling.

ScalingError
 |-- UnknownArchitecture     no baseline of that name
 |-- InvalidNetwork          a spec that does not describe a network
 |-- TargetOutOfRange        no network within the constraints comes near the budget
 |-- SpaceTooSmall           a search space holds fewer different networks than were asked for
 `-- NotEnoughObservations   too little data for a front or a predictor
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.scaling.width_solver import Solution


class ScalingError(Exception):
    """Root of all errors of the scaling core."""


class UnknownArchitecture(ScalingError):
    """No baseline of that name."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(f"There is no architecture {name!r}. Known: {', '.join(known)}.")
        self.name = name


class InvalidNetwork(ScalingError):
    """A spec that does not describe a network; `pointer` (JSON pointer) says where."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(f"{pointer}: {message}")
        self.pointer = pointer
        self.message = message


class TargetOutOfRange(ScalingError):
    """The budget lies outside of what is reachable.

    Carries the least and the most flops that are reachable at the r and d for this target (0 and 0 where the
    constraints leave no network at all; another target may have another r and d), the constraints any of which, left
    out, would let it be met, and the nearest network.
    """

    def __init__(
        self, target: int, least: int, most: int, constraints: Sequence[str] = (), nearest: Solution | None = None
    ) -> None:
        span = f"from {least:,} to {most:,}" if least < most else f"only {most:,}"
        there = f"at the r and d for this target {span} are reachable"
        reachable = there if most else "the constraints leave no network at all"
        blame = f" Without {' or without '.join(constraints)} it could be met." if constraints else ""
        super().__init__(f"{target:,} multiply-adds cannot be met: {reachable}.{blame}")
        self.target = target
        self.least = least
        self.most = most
        self.constraints = list(constraints)
        self.nearest = nearest


class SpaceTooSmall(ScalingError):
    """A search space holds fewer different networks than were asked for."""

    def __init__(self, wanted: int, found: int) -> None:
        super().__init__(
            f"The search space gave {found} different networks of {wanted} asked for: widen it, or ask for fewer."
        )
        self.found = found


class NotEnoughObservations(ScalingError):
    """Too few (distinct) observations for what was asked."""
