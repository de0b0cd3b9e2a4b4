"""Examples of request bodies, which the playground can send unchanged; a route has one as its `openapi_extra`."""

from __future__ import annotations

from typing import Any


def _bodies(examples: dict[str, tuple[str, Any]]) -> dict[str, Any]:
    """Return the spec's part with examples of a JSON body: by name, a summary and the body."""
    return {"requestBody": {"content": {"application/json": {"examples": _examples(examples)}}}}


def _examples(examples: dict[str, tuple[str, Any]]) -> dict[str, Any]:
    return {name: {"summary": summary, "value": body} for name, (summary, body) in examples.items()}


_CUSTOM = {
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

SCALE = _bodies(
    {
        "a quarter": (
            "EfficientNet-B0 at 25.8 % of its FLOPs: TinyNet-C",
            {"architecture": "efficientnet_b0", "target": {"ratio": 0.258}},
        ),
        "a hardware budget": (
            "At most 60M FLOPs, with an input size that is a multiple of 32",
            {
                "architecture": "ghostnet_100",
                "target": {"flops": 60_000_000},
                "constraints": {"resolution": {"multiple_of": 32}},
                "budget": {"mode": "at_most"},
            },
        ),
        "a microcontroller": (
            "In int8, at most 900 kB of weights and 320 kB of activations",
            {
                "architecture": "mobilenetv2_100",
                "num_classes": 2,
                "target": {"weights_bytes": 900_000, "precision": "int8"},
                "constraints": {"max_activation_bytes": 320_000},
                "budget": {"mode": "at_most"},
            },
        ),
        "a fixed input": (
            "A fixed input of 160 px; depth and width meet the budget",
            {
                "architecture": "resnet18",
                "target": {"ratio": 0.3},
                "constraints": {"resolution": {"fixed": 160}},
            },
        ),
        "another rule": (
            "Compound scaling as in EfficientNet",
            {"architecture": "efficientnet_b0", "target": {"flops": 200_000_000}, "rule": "compound"},
        ),
        "manual r and d": (
            "Specified resolution and depth, solved width",
            {
                "architecture": "efficientnet_b0",
                "target": {"flops": 200_000_000},
                "rule": "manual",
                "multipliers": {"r": 0.84, "d": 1.1},
            },
        ),
        "an inline baseline": (
            "A baseline in the request, with stages as timm strings",
            {"architecture": {**_CUSTOM, "name": "inline"}, "target": {"ratio": 0.5}},
        ),
        "scale and train": (
            "Scale to a tenth and train on scanned digits",
            {
                "architecture": "tinynet_e",
                "target": {"ratio": 0.1},
                "train": {"dataset": "digits", "recipe": "digits-smoke"},
            },
        ),
    }
)
SCALE_FAMILY = _bodies(
    {
        "TinyNets": (
            "TinyNet-A to E by their FLOPs ratios",
            {
                "architecture": "efficientnet_b0",
                "targets": [{"ratio": ratio} for ratio in (0.873, 0.52, 0.258, 0.134, 0.063)],
            },
        ),
    }
)
COMPARE = _bodies(
    {
        "all rules": (
            "EfficientNet-B0 at 100M FLOPs by each rule",
            {
                "architecture": "efficientnet_b0",
                "target": {"flops": 100_000_000},
                "rules": ["tiny_formula", "compound", "dwr", "fast", "resolution", "depth", "width"],
            },
        ),
    }
)
COST = _bodies(
    {
        "a baseline": ("TinyNet-C as published", {"architecture": "tinynet_c"}),
        "scaled": (
            "EfficientNet-B0 at given multipliers",
            {"architecture": "efficientnet_b0", "multipliers": {"r": 0.5, "d": 0.75, "w": 0.75}},
        ),
    }
)
ARCHITECTURE = _bodies({"arch_def": ("A small network with stages as timm strings", _CUSTOM)})
DATASET = _bodies(
    {
        "a folder": (
            "The folder `pets` below `datasets` in the data directory",
            {"name": "pets", "folder": "pets", "native_px": 64},
        ),
        "what would be read": (
            "Say what is understood of the folder, and register nothing",
            {"name": "pets", "folder": "pets", "layout": "splits", "background": "#000000", "validate_only": True},
        ),
    }
)
TRIAL = _bodies(
    {
        "in seconds": (
            "A very small network on scanned digits",
            {**_SMALL, "dataset": "digits", "recipe": "digits-smoke"},
        ),
        "estimate": (
            "Estimate the training without starting it",
            {**_SMALL, "dataset": "digits", "recipe": "digits-smoke", "seed": 1, "validate_only": True},
        ),
    }
)
STUDY = _bodies(
    {
        "random": (
            "Twelve random networks over a range of budgets, as in the paper",
            {"name": "random", "architecture": "tinynet_e", "dataset": "digits", "recipe": "digits-smoke"},
        ),
        "active": (
            "Networks by the active sampler, some stopped early",
            {
                "name": "active",
                "architecture": "tinynet_e",
                "dataset": "digits",
                "sampler": "active",
                "trials": 30,
                "halving": {"eta": 3, "min_epochs": 1},
            },
        ),
    }
)
OBSERVATIONS = _examples(
    {
        "table": ("Six networks trained elsewhere", {"source": "a table", "observations": _RESULTS}),
    }
)
REFIT = _bodies({"the front": ("Fit on at most 20 networks of the front", {"k": 20})})
TRAIN_FAMILY = _bodies(
    {
        "two budgets": (
            "The tiny formula and compound scaling at half and a quarter of the FLOPs",
            {"targets": [{"ratio": 0.5}, {"ratio": 0.25}], "rules": ["tiny_formula", "compound"]},
        ),
    }
)
ASK = _bodies({"two": ("Two networks for the client tuner-1", {"client": "tuner-1", "n": 2})})
TELL = _bodies(
    {
        "own multipliers": (
            "The result of a network that the client chose itself",
            {"client": "tuner-1", "multipliers": {"r": 0.8, "d": 1.0, "w": 0.9}, "accuracy": 0.74},
        ),
    }
)
UPDATE = _bodies(
    {
        "name": ("Give it another name", {"name": "digits, second sweep"}),
        "unarchive": ("List it again and open it to new work", {"archived": False}),
    }
)
UPDATE_CATALOG = _bodies(
    {
        "rename": ("Rename it, with all that refers to it", {"name": "renamed"}),
        "unarchive": ("List it again and open it to new trainings", {"archived": False}),
    }
)
KEY = _bodies(
    {
        "a client": ("A key that trains, for 90 days", {"name": "ci", "scope": "train", "lifetime_days": 90}),
        "an administrator": ("A key that manages keys; the first key has to be one", {"name": "ada", "scope": "admin"}),
    }
)
RETRACT = _bodies(
    {"reason": ("Exclude the observation from the front and from fits", {"reason": "the labels were shuffled"})}
)
