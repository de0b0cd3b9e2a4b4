"""A config as a torch module: timm's own network, by the family's plain-data recipe for stock timm."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from importlib import import_module
from typing import Any

from torch import nn

from app.scaling import families
from app.scaling.architecture import Config


def build(config: Config | Mapping[str, Any], *, drop_rate: float = 0.0, drop_path_rate: float = 0.0) -> nn.Module:
    """The network, with new weights; its `state_dict` has timm's names and shapes.

    `config` may be plain, as answers carry it. The network takes images [n, in_chans, px, px] and gives logits
    [n, num_classes].

    Raises: InvalidNetwork where its family cannot build it.
    """
    if not isinstance(config, Config):
        config = Config.from_json(config)
    families.check(config)
    network = _made(families.family_of(config).timm(config, drop_rate, drop_path_rate))
    assert isinstance(network, nn.Module)
    return network


def _made(recipe: Any) -> Any:
    """What a recipe stands for (`app.scaling.families.family.Recipe`); what is no recipe is itself."""
    if isinstance(recipe, list):
        return [_made(item) for item in recipe]
    if not isinstance(recipe, dict):
        return recipe
    arguments = {name: _made(value) for name, value in recipe.get("arguments", {}).items()}
    if "class" in recipe:
        return _named(recipe["class"])
    if "partial" in recipe:
        return partial(_named(recipe["partial"]), **arguments)
    if "factory" not in recipe:
        return {name: _made(value) for name, value in recipe.items()}
    made = _named(recipe["factory"])(**arguments)
    for name, value in recipe.get("attributes", {}).items():
        setattr(made, name, _made(value))
    return made


def _named(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    if not module.startswith("timm."):
        raise ValueError(f"{name} is not timm's")
    return getattr(import_module(module), attribute)
