"""Budgets over HTTP: how they are met, what prevents that, and the FLOPs counters."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

pytestmark = pytest.mark.databases("sqlite")  # the database does not matter to arithmetic

B0 = 385_814_752


def scale(client: TestClient, **body: Any) -> dict[str, Any]:
    answer = client.post("/v1/scale", json={"architecture": "efficientnet_b0"} | body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_budget_is_met_and_movement_reported(client: TestClient) -> None:
    for ratio in (0.08, 0.21, 0.34, 0.47, 0.6, 0.73, 0.86, 0.99):
        answer = scale(client, target={"ratio": ratio})
        assert abs(answer["budget_error"]) <= 0.0005
        assert abs(answer["moved"]["resolution"]) <= 8
        assert abs(answer["moved"]["d"]) <= 0.055
        assert answer["moved"]["r"] == answer["moved"]["resolution"] / 224


def test_nothing_moves_where_nothing_may(client: TestClient) -> None:
    still = {"movement": {"resolution": 0, "d": 0, "stages": False}}
    kept = scale(client, target={"ratio": 0.47}, budget=still)
    exact = scale(client, target={"ratio": 0.47}, budget={"tolerance": None})

    assert kept["moved"] == exact["moved"] == {"resolution": 0, "r": 0, "d": 0, "blocks": 0, "w": None}
    assert kept["multipliers"]["w_stages"] is exact["multipliers"]["w_stages"] is None
    assert kept["config"] == exact["config"]


@pytest.mark.parametrize(
    ("constraints", "kept"),
    [
        ({"resolution": {"multiple_of": 32}}, lambda a: a["config"]["resolution"] % 32 == 0),
        ({"resolution": {"min": 200}}, lambda a: a["config"]["resolution"] >= 200),
        ({"resolution": {"max": 160}}, lambda a: a["config"]["resolution"] <= 160),
        ({"max_params": 2_600_000}, lambda a: a["cost"]["params"] <= 2_600_000),
        ({"max_activation_bytes": 2_400_000}, lambda a: a["cost"]["peak_activation_bytes"] <= 2_400_000),
        ({"channel_divisor": 16}, lambda a: all(s["channels"] % 16 == 0 for s in a["config"]["stages"])),
    ],
)
def test_constraint_is_respected(client: TestClient, constraints: dict[str, Any], kept: Any) -> None:
    answer = scale(client, target={"ratio": 0.25}, constraints=constraints)

    assert kept(answer)
    assert abs(answer["budget_error"]) <= 0.005


@pytest.mark.parametrize("flops", [20_000_000, 40_000_000, 60_000_000])
def test_memory_of_a_microcontroller_is_met_by_moving(client: TestClient, flops: int) -> None:
    body = {"architecture": "mobilenetv2_100", "constraints": {"max_activation_bytes": 1_310_720}}
    answer = scale(client, **body, target={"flops": flops})

    assert answer["cost"]["peak_activation_bytes"] <= 1_310_720
    assert abs(answer["budget_error"]) <= 0.005
    is_far = abs(answer["moved"]["resolution"]) > 8 or abs(answer["moved"]["d"]) > 0.2
    assert is_far <= ("moved_for_constraint" in [w["code"] for w in answer["warnings"]])
    assert answer["search_truncated"] is False


def test_int8_memory_allows_four_times_the_elements(client: TestClient) -> None:
    limits = {"max_activation_bytes": 327_680, "activation_bytes_per_element": 1}
    narrow = scale(client, target={"flops": 100_000_000}, constraints=limits)
    same = scale(client, target={"flops": 100_000_000}, constraints={"max_activation_bytes": 4 * 327_680})

    assert narrow["config"] == same["config"]
    assert narrow["cost"]["peak_activation_bytes"] <= 4 * 327_680


def test_constraints_in_the_way_together_are_all_named(client: TestClient) -> None:
    limits = {"max_params": 1_400_000, "max_activation_bytes": 300_000}
    body = {"architecture": "efficientnet_b0", "target": {"flops": 2_000_000_000}, "constraints": limits}
    problem = client.post("/v1/scale", json=body).json()

    assert problem["type"] == "/problems/target-out-of-range"
    assert set(limits) <= set(problem["constraints"])
    assert "together it could be met" in problem["detail"]
    assert problem["nearest"]["cost"]["flops"] == problem["max_flops"]


def test_px_up_to_1024_is_reached(client: TestClient) -> None:
    multipliers = {"r": 4.0, "d": 1.0}
    answer = scale(client, target={"flops": 6_000_000_000}, rule="manual", multipliers=multipliers)

    assert abs(answer["config"]["resolution"] - 896) <= 32
    assert "moved_for_constraint" not in [w["code"] for w in answer["warnings"]]


def test_px_bound_is_said_in_the_refusal(client: TestClient) -> None:
    body = {"architecture": "efficientnet_b0", "target": {"ratio": 50}, "rule": "resolution"}

    assert "resolution.max (1,024)" in client.post("/v1/scale", json=body).json()["detail"]


def test_unreachable_target_names_its_constraint(client: TestClient) -> None:
    body = {
        "architecture": "resnet50",
        "target": {"ratio": 0.5},
        "constraints": {"max_params": 1_000_000, "resolution": {"multiple_of": 32}},
        "budget": {"movement": {"resolution": 8, "d": 0.05}},
    }

    answer = client.post("/v1/scale", json=body)

    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (422, "/problems/target-out-of-range")
    assert problem["constraints"] == ["max_params"]
    assert problem["min_flops"] < problem["max_flops"] < 0.5 * 4_089_184_256
    assert problem["nearest"]["cost"]["flops"] == problem["max_flops"]
    assert problem["nearest"]["cost"]["params"] <= 1_000_000
    costed = client.post("/v1/cost", json={"config": problem["nearest"]["config"]}).json()
    assert costed["cost"]["flops"] == problem["max_flops"]


def test_nearest_to_unreachable_target_is_smallest_network(client: TestClient) -> None:
    for mode in ("nearest", "at_most"):
        body = {"architecture": "efficientnet_b0", "target": {"flops": 1000}, "budget": {"mode": mode}}
        problem = client.post("/v1/scale", json=body).json()
        assert problem["constraints"] == []
        assert problem["nearest"]["cost"]["flops"] == problem["min_flops"]


def test_impossible_channel_divisor_error_has_pointer(client: TestClient) -> None:
    body = {"architecture": "ghostnet_100", "target": {"ratio": 0.5}, "constraints": {"channel_divisor": 48}}

    answer = client.post("/v1/scale", json=body)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/constraints/channel_divisor"


@pytest.mark.parametrize("rule", ["compound", "dwr", "fast", "width"])
def test_baselines_grow_as_well(client: TestClient, rule: str) -> None:
    answer = scale(client, target={"ratio": 2.0}, rule=rule)

    assert abs(answer["budget_error"]) <= 0.005
    assert answer["cost"]["flops"] > 1.9 * B0


def test_growing_by_tiny_formula_warns_of_extrapolation(client: TestClient) -> None:
    answer = scale(client, target={"ratio": 1.5})

    assert "extrapolated" in [w["code"] for w in answer["warnings"]]


def test_growth_limited_by_resolution_is_explained(client: TestClient) -> None:
    body = {"architecture": "efficientnet_b0", "target": {"ratio": 50}, "rule": "resolution"}

    problem = client.post("/v1/scale", json=body).json()

    assert problem["type"] == "/problems/target-out-of-range"
    assert problem["constraints"] == ["resolution.max"]


def test_manual_multipliers_stand_beside_the_rules(client: TestClient) -> None:
    body = {"architecture": "resnet18", "target": {"ratio": 0.5}, "multipliers": {"r": 1.0, "d": 0.8}}

    items = client.post("/v1/compare", json=body).json()["items"]

    assert [item["rule"] for item in items][-1] == "manual"
    assert "no surrogate" in next(item["problem"] for item in items if item["rule"] == "surrogate")
    for item in items:
        if item["rule"] not in ("resolution", "depth", "surrogate"):  # the first two's steps are some percent
            assert abs(item["answer"]["budget_error"]) <= 0.005


def test_counters_are_listed_with_what_they_count(client: TestClient) -> None:
    cost = client.post("/v1/cost", json={"architecture": "convnext_atto"}).json()["cost"]

    values = {counter["name"]: counter["value"] for counter in cost["counters"]}
    biases = values["multiply_adds_with_bias"] - values["multiply_adds"]
    assert values["multiply_adds"] == cost["flops"]
    assert values["fvcore"] == cost["fvcore_total"]
    assert values["operations"] == 2 * cost["flops"]
    assert values["operations_with_bias"] == 2 * cost["flops"] + biases
    assert biases > 0
    assert f"{cost['by_operator']['layer_norm']:,} of layer norm" in cost["counters"][-1]["description"]
