"""The usual FLOPs counters side by side, and how they differ."""

from __future__ import annotations

from dataclasses import dataclass

from app.scaling.cost.ledger import Cost


@dataclass(frozen=True)
class Counter:
    """A counter's value for one image, and what it counts."""

    name: str
    value: int
    description: str


def counters(cost: Cost) -> list[Counter]:
    """Return multiply-adds with and without biases, twice those, and fvcore's total for the same network."""
    layers = "convolutions and linear layers"
    return [
        Counter(
            "multiply_adds",
            cost.flops,
            f"Multiply-adds of {layers}, biases not counted: `flops` here and in the TinyNet and EfficientNet papers.",
        ),
        Counter(
            "multiply_adds_with_bias",
            cost.flops + cost.bias_adds,
            f"Multiply-adds of {layers} and {cost.bias_adds:,} additions of biases.",
        ),
        Counter(
            "operations",
            2 * cost.flops,
            f"Multiplications and additions of {layers} one by one, biases not counted: twice `multiply_adds`. "
            "PyTorch's FlopCounterMode.",
        ),
        Counter(
            "operations_with_bias",
            2 * cost.flops + cost.bias_adds,
            f"Multiplications and additions of {layers} one by one, additions of biases among them.",
        ),
        Counter("fvcore", cost.fvcore_total, _describe_fvcore(cost)),
    ]


def _describe_fvcore(cost: Cost) -> str:
    descriptions = {
        "batch_norm": "of batch norm (2 an element)",
        "layer_norm": "of layer norm (5 an element)",
        "adaptive_avg_pool2d": "of adaptive average pooling (1 an input element)",
    }
    additions = [
        f"{cost.by_operator[name]:,} {description}"
        for name, description in descriptions.items()
        if cost.by_operator[name]
    ]
    return f"fvcore's FlopCountAnalysis: `multiply_adds` and {', '.join(additions)}."
