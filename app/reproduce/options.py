"""The options of `rdw reproduce`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.reproduce.plan import Sizes


@dataclass(frozen=True)
class Options:
    """What is reproduced, where the files go, and how long it may take.

    `architecture` is a name or a .json file, None the small MBConv; `recipe` a preset or a .json file, None six short
    epochs. `minutes` bounds the working time of all runs. Without a `url` a service is started with its data in `out`.
    """

    dataset: str
    out: Path
    sizes: Sizes
    minutes: float | None = None
    architecture: str | None = None
    recipe: str | None = None
    url: str | None = None
