"""A scaled network without rdw: stock timm alone rebuilds it from an answer.

    python examples/rebuild.py config.json

The file is an answer's `config`, whose `timm` is a recipe in plain data. Prints the network's class and how many
parameters it has.
"""

from __future__ import annotations

import functools
import importlib
import json
import sys
from typing import Any


def rebuilt(recipe: Any) -> Any:
    """What a recipe stands for; what is no recipe is itself.

    `factory` is called with `arguments`, then the result's `attributes` are replaced; `partial` is called in part;
    `class` is an object of timm's.
    """
    if isinstance(recipe, list):
        return [rebuilt(item) for item in recipe]
    if not isinstance(recipe, dict):
        return recipe
    arguments = {name: rebuilt(value) for name, value in recipe.get("arguments", {}).items()}
    if "class" in recipe:
        return of_timm(recipe["class"])
    if "partial" in recipe:
        return functools.partial(of_timm(recipe["partial"]), **arguments)
    if "factory" not in recipe:
        return {name: rebuilt(value) for name, value in recipe.items()}
    made = of_timm(recipe["factory"])(**arguments)
    for name, value in recipe.get("attributes", {}).items():
        setattr(made, name, rebuilt(value))
    return made


def of_timm(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    if not module.startswith("timm."):
        raise SystemExit(f"{name} is not timm's")
    return getattr(importlib.import_module(module), attribute)


def main(path: str) -> None:
    with open(path) as file:
        config = json.load(file)
    network = rebuilt(config["timm"])
    parameters = sum(parameter.numel() for parameter in network.parameters())
    print(f"{type(network).__name__}: {parameters:,} parameters")


if __name__ == "__main__":
    main(sys.argv[1])
