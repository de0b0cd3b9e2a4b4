"""The families of baselines, a file each. A new file here is a new family: nothing else has to change."""

from __future__ import annotations

import importlib
import pkgutil
from functools import lru_cache

from app.scaling import cost
from app.scaling.architecture import Architecture, Config, Stage
from app.scaling.errors import InvalidNetwork, UnknownArchitecture
from app.scaling.families.family import Family, Recipe


@lru_cache(maxsize=1)
def families() -> dict[str, Family]:
    """Every family by its name."""
    found = {}
    for module in pkgutil.iter_modules(__path__):
        family = getattr(importlib.import_module(f"{__name__}.{module.name}"), "FAMILY", None)
        if family is not None:
            found[family.name] = family
    return found


@lru_cache(maxsize=1)
def baselines() -> dict[str, Architecture]:
    """Every built-in baseline by its name (timm's)."""
    return {a.name: a for family in families().values() for a in family.baselines}


def baseline(name: str) -> Architecture:
    """The built-in baseline of that name.

    Raises: UnknownArchitecture.
    """
    try:
        return baselines()[name]
    except KeyError:
        raise UnknownArchitecture(name, sorted(baselines())) from None


def family_of(config: Config) -> Family:
    """Raises: InvalidNetwork."""
    return _named(config.family)


def check(config: Config) -> None:
    """Raises: InvalidNetwork where its family cannot build the network, or the input is too small for it."""
    family_of(config).check(config)
    if 0 in ledger(config).sides(config.resolution):
        raise InvalidNetwork("/resolution", f"{config.resolution} px are too few: nothing is left after the strides")


def decoded(family: str, arch_def: list[list[str]]) -> tuple[Stage, ...]:
    """The stages that timm's arch_def strings, a list a stage, say.

    Raises: InvalidNetwork where the family has no such strings, or one of them is wrong (a pointer says which).
    """
    known = _named(family)
    if known.decode is None:
        able = ", ".join(sorted(name for name, f in families().items() if f.decode))
        raise InvalidNetwork("/arch_def", f"there are such strings in the families {able}; give `stages`")
    return known.decode(arch_def)


def rebuild(config: Config) -> Recipe:
    """How a program without rdw rebuilds the network with stock timm, in plain data."""
    return family_of(config).timm(config, 0.0, 0.0)


def _named(family: str) -> Family:
    try:
        return families()[family]
    except KeyError:
        known = ", ".join(sorted(families()))
        raise InvalidNetwork("/family", f"there is no family {family!r}; known: {known}") from None


def ledger(config: Config) -> cost.Ledger:
    """The network's ledger: its cost for any input size."""
    book = cost.Ledger(config.in_chans)
    family_of(config).walk(config, book)
    return book


def network_cost(config: Config) -> cost.Cost:
    """The network's exact cost."""
    return cost.total(ledger(config), config.resolution)


def stage_costs(config: Config) -> list[tuple[str, cost.Cost]]:
    """The exact cost of the stem, each stage and the head, in order."""
    return cost.by_stage(ledger(config), config.resolution)
