"""Budgets of a device over HTTP: parameters, bytes of weights and of activations, as targets and as constraints."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

pytestmark = pytest.mark.databases("sqlite")  # the database does not matter to arithmetic

TARGETS: list[dict[str, Any]] = [
    {"params": 2_400_000},
    {"weights_bytes": 9_000_000},
    {"weights_bytes": 2_500_000, "precision": "int8"},
    {"activation_bytes": 2_000_000, "precision": "float32"},
    {"activation_bytes": 500_000, "precision": "int8"},
]


def amount(cost: dict[str, Any], target: dict[str, Any]) -> int:
    """Return a network's cost in the unit of a target."""
    name = next(iter(target))
    return cost[name] if name == "params" else cost[name][target.get("precision", "float32")]


def post(client: TestClient, path: str, status: int = 200, **body: Any) -> dict[str, Any]:
    answer = client.post(path, json={"architecture": "efficientnet_b0"} | body)
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_target_is_met_and_answered_in_its_unit(client: TestClient, target: dict[str, Any]) -> None:
    answer = post(client, "/v1/scale", target=target)
    wanted, found = next(iter(target.values())), amount(answer["cost"], target)

    assert abs(found / wanted - 1) <= (0.03 if "activation_bytes" in target else 0.005)
    assert answer["budget_error"] == (found - wanted) / wanted
    assert answer["target_flops"] is None
    assert answer["target"].items() >= target.items()
    assert (
        post(client, "/v1/cost", architecture=None, config=answer["config"])["cost"].items() >= answer["cost"].items()
    )
    assert post(client, "/v1/scale", target=answer["target"])["config"] == answer["config"]


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_at_most_is_never_above_the_target(client: TestClient, target: dict[str, Any]) -> None:
    rules = ["tiny_formula", "compound", "dwr", "fast"]
    answer = post(client, "/v1/compare", target=target, rules=rules, budget={"mode": "at_most"})

    assert answer["target_flops"] is None
    assert answer["target"].items() >= target.items()
    for item in answer["items"]:
        assert (
            0.9 * next(iter(target.values())) <= amount(item["answer"]["cost"], target) <= next(iter(target.values()))
        )


def test_family_takes_targets_of_several_units(client: TestClient) -> None:
    targets = [{"ratio": 0.3}, {"flops": 100_000_000}, *TARGETS]
    answer = post(client, "/v1/scale/family", targets=targets)

    assert [next(iter(item["target"])) for item in answer["items"]] == [
        "flops",
        "flops",
        *(next(iter(t)) for t in TARGETS),
    ]
    assert [item["target_flops"] is None for item in answer["items"]] == [False, False, *(True for _ in TARGETS)]


@pytest.mark.parametrize(
    "target",
    [
        {},
        {"flops": 10**8, "params": 10**6},
        {"weights_bytes": 10**6, "activation_bytes": 10**6},
        {"params": 10**6, "precision": "int8"},
        {"weights_bytes": 10**6, "precision": "int4"},
        {"weights_bytes": 0},
        {"latency_ms": 5, "device": "phone"},
    ],
    ids=str,
)
def test_ambiguous_target_is_a_validation_problem(client: TestClient, target: dict[str, Any]) -> None:
    assert post(client, "/v1/scale", 422, target=target)["type"].endswith("validation")


def test_several_limits_hold_at_once(client: TestClient) -> None:
    limits = {"max_flops": 60_000_000, "max_activation_bytes": 327_680, "max_params": 1_900_000, "precision": "int8"}
    target = {"weights_bytes": 1_800_000, "precision": "int8"}
    answer = post(
        client,
        "/v1/scale",
        architecture="mobilenetv2_100",
        target=target,
        constraints=limits,
        budget={"mode": "at_most"},
    )
    cost = answer["cost"]

    assert cost["flops"] <= limits["max_flops"]
    assert cost["params"] <= limits["max_params"]
    assert cost["activation_bytes"]["int8"] <= limits["max_activation_bytes"]
    assert cost["weights_bytes"]["int8"] <= target["weights_bytes"]


def test_limit_in_bytes_has_the_precision_of_the_target(client: TestClient) -> None:
    target = {"weights_bytes": 1_800_000, "precision": "int8"}
    limited = post(
        client,
        "/v1/scale",
        architecture="mobilenetv2_100",
        target=target,
        constraints={"max_activation_bytes": 327_680},
    )

    assert 327_680 // 4 < limited["cost"]["activation_bytes"]["int8"] <= 327_680


def test_limit_of_weights_is_counted_by_its_precision(client: TestClient) -> None:
    limits = {"max_weights_bytes": 2_300_000, "precision": "int8"}
    answer = post(client, "/v1/scale", target={"flops": 200_000_000}, constraints=limits)

    assert answer["cost"]["weights_bytes"]["int8"] <= 2_300_000 < answer["cost"]["weights_bytes"]["float32"]
    assert abs(answer["budget_error"]) <= 0.005


@pytest.mark.parametrize("target", [{"params": 20_000}, {"weights_bytes": 50_000, "precision": "int8"}], ids=str)
def test_infeasible_target_names_what_is_reachable(client: TestClient, target: dict[str, Any]) -> None:
    problem = post(client, "/v1/scale", 422, target=target)
    reachable = problem["reachable"]

    assert problem["type"].endswith("target-out-of-range")
    assert reachable["unit"] == next(iter(target))
    assert reachable["precision"] == target.get("precision")
    assert (
        next(iter(target.values())) < reachable["min"] == amount(problem["nearest"]["cost"], target) < reachable["max"]
    )
    assert "min_flops" not in problem


def test_limits_in_the_way_of_a_target_are_named(client: TestClient) -> None:
    limits = {"max_flops": 60_000_000, "resolution": {"fixed": 224}}
    problem = post(client, "/v1/scale", 422, target={"params": 5_000_000}, constraints=limits)

    assert "max_flops" in problem["constraints"]
    assert problem["nearest"]["cost"]["flops"] <= 60_000_000


def test_manual_rule_solves_the_width_for_memory(client: TestClient) -> None:
    target = {"weights_bytes": 3_000_000, "precision": "int8"}
    answer = post(client, "/v1/scale", target=target, rule="manual", multipliers={"r": 0.8, "d": 0.9})

    assert abs(answer["budget_error"]) <= 0.005
    assert abs(answer["moved"]["d"]) <= 0.055


def test_cost_answers_bytes_by_precision(client: TestClient) -> None:
    cost = post(client, "/v1/cost")["cost"]

    assert cost["activation_bytes"] == {
        "float32": cost["peak_activation_bytes"],
        "int8": cost["peak_activation_bytes"] // 4,
    }
    assert cost["params"] < cost["weights_bytes"]["int8"] < cost["weights_bytes"]["float32"] < 4 * cost["params"]
    assert sum(stage["weights_bytes"]["int8"] for stage in cost["stages"]) == cost["weights_bytes"]["int8"]
    assert max(stage["activation_bytes"]["int8"] for stage in cost["stages"]) == cost["activation_bytes"]["int8"]
