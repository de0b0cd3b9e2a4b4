"""Builds a config as a torch module: timm's own network, from the family's recipe for stock timm."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from importlib import import_module
from typing import Any

from torch import nn

from app.scaling import families
from app.scaling.network import Config


def build(config: Config | Mapping[str, Any], *, drop_rate: float = 0.0, drop_path_rate: float = 0.0) -> nn.Module:
    """Build the network with new weights; its `state_dict` has timm's names and shapes.

    `config` may be plain data, as in responses. The network maps images [n, in_chans, height, width] to logits
    [n, num_classes].

    Raises: InvalidNetwork if the config's family cannot build it.
    """
    if not isinstance(config, Config):
        config = Config.from_json(config)
    families.check(config)
    network = _instantiate(families.get_family(config).timm(config, drop_rate, drop_path_rate))
    assert isinstance(network, nn.Module)
    return network


def _instantiate(recipe: Any) -> Any:
    """Return the object that a recipe describes (`app.scaling.families.family.Recipe`); other values are returned."""
    if isinstance(recipe, list):
        return [_instantiate(item) for item in recipe]
    if not isinstance(recipe, dict):
        return recipe
    arguments = {name: _instantiate(value) for name, value in recipe.get("arguments", {}).items()}
    if "class" in recipe:
        return _import_from_timm(recipe["class"])
    if "partial" in recipe:
        return partial(_import_from_timm(recipe["partial"]), **arguments)
    if "factory" not in recipe:
        return {name: _instantiate(value) for name, value in recipe.items()}
    instance = _import_from_timm(recipe["factory"])(**arguments)
    for name, value in recipe.get("attributes", {}).items():
        setattr(instance, name, _instantiate(value))
    return instance


def _import_from_timm(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    if not module.startswith("timm."):
        raise ValueError(f"{name} is not in timm")
    return getattr(import_module(module), attribute)
