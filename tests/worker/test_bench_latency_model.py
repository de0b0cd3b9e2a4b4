"""The recorded networks of the bench of the latency model are those that its seeds give."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from app.scaling.latency.operators import list_operators
from app.scaling.latency.profiles import LAYER_KINDS

ROOT = Path(__file__).parents[2]
BENCH: dict[str, Any] = runpy.run_path(str(ROOT / "bench" / "latency_model.py"))


def test_recorded_layers_are_those_of_the_networks() -> None:
    records = BENCH["_read"](BENCH["RECORDED"])

    for seed in range(BENCH["FITTED"]):
        measured = BENCH["to_measured"](records[seed])
        operators = list_operators(measured.config)
        assert len(measured.layer_ms) == sum(operator.kind in LAYER_KINDS for operator in operators)
        assert sum(measured.layer_ms) == pytest.approx(measured.ms)


def test_a_round_keeps_the_fastest_time_of_each_layer() -> None:
    seed = BENCH["BASELINES"].index("resnet18")
    records = BENCH["_read"](BENCH["RECORDED"])
    record, config = records[seed], BENCH["to_config"](seed)
    nodes = [
        {"op": "Conv" if o.kind == "conv" else "Gemm", "ms": 1.0, "output": [1, o.out_channels, *o.out_sides],
         "inputs": [[1, o.in_channels, *(o.in_sides if o.kind == "conv" else ())], [0, 0, o.kernel, o.kernel]]}
        for o in list_operators(config) if o.kind in LAYER_KINDS
    ]  # fmt: skip
    nodes[-1]["output"] = [1, config.num_classes]
    faster = {**record["device"], "ms": 0.5, "nodes": nodes}

    added = BENCH["add_round"](record, seed, faster)

    assert added["rounds"] == [*record["rounds"], 0.5]
    assert max(added["layers"]) <= 0.5 / len(nodes) + 1e-6
    assert all(new <= old for new, old in zip(added["layers"], record["layers"], strict=True))
