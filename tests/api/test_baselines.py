"""Custom baselines, inline or registered, are validated with pointers and treated like built-in ones."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

pytestmark = pytest.mark.databases("sqlite")  # the database does not matter to arithmetic

MBCONV: dict[str, Any] = {
    "family": "efficientnet",
    "resolution": 96,
    "stem": {"channels": 16},
    "arch_def": [
        ["ds_r1_k3_s1_c16"],
        ["ir_r2_k3_s2_e4_c24_se0.25", "ir_r1_k5_s1_e3_c24"],
        ["ir_r3_k5_s2_e6_c48_se0.25"],
    ],
    "head": {"channels": 256},
    "num_classes": 10,
}
LATE_HEAD = {
    **MBCONV,
    "family": "mobilenetv3",
    "activation": "hard_swish",
    "arch_def": [["ds_r1_k3_s2_c16_se0.25_nre"]],
}
RESNET: dict[str, Any] = {
    "family": "resnet",
    "resolution": 96,
    "stem": {"channels": 64, "kernel": 7, "stride": 2},
    "stages": [
        {"block": "bottleneck", "repeats": 2, "channels": 128, "expansion": 0.25},
        {"block": "bottleneck", "repeats": 3, "channels": 256, "stride": 2, "expansion": 0.25},
    ],
    "head": {"channels": 0},
    "activation": "relu",
    "num_classes": 10,
}
RESNEXT: dict[str, Any] = {
    **RESNET,
    "family": "resnext",
    "stages": [
        {"block": "bottleneck", "repeats": 2, "channels": 256, "expansion": 0.5, "groups": 32},
        {"block": "bottleneck", "repeats": 1, "channels": 512, "stride": 2, "expansion": 0.5, "groups": 32},
    ],
}
REGNET: dict[str, Any] = {
    "family": "regnet",
    "resolution": 96,
    "stem": {"channels": 16},
    "stages": [
        {"block": "regnet", "repeats": n, "channels": c, "stride": 2, "group_width": 8, "se_ratio": 0.25}
        for n, c in ((1, 16), (2, 32), (3, 64), (1, 128))
    ],
    "head": {"channels": 0},
    "activation": "relu",
    "num_classes": 10,
}
CONVNEXT: dict[str, Any] = {
    "family": "convnext",
    "resolution": 96,
    "stem": {"channels": 16, "kernel": 4, "stride": 4},
    "stages": [
        {"block": "convnext_linear", "repeats": n, "channels": c, "stride": s, "kernel": 5, "expansion": 4}
        for n, c, s in ((1, 16, 1), (2, 32, 2), (3, 64, 2), (1, 128, 2))
    ],
    "head": {"channels": 0},
    "activation": "gelu",
    "num_classes": 10,
}
GHOSTNET: dict[str, Any] = {
    "family": "ghostnet",
    "resolution": 96,
    "stem": {"channels": 16},
    "stages": [
        {"block": "ghost", "repeats": 1, "channels": 16},
        {"block": "ghost", "repeats": 2, "channels": 24, "stride": 2, "expansion": 3, "se_ratio": 0.25},
    ],
    "head": {"channels": 1280},
    "activation": "relu",
    "num_classes": 10,
}
EACH = {b["family"]: b for b in (MBCONV, LATE_HEAD, RESNET, RESNEXT, REGNET, CONVNEXT, GHOSTNET)}


@pytest.mark.parametrize("family", EACH)
def test_own_baseline_is_scaled_and_costed(client: TestClient, family: str) -> None:
    body = {"architecture": {"baseline": EACH[family]}, "target": {"ratio": 0.6}}

    answer = client.post("/v1/scale", json=body)

    assert answer.status_code == 200, answer.text
    found = answer.json()
    again = client.post("/v1/cost", json={"architecture": body["architecture"], "multipliers": found["multipliers"]})
    assert again.json()["config"] == found["config"]
    assert {k: again.json()["cost"][k] for k in found["cost"]} == found["cost"]
    assert client.post("/v1/cost", json={"config": found["config"]}).json() == again.json()
    assert found["config"]["timm"]["factory"].startswith("timm.")


def test_registered_baseline_is_usable_by_name(client: TestClient) -> None:
    made = client.post("/v1/architectures", json={"name": "mine", "baseline": MBCONV})

    assert made.status_code == 201, made.text
    assert made.json()["baseline"]["stages"][1]["channels"] == 24
    read = client.get("/v1/architectures/mine").json()
    assert read == made.json()
    assert client.post("/v1/scale", json={"architecture": "mine", "target": {"ratio": 0.5}}).status_code == 200
    assert client.post("/v1/architectures", json={"name": "mine", "baseline": MBCONV}).status_code == 200
    assert client.post("/v1/architectures", json={"name": "mine", "baseline": read["baseline"]}).status_code == 200


@pytest.mark.parametrize(
    ("baseline", "pointer"),
    [
        ({**MBCONV, "family": "vgg"}, "/baseline/family"),
        ({**MBCONV, "stages": RESNET["stages"]}, "/baseline"),
        ({k: v for k, v in MBCONV.items() if k != "arch_def"}, "/baseline"),
        ({**MBCONV, "arch_def": [["ds_r1_s1_c16"], ["ir_r2_k3_s2_e4_c24", "xx_r1_s1_c24"]]}, "/baseline/arch_def/1/1"),
        ({**MBCONV, "arch_def": [["ir_r2_k3_s2_c16_q7"]]}, "/baseline/arch_def/0/0"),
        ({**MBCONV, "arch_def": [["ir_k3_s2_c16"]]}, "/baseline/arch_def/0/0"),
        ({**MBCONV, "arch_def": [["ir_r99999999_s2_c16"]]}, "/baseline/arch_def/0/0"),
        ({**MBCONV, "arch_def": [["ir_r1_s3_c16"]]}, "/baseline/arch_def/0/0"),
        ({**RESNET, "stages": None, "arch_def": MBCONV["arch_def"]}, "/baseline/arch_def"),
        ({**MBCONV, "arch_def": [["ir_r64_s1_c16"]] * 5}, "/baseline/stages"),
        ({**RESNET, "stem": {"channels": 32, "kernel": 7}}, "/baseline/stem"),
        ({**RESNET, "stages": [{**RESNET["stages"][0], "channels": 130}] * 2}, "/baseline/stages/0/channels"),
        ({**REGNET, "stages": [{**s, "group_width": 7} for s in REGNET["stages"]]}, "/baseline/stages/0/group_width"),
        ({**CONVNEXT, "resolution": 24}, "/baseline/resolution"),
        ({**CONVNEXT, "stages": CONVNEXT["stages"][:3]}, "/baseline/stages"),
        ({**GHOSTNET, "head": {"channels": 640}}, "/baseline/head/channels"),
    ],
)
def test_invalid_baseline_error_has_pointer(client: TestClient, baseline: dict[str, Any], pointer: str) -> None:
    answer = client.post("/v1/architectures", json={"name": "wrong", "baseline": baseline})

    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert client.get("/v1/architectures/wrong").status_code == 404


def test_rules_that_allow_no_network_are_refused(client: TestClient) -> None:
    body = {"name": "wrong", "baseline": GHOSTNET, "rules": {"divisor": 4, "head": "scaled"}}

    answer = client.post("/v1/architectures", json=body)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/rules"


def test_channels_with_too_many_steps_are_refused(client: TestClient) -> None:
    stages = [{**RESNET["stages"][0], "channels": 8192}, {**RESNET["stages"][1], "channels": 8192}]
    body = {"name": "wrong", "baseline": {**RESNET, "stages": stages}, "rules": {"divisor": 1, "head": "fixed"}}

    answer = client.post("/v1/architectures", json=body)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/rules/divisor"


@pytest.mark.parametrize("where", ["/v1/scale", "/v1/cost", "/v1/trials"])
def test_inline_baseline_pointers_start_at_body(client: TestClient, where: str) -> None:
    body: dict[str, Any] = {"architecture": {"baseline": {**MBCONV, "arch_def": [["ir_r1_s2"]]}}}
    body |= {"/v1/scale": {"target": {"ratio": 0.5}}, "/v1/trials": {"dataset": "digits"}}.get(where, {})

    answer = client.post(where, json=body)

    assert answer.json()["errors"][0]["pointer"] == "/architecture/baseline/arch_def/0/0"


def test_stage_widths_need_one_per_stage_and_head(client: TestClient) -> None:
    body = {"architecture": "efficientnet_b0", "multipliers": {"w_stages": [1.0, 0.9]}}

    answer = client.post("/v1/cost", json=body)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/multipliers/w_stages"


def test_trained_network_can_be_rebuilt_from_its_config(client: TestClient) -> None:
    body = {"architecture": {"baseline": CONVNEXT}, "dataset": "digits", "recipe": "digits-smoke"}

    trial = client.post("/v1/trials", json=body).json()

    assert trial["config"]["timm"]["factory"] == "timm.models.convnext.ConvNeXt"
    assert client.get(f"/v1/trials/{trial['id']}").json()["config"] == trial["config"]
