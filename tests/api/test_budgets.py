"""Budgets over HTTP: what is met and how, what stands in the way, and the counters."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

B0 = 385_814_752


@pytest.fixture
def empty_database(sqlite: str) -> str:
    """One will do: what is tested here is arithmetic."""
    return sqlite


def scale(client: TestClient, **body: Any) -> dict[str, Any]:
    answer = client.post("/v1/scale", json={"architecture": "efficientnet_b0", **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_budget_is_met_with_little_movement_which_the_answer_tells(client: TestClient) -> None:
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

    assert kept["moved"] == exact["moved"] == {"resolution": 0, "r": 0, "d": 0}
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
def test_a_constraint_is_kept(client: TestClient, constraints: dict[str, Any], kept: Any) -> None:
    answer = scale(client, target={"ratio": 0.25}, constraints=constraints)

    assert kept(answer)
    assert abs(answer["budget_error"]) <= 0.005


def test_a_target_that_a_constraint_puts_out_of_reach_says_which(client: TestClient) -> None:
    body = {
        "architecture": "resnet50",
        "target": {"ratio": 0.5},
        "constraints": {"max_params": 1_000_000, "resolution": {"multiple_of": 32}},
    }

    answer = client.post("/v1/scale", json=body)

    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (422, "/problems/target-out-of-range")
    assert problem["constraints"] == ["max_params"]
    assert problem["least"] < problem["most"] < 0.5 * 4_089_184_256
    assert problem["nearest"]["cost"]["flops"] == problem["most"]
    assert problem["nearest"]["cost"]["params"] <= 1_000_000
    costed = client.post("/v1/cost", json={"config": problem["nearest"]["config"]}).json()
    assert costed["cost"]["flops"] == problem["most"]


def test_without_constraints_the_nearest_of_a_target_out_of_range_is_the_least_network(client: TestClient) -> None:
    for mode in ("nearest", "at_most"):
        body = {"architecture": "efficientnet_b0", "target": {"flops": 1000}, "budget": {"mode": mode}}
        problem = client.post("/v1/scale", json=body).json()
        assert problem["constraints"] == []
        assert problem["nearest"]["cost"]["flops"] == problem["least"]


def test_a_channel_divisor_that_a_family_cannot_have_is_pointed_at(client: TestClient) -> None:
    body = {"architecture": "ghostnet_100", "target": {"ratio": 0.5}, "constraints": {"channel_divisor": 48}}

    answer = client.post("/v1/scale", json=body)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/constraints/channel_divisor"


@pytest.mark.parametrize("rule", ["compound", "dwr", "fast", "width"])
def test_baselines_grow_as_well(client: TestClient, rule: str) -> None:
    answer = scale(client, target={"ratio": 2.0}, rule=rule)

    assert abs(answer["budget_error"]) <= 0.005
    assert answer["cost"]["flops"] > 1.9 * B0


def test_growing_by_the_tiny_formula_is_a_guess_and_says_so(client: TestClient) -> None:
    answer = scale(client, target={"ratio": 1.5})

    assert "extrapolated" in [w["code"] for w in answer["warnings"]]


def test_growing_past_the_largest_input_says_what_stands_in_the_way(client: TestClient) -> None:
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


def test_the_counters_are_side_by_side_with_what_they_count(client: TestClient) -> None:
    cost = client.post("/v1/cost", json={"architecture": "convnext_atto"}).json()["cost"]

    values = {counter["name"]: counter["value"] for counter in cost["counters"]}
    biases = values["multiply_adds_with_bias"] - values["multiply_adds"]
    assert values["multiply_adds"] == cost["flops"]
    assert values["fvcore"] == cost["fvcore_total"]
    assert values["operations"] == 2 * cost["flops"]
    assert values["operations_with_bias"] == 2 * cost["flops"] + biases
    assert biases > 0
    assert f"{cost['by_operator']['layer_norm']:,} of layer norm" in cost["counters"][-1]["counts"]
