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


@dataclass(frozen=True)
class ExperimentOptions:
    """The options of an experiment: an experiment for each data set and recipe, with its own file of records.

    `architecture` and `recipes` as in `Options`. An empty `budgets`, `rules` or `recipes` stands for the default.
    """

    datasets: tuple[str, ...]
    out: Path
    records: Path
    budgets: tuple[float, ...] = ()
    rules: tuple[str, ...] = ()
    recipes: tuple[str, ...] = ()
    studies: int = 3
    networks: int = 60
    seeds: int = 2
    from_studies: tuple[str, ...] = ()
    architecture: str | None = None
    url: str | None = None
