"""Rebuild a scaled network with stock timm, without rdw.

    python examples/rebuild.py config.json

The file contains the `config` of a response; its `timm` describes the network as plain data. Prints the network's class
and its number of parameters.
"""

from __future__ import annotations

import functools
import importlib
import json
import sys
from typing import Any


def rebuild(recipe: Any) -> Any:
    """Return the object that a recipe describes; other values are returned unchanged.

    A `factory` is called with `arguments`, and then `attributes` are set on the result. A `partial` is a factory with
    some of its arguments. A `class` is an object of timm.
    """
    if isinstance(recipe, list):
        return [rebuild(item) for item in recipe]
    if not isinstance(recipe, dict):
        return recipe
    arguments = {name: rebuild(value) for name, value in recipe.get("arguments", {}).items()}
    if "class" in recipe:
        return import_from_timm(recipe["class"])
    if "partial" in recipe:
        return functools.partial(import_from_timm(recipe["partial"]), **arguments)
    if "factory" not in recipe:
        return {name: rebuild(value) for name, value in recipe.items()}
    instance = import_from_timm(recipe["factory"])(**arguments)
    for name, value in recipe.get("attributes", {}).items():
        setattr(instance, name, rebuild(value))
    return instance


def import_from_timm(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    if not module.startswith("timm."):
        raise SystemExit(f"{name} is not in timm")
    return getattr(importlib.import_module(module), attribute)


def main(path: str) -> None:
    with open(path) as file:
        config = json.load(file)
    network = rebuild(config["timm"])
    parameters = sum(parameter.numel() for parameter in network.parameters())
    print(f"{type(network).__name__}: {parameters:,} parameters")


if __name__ == "__main__":
    main(sys.argv[1])
