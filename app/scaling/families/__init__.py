"""The families of baselines, one file each. A new file in this package is a new family; nothing else has to change."""

from __future__ import annotations

import importlib
import pkgutil
from functools import lru_cache

from app.scaling.cost.ledger import Cost, Ledger, cost_by_stage, total_cost
from app.scaling.errors import InvalidNetwork, UnknownArchitecture
from app.scaling.families.family import Family, Recipe
from app.scaling.families.names import nearest_names, resolve_name
from app.scaling.network import Architecture, Config, Stage
from app.scaling.resolution import describe_resolution


@lru_cache(maxsize=1)
def families() -> dict[str, Family]:
    """Return every family by its name."""
    by_name = {}
    for module in pkgutil.iter_modules(__path__):
        family = getattr(importlib.import_module(f"{__name__}.{module.name}"), "FAMILY", None)
        if family is not None:
            by_name[family.name] = family
    return by_name


@lru_cache(maxsize=1)
def baselines() -> dict[str, Architecture]:
    """Return every built-in baseline by its name: timm's, except for `small-mbconv` and `small-regnet`."""
    return {a.name: a for family in families().values() for a in family.baselines}


def baseline(name: str) -> Architecture:
    """Return the built-in baseline of that name, or of another name of the same network.

    Raises: UnknownArchitecture.
    """
    found = baselines().get(name) or find_by_other_name(name)
    if found is None:
        raise UnknownArchitecture(name, nearest_names(name, baselines()))
    return found


def find_by_other_name(name: str) -> Architecture | None:
    """Return the built-in baseline that is known by another name, such as timm's `tf_efficientnet_b0`."""
    resolved = resolve_name(name, baselines())
    return None if resolved is None else baselines()[resolved]


def get_family(config: Config) -> Family:
    """Return the config's family.

    Raises: InvalidNetwork.
    """
    return _get_family_by_name(config.family)


def check(config: Config) -> None:
    """Check that the network can be built.

    Raises: InvalidNetwork if its family cannot build it, or the input is too small for it.
    """
    get_family(config).check(config)
    if 0 in ledger(config).pixels(config.resolution):
        px = describe_resolution(config.resolution)
        raise InvalidNetwork("/resolution", f"{px} px are too few: the strides reduce them to nothing")


def decode_arch_def(family: str, arch_def: list[list[str]]) -> tuple[Stage, ...]:
    """Decode timm's arch_def strings, a list per stage, into stages.

    Raises: InvalidNetwork if the family has no such strings, or one of them is malformed (the pointer says which).
    """
    known_family = _get_family_by_name(family)
    if known_family.decode is None:
        supported = ", ".join(sorted(name for name, f in families().items() if f.decode))
        raise InvalidNetwork("/arch_def", f"only the families {supported} have such strings; use `stages` instead")
    return known_family.decode(arch_def)


def rebuild_recipe(config: Config) -> Recipe:
    """Return, as plain data, how a program without rdw rebuilds the network with stock timm."""
    return get_family(config).timm(config, 0.0, 0.0)


def _get_family_by_name(family: str) -> Family:
    try:
        return families()[family]
    except KeyError:
        known = ", ".join(sorted(families()))
        raise InvalidNetwork("/family", f"there is no family {family!r}; known: {known}") from None


def ledger(config: Config) -> Ledger:
    """Return the network's ledger, which has its cost for any input size."""
    cost_ledger = Ledger(config.in_chans)
    get_family(config).walk(config, cost_ledger)
    return cost_ledger


def network_cost(config: Config) -> Cost:
    """Return the network's exact cost."""
    return total_cost(ledger(config), config.resolution)


@lru_cache(maxsize=256)
def flops_of(architecture: Architecture) -> int:
    """Return the unscaled baseline's multiply-adds, which c is relative to."""
    return network_cost(architecture.baseline).flops


def stage_costs(config: Config) -> list[tuple[str, Cost]]:
    """Return the exact cost of the stem, each stage and the head, in order."""
    return cost_by_stage(ledger(config), config.resolution)
