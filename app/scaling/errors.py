"""What can go wrong in scaling.

ScalingError
 |-- UnknownArchitecture     no baseline of that name
 |-- InvalidNetwork          a spec that does not describe a network
 |-- TargetOutOfRange        no network within the constraints comes near the budget
 |-- SpaceTooSmall           a search space holds fewer different networks than were asked for
 `-- NotEnoughObservations   too little data for a front or a predictor
"""

from __future__ import annotations


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
    """The budget lies outside of what is reachable; carries the least and most reachable flops."""

    def __init__(self, target: int, least: int, most: int, why: str) -> None:
        super().__init__(f"{target:,} multiply-adds cannot be met {why}: from {least:,} to {most:,} are reachable.")
        self.target = target
        self.least = least
        self.most = most


class SpaceTooSmall(ScalingError):
    """A search space holds fewer different networks than were asked for."""

    def __init__(self, wanted: int, found: int) -> None:
        super().__init__(
            f"The search space gave {found} different networks of {wanted} asked for: widen it, or ask for fewer."
        )
        self.found = found


class NotEnoughObservations(ScalingError):
    """Too few (distinct) observations for what was asked."""
