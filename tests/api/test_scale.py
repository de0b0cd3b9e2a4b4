from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.scaling.predictors.published_tinynets import TINYNETS
from tests.support import SMALL


def scale(client: TestClient, **body) -> dict:
    answer = client.post("/v1/scale", json={"architecture": "efficientnet_b0", **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("net", TINYNETS, ids=lambda net: net.name)
def test_the_built_in_predictor_recovers_the_published_tinynets(client: TestClient, net) -> None:
    answer = scale(client, target={"flops": net.flops})

    assert answer["multipliers"]["r"] == pytest.approx(net.multipliers.r, abs=0.03)
    assert answer["multipliers"]["d"] == pytest.approx(net.multipliers.d, abs=0.03)
    assert abs(answer["budget_error"]) <= 0.005
    assert answer["predictor"]["id"] == "published-tinynets"
    assert answer["predicted_accuracy"]["dataset"] == "imagenet-1000"
    assert answer["predicted_accuracy"]["mean"] == pytest.approx(net.top1, abs=0.01)


@pytest.mark.parametrize("net", TINYNETS, ids=lambda net: net.name)
def test_a_tinynet_is_returned_at_its_own_cost(client: TestClient, net) -> None:
    published = client.post("/v1/cost", json={"architecture": net.name}).json()

    answer = scale(client, target={"flops": published["cost"]["flops"]})

    assert {**answer["config"], "name": net.name} == {**published["config"], "name": net.name}


@pytest.mark.parametrize("net", TINYNETS, ids=lambda net: net.name)
def test_published_width_is_solved_from_r_and_d(client: TestClient, net) -> None:
    m = net.multipliers

    answer = scale(
        client,
        rule="manual",
        multipliers={"r": m.r, "d": m.d},
        target={"flops": net.flops},
        budget={"tolerance": None},
    )

    assert answer["multipliers"]["w"] == pytest.approx(m.w, abs=0.03)
    assert answer["cost"]["flops"] == pytest.approx(net.flops, rel=0.02)
    assert answer["config"]["resolution"] == int(224 * m.r)


def test_returned_multipliers_reproduce_the_network(client: TestClient) -> None:
    first = scale(client, target={"flops": 123_456_789})
    again = scale(client, rule="manual", multipliers=first["multipliers"])
    costed = client.post(
        "/v1/cost", json={"architecture": "efficientnet_b0", "multipliers": first["multipliers"]}
    ).json()

    assert again["config"] == costed["config"] == first["config"]


def test_at_most_is_never_above(client: TestClient) -> None:
    for millions in (24, 52, 77, 100, 150, 202, 339):
        answer = scale(client, target={"flops": millions * 10**6}, budget={"mode": "at_most"})
        assert answer["cost"]["flops"] <= millions * 10**6


def test_a_ratio_is_relative_to_the_baseline(client: TestClient) -> None:
    answer = scale(client, target={"ratio": 0.5})

    assert answer["target_flops"] == round(0.5 * 385_814_752)


def test_fixed_input_size_is_respected(client: TestClient) -> None:
    answer = scale(client, target={"flops": 150_000_000}, constraints={"resolution": {"fixed": 224}})

    assert answer["config"]["resolution"] == 224


def test_unreachable_target_states_reachable_range(client: TestClient) -> None:
    answer = client.post("/v1/scale", json={"architecture": "efficientnet_b0", "target": {"flops": 1000}})

    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (422, "/problems/target-out-of-range")
    assert 1000 < problem["min_flops"] < problem["max_flops"]


def test_extrapolation_is_reported(client: TestClient) -> None:
    answer = scale(client, target={"flops": 10_000_000})

    assert "extrapolated" in [w["code"] for w in answer["warnings"]]


def test_another_architectures_predictor_is_named_as_transferred(client: TestClient) -> None:
    answer = scale(client, architecture={**SMALL, "name": "inline"}, target={"ratio": 0.4}, rule="tiny_formula")

    assert "transferred" in [w["code"] for w in answer["warnings"]]
    assert answer["predicted_accuracy"] is None


def test_a_family_is_one_call(client: TestClient) -> None:
    targets = [{"ratio": c} for c in (0.873, 0.520, 0.258, 0.134, 0.063)]

    answer = client.post("/v1/scale/family", json={"architecture": "efficientnet_b0", "targets": targets})

    assert [round(i["cost"]["flops"] / 1e6) for i in answer.json()["items"]] == pytest.approx(
        [337, 201, 100, 52, 24], abs=1.5
    )


def test_rules_are_compared_for_one_target(client: TestClient) -> None:
    answer = client.post("/v1/compare", json={"architecture": "efficientnet_b0", "target": {"flops": 52_000_000}})

    items = {item["rule"]: item["answer"] for item in answer.json()["items"]}
    assert set(items) == {"tiny_formula", "surrogate", "compound", "dwr", "fast", "resolution", "depth", "width"}
    assert [item["problem"] for item in answer.json()["items"] if item["rule"] == "surrogate"] != [None]
    assert items["depth"] is None, "depth alone does not reach it"
    # The paper's point: at small budgets the tiny formula keeps more resolution than compound scaling does.
    assert items["tiny_formula"]["multipliers"]["r"] > items["compound"]["multipliers"]["r"]


def test_cost_of_published_network_matches_paper(client: TestClient) -> None:
    body = {"architecture": "efficientnet_b0", "multipliers": {"r": 0.84, "d": 1.1, "w": 0.75}}

    answer = client.post("/v1/cost", json=body).json()

    cost = answer["cost"]
    assert round(cost["flops"] / 1e6, 1) == 200.7
    assert round(cost["fvcore_total"] / 1e6, 1) == 209.6
    assert round(cost["params"] / 1e6, 3) == 3.731
    for key in ("flops", "fvcore_total", "params", "activations"):
        assert sum(stage[key] for stage in cost["stages"]) == cost[key]
    assert client.post("/v1/cost", json={"config": answer["config"]}).json() == answer


def test_stages_and_comparison_come_with_the_network(client: TestClient) -> None:
    asked = {"architecture": "efficientnet_b0", "target": {"ratio": 0.258}}

    answer = client.post("/v1/scale", json={**asked, "include": ["stages", "comparison"]}).json()

    alone = client.post("/v1/scale", json=asked).json()
    assert (alone.pop("stages"), alone.pop("comparison")) == (None, None)
    stages, comparison = answer.pop("stages"), answer.pop("comparison")
    assert answer == alone
    assert stages == client.post("/v1/cost", json={"config": answer["config"]}).json()["cost"]["stages"]
    assert comparison == client.post("/v1/compare", json=asked).json()["items"]


@pytest.mark.parametrize(
    "more",
    [
        {"include": ["weights"]},
        {"include": ["stages"], "train": {"dataset": "digits"}},
        {"include": ["comparison"], "target": None, "rule": "manual", "multipliers": {"r": 1, "d": 1, "w": 1}},
    ],
)
def test_invalid_include_is_rejected(client: TestClient, more: dict[str, Any]) -> None:
    asked = {"architecture": "efficientnet_b0", "target": {"ratio": 0.258}, **more}

    assert client.post("/v1/scale", json=asked).status_code == 422
