"""Observations as the rows of a figure's data."""

from __future__ import annotations

from collections.abc import Sequence

from app.figures.drawing import Value
from app.scaling.observations import Observation

COLUMNS = ("role", "r", "d", "w", "c", "flops", "params", "latency_ms", "accuracy", "trial")


def row(o: Observation) -> tuple[Value, ...]:
    return tuple(getattr(o, column) for column in COLUMNS)


def apart(observations: Sequence[Observation]) -> tuple[list[Observation], list[Observation]]:
    """Compound-shrunk networks, by rising flops, and all the others."""
    compound = sorted((o for o in observations if o.role == "compound"), key=lambda o: (o.flops, o.accuracy))
    return compound, [o for o in observations if o.role != "compound"]


def called(n: int, kind: str = "") -> str:
    """`30 random networks`, `1 network`."""
    return f"{n} {kind} network{'' if n == 1 else 's'}".replace("  ", " ")


def kind(others: Sequence[Observation]) -> str:
    """What networks that are not compound-shrunk are called together: `random` only where they all are."""
    return "random" if all(o.role == "random" for o in others) else ""
