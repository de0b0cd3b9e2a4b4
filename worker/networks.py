"""A config as a torch module: timm's own network, by the family's plain-data recipe for stock timm."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

from torch import nn

from app.scaling.architecture import Config
from app.scaling.families import family_of


def build(config: Config, *, drop_rate: float = 0.0, drop_path_rate: float = 0.0) -> nn.Module:
    """The network, with new weights; its `state_dict` has timm's names and shapes.

    Takes images [n, in_chans, px, px], gives logits [n, num_classes].
    Raises: InvalidNetwork where its family cannot build it.
    """
    family = family_of(config)
    family.check(config)
    recipe = family.timm(config)
    dropped = {"drop_rate": drop_rate, "drop_path_rate": drop_path_rate}
    return _made({**recipe, "kwargs": {**recipe["kwargs"], **dropped}})


def _made(recipe: Any) -> Any:
    """What a recipe stands for: `{"call": …}` is called, `{"partial": …}` applied in part, all else is itself."""
    if isinstance(recipe, list):
        return [_made(item) for item in recipe]
    if not isinstance(recipe, dict):
        return recipe
    kwargs = {name: _made(value) for name, value in recipe.get("kwargs", {}).items()}
    if "call" in recipe:
        return _named(recipe["call"])(**kwargs)
    if "partial" in recipe:
        return partial(_named(recipe["partial"]), **kwargs)
    return {name: _made(value) for name, value in recipe.items()}


def _named(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    if not module.startswith("timm."):
        raise ValueError(f"{name} is not timm's")
    return getattr(import_module(module), attribute)
