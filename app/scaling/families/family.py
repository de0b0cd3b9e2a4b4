"""What a family has to say for itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.scaling.architecture import Architecture, Config
from app.scaling.cost import Ledger


@dataclass(frozen=True)
class Family:
    """A family of networks.

    `walk` books a network's operators on a ledger in the order in which they run. `check` raises InvalidNetwork for a
    config that the family cannot build. `timm` tells, in plain data, how stock timm builds the network: a call is
    `{"call": "module.function", "kwargs": {…}}`, a partial application `{"partial": …, "kwargs": {…}}`.
    """

    name: str
    baselines: tuple[Architecture, ...]
    blocks: tuple[str, ...]
    walk: Callable[[Config, Ledger], None]
    check: Callable[[Config], None]
    timm: Callable[[Config], dict[str, Any]]
