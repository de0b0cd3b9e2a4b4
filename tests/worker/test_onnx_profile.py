"""An ONNX model is measured as a whole and by node."""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import Any

import pytest
from onnx import TensorProto, helper

from tests.worker.onnx_memory import convert_random_network
from tests.worker.support import TINY
from worker.onnx_profile import ProfileError, is_narrow, profile


@pytest.fixture(scope="module")
def model() -> bytes:
    return convert_random_network(TINY).SerializeToString()


@pytest.fixture(scope="module")
def profiled(model: bytes) -> dict[str, Any]:
    return profile(model, max_seconds=0.05, real_time=False)


def test_nodes_are_those_of_the_network_in_order(profiled: dict[str, Any]) -> None:
    nodes = profiled["nodes"]
    operators = Counter(node["op"] for node in nodes)

    assert operators["Conv"] + operators["FusedConv"] == 1 + sum(
        {"ds": 2, "ir": 3, "cn": 1}[s.block] * s.repeats + 2 * bool(s.se_ratio) * s.repeats for s in TINY.stages
    ) + bool(TINY.head.channels)
    assert nodes[0]["inputs"][0] == [1, TINY.in_chans, *TINY.sides]
    assert nodes[-1]["output"] == [1, TINY.num_classes]


def test_profile_is_plain_data_with_its_quantiles(profiled: dict[str, Any]) -> None:
    assert json.loads(json.dumps(profiled)) == profiled
    assert 0 < profiled["ms"] <= profiled["median_ms"] <= profiled["p90_ms"]
    assert all(node["ms"] >= 0 for node in profiled["nodes"])
    assert profiled["runs"] >= 6
    assert profiled["runtime"].startswith("onnxruntime ")


def test_whole_model_is_measured_without_its_nodes(model: bytes) -> None:
    whole = profile(model, max_seconds=0.01, with_nodes=False, real_time=False)

    assert whole["ms"] > 0
    assert whole["nodes"] == []


def test_interval_of_steady_runs_is_narrow() -> None:
    assert is_narrow([1.0, 1.001, 0.999] * 7)
    assert not is_narrow([1.0, 1.1, 0.9] * 7)


@pytest.mark.parametrize("real_time", [True, False])
def test_scheduling_is_restored(model: bytes, real_time: bool) -> None:
    before = os.sched_getaffinity(0), os.sched_getscheduler(0)

    scheduling = profile(model, max_seconds=0.01, real_time=real_time)["scheduling"]

    assert (os.sched_getaffinity(0), os.sched_getscheduler(0)) == before
    assert real_time or scheduling == "normal"


def test_file_that_is_no_model_is_refused() -> None:
    with pytest.raises(ProfileError, match="cannot load"):
        profile(b"no model")


def test_input_of_any_size_is_refused() -> None:
    """A graph of the shape [batch, channels, height, width] whose sides are not fixed has no latency."""
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, "height", "width"])
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3, "height", "width"])
    graph = helper.make_graph([helper.make_node("Relu", ["images"], ["logits"])], "any", [image], [output])
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()

    with pytest.raises(ProfileError, match="all but the batch fixed"):
        profile(content)
