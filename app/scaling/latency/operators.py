"""The operators of a network as a runtime runs them: each with its batch norm, activation function and addition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from app.scaling import families
from app.scaling.cost.ledger import KIND_NAMES, FeatureMap, Ledger
from app.scaling.network import Config
from app.scaling.rounding import Channels

Sides = tuple[int, int]
"""Height and width in pixels."""


class LedgerOperator(NamedTuple):
    """An operator of a ledger, whose channels may be arrays with one entry per network.

    `x` and `y` are its input and output; those of a squeeze-excite are the gated and the squeezed maps. A depthwise
    convolution has group width 1, one that is not grouped that of its input. `added` are the channels of the map that
    is added to the output before the activation function.
    """

    part: int
    kind: str
    x: FeatureMap
    y: FeatureMap
    kernel: int
    stride: int
    group_width: Channels
    is_grouped: bool
    activation: str | None
    added: Channels


class Operator(NamedTuple):
    """An operator of a network at its resolution, with the fields of `LedgerOperator`."""

    kind: str
    in_channels: int
    out_channels: int
    in_sides: Sides
    out_sides: Sides
    kernel: int
    stride: int
    group_width: int
    activation: str | None
    is_added: bool


def ledger_operators(ledger: Ledger) -> list[LedgerOperator]:
    """Return the operators of one block of each part, in the order in which they run."""
    return [
        LedgerOperator(
            part_index,
            KIND_NAMES[kind],
            x,
            y,
            kernel,
            stride,
            x.channels if width is None else width,
            width is not None,
            activation,
            added,
        )
        for part_index, part in enumerate(ledger.parts)
        for kind, x, y, _, _, (kernel, stride, width, activation, added) in part.operations
    ]


def list_operators(config: Config) -> list[Operator]:
    """Return all operators of the network in the order in which they run."""
    ledger = families.ledger(config)
    rows, columns = (ledger.sides(side) for side in config.sides)
    blocks: list[list[Operator]] = [[] for _ in ledger.parts]
    for part, kind, x, y, kernel, stride, group_width, _, activation, added in ledger_operators(ledger):
        in_sides, out_sides = ((rows[maps.level], columns[maps.level]) for maps in (x, y))
        if _exists(y):
            sizes = int(x.channels), int(y.channels), in_sides, out_sides, kernel, stride, int(group_width)
            blocks[part].append(Operator(kind, *sizes, activation, bool(added)))
    return list(_repeat(ledger, blocks))


def _exists(y: FeatureMap) -> bool:
    """Return whether an operator has outputs; a projection that a block does not need has none."""
    return bool(y.channels)


def _repeat(ledger: Ledger, blocks: list[list[Operator]]) -> Iterator[Operator]:
    for part, operators in zip(ledger.parts, blocks, strict=True):
        for _ in range(part.repeats):
            yield from operators
