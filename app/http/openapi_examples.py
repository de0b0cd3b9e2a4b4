"""What makes the spec a playground: examples that run as they stand, and which answer's id goes where.

Examples of bodies and of path parameters are laid into FastAPI's own spec, and OpenAPI links from each operation that
answers with an id to those that take it.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from app import scopes
from app.scaling.published import PREDICTOR

Spec = dict[str, Any]

_MINE = {
    "name": "mine",
    "baseline": {
        "family": "efficientnet",
        "resolution": 96,
        "stem": {"channels": 16},
        "arch_def": [["ds_r1_k3_s1_c16"], ["ir_r2_k3_s2_e4_c24_se0.25"], ["ir_r2_k5_s2_e4_c40_se0.25"]],
        "head": {"channels": 256},
        "num_classes": 10,
    },
}
_SMALL = {"architecture": "tinynet_e", "multipliers": {"r": 0.3, "d": 0.5, "w": 0.2}}
_TABLE = [
    (0.5, 0.5, 0.5, 0.60),
    (0.6, 0.5, 0.8, 0.68),
    (0.75, 1.0, 0.8, 0.75),
    (0.9, 1.0, 1.0, 0.80),
    (1.0, 1.4, 1.2, 0.84),
    (0.5, 1.4, 1.2, 0.66),
]
_RESULTS = [dict(zip(("r", "d", "w", "accuracy"), row, strict=True)) for row in _TABLE]

EXAMPLES: dict[str, dict[str, tuple[str, Any]]] = {
    "scale": {
        "a quarter": (
            "EfficientNet-B0 at 25.8 % of its multiply-adds: TinyNet-C",
            {"architecture": "efficientnet_b0", "target": {"ratio": 0.258}},
        ),
        "a hardware budget": (
            "Never above 60M, the input's side a multiple of 32",
            {
                "architecture": "ghostnet_100",
                "target": {"flops": 60_000_000},
                "constraints": {"resolution": {"multiple_of": 32}},
                "budget": {"mode": "at_most"},
            },
        ),
        "a fixed input": (
            "Images of 160 px and no other; depth and width fit the budget",
            {
                "architecture": "resnet18",
                "target": {"ratio": 0.3},
                "constraints": {"resolution": {"fixed": 160}},
            },
        ),
        "another rule": (
            "EfficientNet's compound shrinking, to compare",
            {"architecture": "efficientnet_b0", "target": {"flops": 200_000_000}, "rule": "compound"},
        ),
        "r and d by hand": (
            "Resolution and depth given, width solved",
            {
                "architecture": "efficientnet_b0",
                "target": {"flops": 200_000_000},
                "rule": "manual",
                "multipliers": {"r": 0.84, "d": 1.1},
            },
        ),
        "a baseline of your own": (
            "Brought along, its stages as timm's arch_def strings",
            {"architecture": {**_MINE, "name": "brought-along"}, "target": {"ratio": 0.5}},
        ),
        "and train it": (
            "Scaled to a tenth and trained on scanned digits: 202, and where to follow it",
            {
                "architecture": "tinynet_e",
                "target": {"ratio": 0.1},
                "train": {"dataset": "digits", "recipe": "digits-smoke"},
            },
        ),
    },
    "scale_family": {
        "TinyNets": (
            "TinyNet-A to E, from their ratios of FLOPs alone",
            {
                "architecture": "efficientnet_b0",
                "targets": [{"ratio": ratio} for ratio in (0.873, 0.52, 0.258, 0.134, 0.063)],
            },
        ),
    },
    "compare": {
        "100M by each rule": (
            "EfficientNet-B0 to 100M multiply-adds",
            {
                "architecture": "efficientnet_b0",
                "target": {"flops": 100_000_000},
                "rules": ["tiny_formula", "compound", "dwr", "fast", "resolution", "depth", "width"],
            },
        ),
    },
    "cost": {
        "a baseline": ("TinyNet-C as published", {"architecture": "tinynet_c"}),
        "scaled": (
            "EfficientNet-B0 at multipliers of your own",
            {"architecture": "efficientnet_b0", "multipliers": {"r": 0.5, "d": 0.75, "w": 0.75}},
        ),
    },
    "register_architecture": {"arch_def": ("A small network, its stages as timm's strings", _MINE)},
    "register_dataset": {
        "a folder": (
            "The folder `pets` below the data root's `datasets`; put it there first",
            {"name": "pets", "folder": "pets", "native_px": 64},
        ),
    },
    "create_trial": {
        "in seconds": (
            "A very small network on scanned digits",
            {**_SMALL, "dataset": "digits", "recipe": "digits-smoke"},
        ),
        "only ask": (
            "What would it take? Nothing starts",
            {**_SMALL, "dataset": "digits", "recipe": "digits-smoke", "seed": 1, "validate_only": True},
        ),
    },
    "create_study": {
        "random": (
            "Twelve random networks over a range of budgets, as in the paper",
            {"name": "random", "architecture": "tinynet_e", "dataset": "digits", "recipe": "digits-smoke"},
        ),
        "active": (
            "Networks that promise most to the front, some stopped early",
            {
                "name": "active",
                "architecture": "tinynet_e",
                "dataset": "digits",
                "sampler": "active",
                "trials": 30,
                "halving": {"eta": 3, "least_epochs": 1},
            },
        ),
    },
    "import_observations": {
        "a table": ("Six networks that were trained elsewhere", {"source": "a table", "observations": _RESULTS}),
    },
    "refit_predictor": {"the front": ("On at most 20 networks of the front", {"k": 20})},
    "train_family": {
        "two budgets": (
            "The formula and compound, at half and a quarter of the multiply-adds",
            {"targets": [{"ratio": 0.5}, {"ratio": 0.25}], "rules": ["tiny_formula", "compound"]},
        ),
    },
    "ask": {"two": ("Two networks for the client tuner-1", {"client": "tuner-1", "n": 2})},
    "tell": {
        "its own": (
            "What came of multipliers of its own",
            {"client": "tuner-1", "multipliers": {"r": 0.8, "d": 1.0, "w": 0.9}, "accuracy": 0.74},
        ),
    },
    "retract_observation": {"why": ("It counts no more, and stays readable", {"reason": "the labels were shuffled"})},
}
"""By operation: a name, a summary and the body of each."""

PATH_EXAMPLES = {
    ("architectures", "name"): "efficientnet_b0",
    ("predictors", "id"): PREDICTOR,
    ("figures", "name"): "accuracy-against-flops",
    ("figures", "format"): "svg",
    ("artifacts", "file"): "log.csv",
}
"""By the part of the path before it, and the parameter's name."""

# Which operations answer with an id, where in the answer it is, and of what it is the id.
_MAKERS = {
    ("create_trial", "202"): ("trials", "id", "$response.body#/id"),
    ("scale", "202"): ("trials", "id", "$response.body#/trial/id"),
    ("list_trials", "200"): ("trials", "id", "$response.body#/items/0/id"),
    ("create_study", "201"): ("studies", "id", "$response.body#/id"),
    ("list_studies", "200"): ("studies", "id", "$response.body#/items/0/id"),
    ("refit_predictor", "201"): ("predictors", "id", "$response.body#/id"),
    ("list_predictors", "200"): ("predictors", "id", "$response.body#/items/0/id"),
    ("register_architecture", "201"): ("architectures", "name", "$response.body#/name"),
    ("read_observations", "200"): ("observations", "observation", "$response.body#/items/0/id"),
}


def describe(app: FastAPI) -> None:
    """Have the app's spec carry the examples and links."""
    plain = app.openapi

    def spec() -> Spec:
        if app.openapi_schema is None:
            app.openapi_schema = _described(plain())
        return app.openapi_schema

    app.openapi = spec  # type: ignore[method-assign]


def _described(spec: Spec) -> Spec:
    for path, operations in spec["paths"].items():
        for operation in operations.values():
            _add_examples(operation)
            _add_parameter_examples(path, operation)
            _add_links(spec, path, operation)
    scopes.document(spec)
    for operations in spec["paths"].values():
        for operation in operations.values():
            if operation.get("security"):
                operation["security"].append({})  # without a key where the service has none: it answers 401 where not
    return spec


def _add_examples(operation: Spec) -> None:
    examples = EXAMPLES.get(operation["operationId"])
    if examples:
        operation["requestBody"]["content"]["application/json"]["examples"] = {
            name: {"summary": summary, "value": body} for name, (summary, body) in examples.items()
        }


def _add_parameter_examples(path: str, operation: Spec) -> None:
    steps = path.replace(".", "/").split("/")
    for parameter in operation.get("parameters", ()):
        if parameter["in"] != "path":
            continue
        before = [step for step in steps[: steps.index(f"{{{parameter['name']}}}")] if not step.startswith("{")][-1]
        example = PATH_EXAMPLES.get((before, parameter["name"]))
        if example is not None:
            parameter["example"] = example


def _add_links(spec: Spec, path: str, operation: Spec) -> None:
    for status, answer in operation["responses"].items():
        maker = _MAKERS.get((operation["operationId"], status))
        if maker is None:
            continue
        what, parameter, where = maker
        answer["links"] = {
            target["operationId"]: {
                "operationId": target["operationId"],
                "parameters": {
                    parameter: where,
                    **({"id": "$request.path.id"} if what == "observations" else {}),
                },
            }
            for other, targets in spec["paths"].items()
            if f"/{what}/{{{parameter}}}" in other
            for target in targets.values()
        }
