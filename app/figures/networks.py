"""Observations as the rows of a figure's data."""

from __future__ import annotations

from collections.abc import Sequence

from app.figures.drawing import Value
from app.scaling.search.observations import Observation, Role

COLUMNS = ("role", "r", "d", "w", "c", "flops", "params", "latency_ms", "accuracy", "trial")


def observation_row(o: Observation) -> tuple[Value, ...]:
    return tuple(getattr(o, column) for column in COLUMNS)


def split_compound(observations: Sequence[Observation]) -> tuple[list[Observation], list[Observation]]:
    """Return the compound-shrunk networks, by increasing flops, and all others."""
    compound = sorted((o for o in observations if o.role == Role.COMPOUND), key=lambda o: (o.flops, o.accuracy))
    return compound, [o for o in observations if o.role != Role.COMPOUND]


def describe_count(n: int, role: str = "") -> str:
    """Return a phrase such as `30 random networks` or `1 network`."""
    return f"{n} {role} network{'' if n == 1 else 's'}".replace("  ", " ")


def describe_role(others: Sequence[Observation]) -> str:
    """Return the adjective for networks that are not compound-shrunk: `random` only if all of them are."""
    return "random" if all(o.role == Role.RANDOM for o in others) else ""
