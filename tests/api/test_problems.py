"""A bad request to every route gets a problem document with a 4xx, whatever is wrong with it."""

from __future__ import annotations

import json

import pytest
from fastapi.testclient import TestClient

MISSING = "0" * 32

READS = [
    "/v1/architectures/none",
    f"/v1/studies/{MISSING}",
    f"/v1/studies/{MISSING}/observations",
    f"/v1/studies/{MISSING}/front",
    f"/v1/studies/{MISSING}/correlations",
    f"/v1/studies/{MISSING}/figures/predictor-curve.svg",
    "/v1/predictors/none",
    "/v1/predictors/none/curve",
    f"/v1/trials/{MISSING}",
    f"/v1/trials/{MISSING}/events",
    "/nowhere",
]
WRITES = [
    "/v1/architectures",
    "/v1/cost",
    "/v1/scale",
    "/v1/scale/family",
    "/v1/compare",
    "/v1/datasets",
    "/v1/studies",
    f"/v1/studies/{MISSING}/observations",
    "/v1/trials",
]
ACTIONS = [
    f"/v1/studies/{MISSING}/start",
    f"/v1/studies/{MISSING}/cancel",
    f"/v1/studies/{MISSING}/predictors",
    "/v1/predictors/none/activate",
    f"/v1/trials/{MISSING}/cancel",
]
BODIES = {
    "empty": b"",
    "not JSON": b"{",
    "null": b"null",
    "a list": b"[]",
    "a number": b"1e999",
    "NaN": b"NaN",
    "empty object": b"{}",
    "unknown field": b'{"surprise": 1}',
    "lone surrogate": b'{"architecture": "\\ud800", "\\ud800": 1}',
    "NUL": b'{"architecture": "a\\u0000b", "name": "\\u0000", "dataset": "\\u0000"}',
    "too many digits": b'{"target": {"flops": ' + b"9" * 5000 + b"}}",
    "too deep": b"[" * 100_000,
    "not UTF-8": b'{"architecture": "\xff"}',
}
SCALE = {"architecture": "efficientnet_b0", "target": {"flops": 200_000_000}}
WRONG_SCALES = {
    "unknown name": {**SCALE, "architecture": "resnet_9000"},
    "unknown predictor": {**SCALE, "predictor": "none"},
    "unknown rule": {**SCALE, "rule": "guess"},
    "no target": {"architecture": "efficientnet_b0"},
    "two targets": {**SCALE, "target": {"flops": 1, "ratio": 1}},
    "negative": {**SCALE, "target": {"flops": -1}},
    "zero": {**SCALE, "target": {"ratio": 0}},
    "huge": {**SCALE, "target": {"flops": 10**30}},
    "out of reach": {**SCALE, "target": {"flops": 10**15}},
    "text": {**SCALE, "target": {"flops": "many"}},
    "manual without multipliers": {**SCALE, "rule": "manual"},
    "no such px": {**SCALE, "constraints": {"resolution": {"multiple_of": 256, "min": 257, "max": 300}}},
    "no room for parameters": {**SCALE, "constraints": {"max_params": 1}},
    "unknown data set": {**SCALE, "train": {"dataset": "imagenet-22k"}},
    "unknown study": {**SCALE, "train": {"dataset": "digits", "study": MISSING}},
    "huge multipliers": {**SCALE, "rule": "manual", "multipliers": {"r": 10**9, "d": 1}},
}


def is_problem(answer) -> bool:
    body = answer.json()
    assert 400 <= answer.status_code < 500, (answer.status_code, body)
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["status"] == answer.status_code
    assert body["type"].startswith("/problems/")
    assert body["detail"]
    assert "Traceback" not in answer.text
    return True


@pytest.mark.parametrize("path", READS)
def test_what_is_not_there_is_a_404(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert is_problem(answer)
    assert answer.status_code == 404


@pytest.mark.parametrize("path", ACTIONS)
def test_action_on_missing_resource_is_404(client: TestClient, path: str) -> None:
    answer = client.post(path)
    assert is_problem(answer)
    assert answer.status_code == 404


@pytest.mark.parametrize("path", WRITES)
def test_a_bad_body_is_refused(client: TestClient, path: str) -> None:
    for body in BODIES.values():
        assert is_problem(client.post(path, content=body, headers={"Content-Type": "application/json"}))


@pytest.mark.parametrize("wrong", WRONG_SCALES)
def test_a_wrong_scale_request_is_refused(client: TestClient, wrong: str) -> None:
    assert is_problem(client.post("/v1/scale", json=WRONG_SCALES[wrong]))
    assert client.get("/v1/trials").json()["items"] == []


@pytest.mark.parametrize(
    "path",
    [
        "/v1/trials?limit=0",
        "/v1/trials?limit=many",
        "/v1/trials?cursor=nonsense",
        "/v1/trials?cursor=bnVsbA",
        "/v1/trials?state=lost",
        "/v1/trials?study=%00",
        "/v1/trials/%00",
        "/v1/studies?cursor=%ff",
        "/v1/studies/x/front",
        "/v1/predictors/%00/curve",
        "/v1/predictors/published-tinynets/curve?min_c=nan",
        "/v1/predictors/published-tinynets/curve?min_c=2&max_c=1",
        "/v1/predictors/published-tinynets/curve?steps=1",
        f"/v1/studies/{MISSING}/figures/selfie.svg",
        f"/v1/trials/{MISSING}/events?x=1",
    ],
)
def test_a_bad_parameter_is_refused(client: TestClient, path: str) -> None:
    assert is_problem(client.get(path))


def test_a_wrong_method_is_a_problem_too(client: TestClient) -> None:
    answer = client.delete("/v1/scale")
    assert is_problem(answer)
    assert answer.status_code == 405


def test_large_body_is_refused(client: TestClient) -> None:
    answer = client.post("/v1/scale", content=b" " * (9 * 1024 * 1024))
    assert is_problem(answer)
    assert answer.status_code == 413


@pytest.mark.parametrize("path", WRITES)
@pytest.mark.parametrize("media_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/json/x"])
def test_body_of_another_media_type_is_refused(client: TestClient, path: str, media_type: str) -> None:
    headers = {"Content-Type": media_type} if media_type else {}

    answer = client.post(path, content=b"{}", headers=headers)

    assert is_problem(answer)
    assert answer.status_code == 415
    assert "`Content-Type: application/json`" in answer.json()["detail"]
    assert "application/json" in answer.headers["accept"]


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/x+json"])
def test_json_of_any_spelling_is_accepted(client: TestClient, media_type: str) -> None:
    answer = client.post("/v1/scale", content=json.dumps(SCALE), headers={"Content-Type": media_type})

    assert answer.status_code == 200


def test_validation_error_has_location(client: TestClient) -> None:
    body = {"architecture": {"baseline": {"family": "efficientnet", "stages": [{"block": "ir", "repeats": 0}]}}}

    pointers = [error["pointer"] for error in client.post("/v1/cost", json=body).json()["errors"]]

    assert "/architecture/baseline/stages/0/repeats" in pointers
    assert "/architecture/baseline/resolution" in pointers


def test_request_id_is_returned_and_stored_with_trial(client: TestClient) -> None:
    body = {**SCALE, "train": {"dataset": "digits", "recipe": "digits-smoke"}}

    answer = client.post("/v1/scale", json=body, headers={"X-Request-ID": "abc-123"})

    assert answer.headers["x-request-id"] == "abc-123"
    assert client.get(answer.headers["location"]).json()["request_id"] == "abc-123"


def test_mistakes_are_described_in_plain_words(client: TestClient) -> None:
    answer = client.post("/v1/scale", json={"architecture": "efficientnet_b0"})

    assert answer.json()["errors"] == [{"pointer": "", "message": "a target is required, for example flops or ratio"}]
    assert answer.json()["detail"] == "the body: a target is required, for example flops or ratio"


def test_unreachable_target_names_request_field(client: TestClient) -> None:
    fixed = {"constraints": {"resolution": {"fixed": 224}}}
    answer = client.post(
        "/v1/scale", json={"architecture": "efficientnet_b0", "target": {"flops": 20_000_000}, **fixed}
    )

    assert answer.json()["constraints"] == ["resolution.fixed"]
    assert "Without resolution.fixed (224) it could be met." in answer.json()["detail"]
