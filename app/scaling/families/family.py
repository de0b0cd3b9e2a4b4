"""What a family of baselines defines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.scaling.cost.ledger import FeatureMap, Ledger
from app.scaling.network import Architecture, Config, Stage

Recipe = dict[str, Any]
"""How stock timm builds a network, in plain data.

`{"factory": "module.name", "arguments": {…}}` is a call, whose arguments may be recipes themselves. `{"partial":
"module.name", "arguments": {…}}` is a partial application (functools.partial). `{"class": "module.name"}` is the object
of that name. The `"attributes"` of a factory replace attributes of its result.
"""


@dataclass(frozen=True)
class Family:
    """A family of networks.

    `walk` records a network's operators in a ledger in the order in which they run. `check` raises InvalidNetwork for a
    config that the family cannot build. `timm` returns the recipe by which stock timm builds the network with these
    rates of dropout and stochastic depth. `decode` reads timm's arch_def strings, in families that have them.
    `block_name` returns the name of a block in timm's network, from the numbers of its stage and of the block within
    that, both from 0; joined stages are one.
    """

    name: str
    baselines: tuple[Architecture, ...]
    blocks: tuple[str, ...]
    walk: Callable[[Config, Ledger], None]
    check: Callable[[Config], None]
    timm: Callable[[Config, float, float], Recipe]
    decode: Callable[[list[list[str]]], tuple[Stage, ...]] | None = None
    block_name: Callable[[int, int], str] = "blocks.{}.{}".format


Block = Callable[[Ledger, FeatureMap, Stage, int], FeatureMap]
"""Records a block of a stage, from these input maps and with that stride, and returns the block's output maps."""


def walk_stages(ledger: Ledger, x: FeatureMap, stages: tuple[Stage, ...], block: Block) -> FeatureMap:
    """Record all stages: the first block of each, with the stage's stride, and one of the equal blocks that follow."""
    for index, stage in enumerate(stages):
        ledger.start_stage(index)
        x = block(ledger, x, stage, stage.stride)
        if stage.repeats > 1:
            ledger.start_repeated_blocks(index, stage.repeats)
            x = block(ledger, x, stage, 1)
    return x


def call(factory: str, **arguments: Any) -> Recipe:
    """Return the recipe of a call."""
    return {"factory": factory, "arguments": arguments}


def partial_call(factory: str, **arguments: Any) -> Recipe:
    """Return the recipe of a partial application."""
    return {"partial": factory, "arguments": arguments}
