"""Inputs of two sides in requests, answers and stored studies."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

BASELINE = {
    "family": "efficientnet",
    "resolution": [32, 64],
    "stem": {"channels": 8},
    "stages": [
        {"block": "ds", "repeats": 1, "channels": 8},
        {"block": "ir", "repeats": 4, "channels": 16, "stride": 2, "expansion": 3},
        {"block": "ir", "repeats": 2, "channels": 32, "stride": 2, "expansion": 3},
    ],
    "head": {"channels": 32},
    "in_chans": 1,
    "num_classes": 10,
}
WIDE = {"name": "wide", "baseline": BASELINE}


def scaled(client: TestClient, status: int = 200, **body: Any) -> dict[str, Any]:
    answer = client.post("/v1/scale", json={"architecture": WIDE, "target": {"ratio": 0.4}, "rule": "dwr", **body})
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def test_answer_can_be_sent_back(client: TestClient) -> None:
    answer = scaled(client)
    sent_back = {"architecture": WIDE, "multipliers": answer["multipliers"]}
    costs = [client.post("/v1/cost", json=body).json() for body in (sent_back, {"config": answer["config"]})]

    height, width = answer["config"]["resolution"]
    assert abs(height / 32 - width / 64) <= 1 / 32
    assert len(answer["moved"]["resolution"]) == 2
    assert abs(answer["budget_error"]) <= 0.005
    for cost in costs:
        assert cost["config"] == answer["config"]
        assert {name: cost["cost"][name] for name in answer["cost"]} == answer["cost"]


def test_equal_sides_are_a_square(client: TestClient) -> None:
    square = {**WIDE, "baseline": {**BASELINE, "resolution": [48, 48]}}
    answers = [
        scaled(client, architecture=architecture)
        for architecture in (square, {**WIDE, "baseline": {**BASELINE, "resolution": 48}})
    ]

    assert answers[0] == answers[1]
    assert isinstance(answers[0]["config"]["resolution"], int)
    assert isinstance(answers[0]["moved"]["resolution"], int)


def test_registered_baseline_keeps_both_sides(client: TestClient) -> None:
    assert client.post("/v1/architectures", json=WIDE).json()["resolution"] == [32, 64]
    assert client.post("/v1/architectures", json=WIDE).status_code == 200

    assert client.get("/v1/architectures/wide").json()["baseline"]["resolution"] == [32, 64]
    assert scaled(client, architecture="wide")["config"] == scaled(client)["config"]


@pytest.mark.parametrize(
    "resolution", [[32], [32, 64, 3], [7, 64], [32, 1025], [32, "64"], "32x64", [], None, [32.5, 64]]
)
def test_invalid_sides_are_named(client: TestClient, resolution: Any) -> None:
    architecture = {**WIDE, "baseline": {**BASELINE, "resolution": resolution}}
    problem = scaled(client, 422, architecture=architecture)

    assert problem["errors"][0]["pointer"].startswith("/architecture/baseline/resolution")


def test_constraints_hold_for_both_sides(client: TestClient) -> None:
    fixed = scaled(client, constraints={"resolution": {"fixed": [24, 48]}})
    multiple = scaled(client, constraints={"resolution": {"multiple_of": 8}})

    assert fixed["config"]["resolution"] == [24, 48]
    assert all(side % 8 == 0 for side in multiple["config"]["resolution"])


@pytest.mark.parametrize("fixed", [32, [48, 24]])
def test_fixed_input_of_another_aspect_is_out_of_range(client: TestClient, fixed: Any) -> None:
    problem = scaled(client, 422, constraints={"resolution": {"fixed": fixed}})

    assert problem["type"].endswith("target-out-of-range")
    assert problem["constraints"] == ["resolution.fixed"]


@pytest.mark.databases("sqlite", "postgresql")
def test_study_suggests_and_keeps_inputs_of_two_sides(client: TestClient) -> None:
    study = {"name": "wide", "architecture": WIDE, "dataset": "digits", "trials": 4, "sampler": "active"}
    created = client.post("/v1/studies", json=study)
    assert created.status_code == 201, created.text
    url = f"/v1/studies/{created.json()['id']}"
    client.post(f"{url}/start")  # its trials are networks that are not suggested
    items = [item for name in "ab" for item in client.post(f"{url}/ask", json={"client": name, "n": 3}).json()["items"]]
    configs = [item["config"] for item in items]
    for number, item in enumerate(items):
        told = client.post(f"{url}/tell", json={"suggestion": item["id"], "accuracy": 0.5 + number / 100})
        assert told.status_code in (200, 201), told.text
    rows = [{"r": 0.5, "d": 1, "w": 1, "accuracy": 0.3}]
    assert client.post(f"{url}/observations", json={"observations": rows}).json()["imported"] == 1

    observations = client.get(f"{url}/observations").json()["items"]
    table = client.get(f"{url}/observations", headers={"Accept": "text/csv"}).text
    assert len({str(config) for config in configs}) == len(configs) == 6
    assert [o["resolution"] for o in observations] == [*(c["resolution"] for c in configs), [16, 32]]
    assert table.splitlines()[-1].split(",")[7] == "16x32"
    assert client.get(url).json()["best"]["resolution"] == configs[-1]["resolution"]


def test_input_that_is_too_small_for_the_network_is_named(client: TestClient) -> None:
    convnext = client.get("/v1/architectures/convnext_atto").json()["baseline"]
    del convnext["timm"]
    thin = {"name": "thin", "baseline": {**convnext, "resolution": [128, 64], "num_classes": 10}}
    created = client.post("/v1/studies", json={"name": "thin", "architecture": thin, "dataset": "digits", "trials": 1,
                                               "space": {"r": [0.8, 1]}})  # fmt: skip
    assert created.status_code == 201, created.text
    rows = [{"r": 0.4, "d": 1, "w": 1, "accuracy": 0.3}]
    answer = client.post(f"/v1/studies/{created.json()['id']}/observations", json={"observations": rows})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["message"] == "51 × 25 px are too small: the network needs at least 64 × 32 px"
