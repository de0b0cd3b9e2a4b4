"""What a family has to say for itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.scaling.architecture import Architecture, Config, Stage
from app.scaling.cost import FeatureMap, Ledger

Recipe = dict[str, Any]
"""How stock timm builds a network, in plain data.

`{"factory": "module.name", "arguments": {…}}` is a call, with arguments that may be recipes themselves;
`{"partial": "module.name", "arguments": {…}}` is applied in part (functools.partial), `{"class": "module.name"}` is the
object of that name. A factory's `"attributes"` replace its result's, by name.
"""


@dataclass(frozen=True)
class Family:
    """A family of networks.

    `walk` books a network's operators on a ledger in the order in which they run. `check` raises InvalidNetwork for a
    config that the family cannot build. `timm` is the recipe by which stock timm builds the network, with dropout and
    stochastic depth at these rates. `decode` reads timm's arch_def strings, in families that have them.
    """

    name: str
    baselines: tuple[Architecture, ...]
    blocks: tuple[str, ...]
    walk: Callable[[Config, Ledger], None]
    check: Callable[[Config], None]
    timm: Callable[[Config, float, float], Recipe]
    decode: Callable[[list[list[str]]], tuple[Stage, ...]] | None = None


Block = Callable[[Ledger, FeatureMap, Stage, int], FeatureMap]
"""Books a block of a stage on the ledger, from these maps on, with that stride; gives the maps that it puts out."""


def walk_stages(ledger: Ledger, x: FeatureMap, stages: tuple[Stage, ...], block: Block) -> FeatureMap:
    """Books all stages: of each the first block, with the stage's stride, and one of the equal ones that follow."""
    for index, stage in enumerate(stages):
        ledger.stage(index)
        x = block(ledger, x, stage, stage.stride)
        if stage.repeats > 1:
            ledger.rest_of_stage(index, stage.repeats)
            x = block(ledger, x, stage, 1)
    return x


def call(factory: str, **arguments: Any) -> Recipe:
    """The recipe of a call."""
    return {"factory": factory, "arguments": arguments}


def partially(factory: str, **arguments: Any) -> Recipe:
    """The recipe of a partial application."""
    return {"partial": factory, "arguments": arguments}
