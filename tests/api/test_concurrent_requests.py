"""More simultaneous requests than there are threads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from app.db.unit_of_work import UnitOfWork
from app.scaling.predictors.published_tinynets import published_predictor
from app.services.predictors import store
from tests.support import SMALL

pytestmark = pytest.mark.databases("sqlite", "postgresql")

MANY = 20
TRIAL = {
    "architecture": "tinynet_e",
    "multipliers": {"r": 0.3, "d": 0.5, "w": 0.2},
    "dataset": "digits",
    "recipe": "digits-smoke",
}
STUDY = {"name": "once", "architecture": "tinynet_e", "dataset": "digits"}


def at_once(client: TestClient, path: str, body: Any = None, headers: dict[str, str] | None = None) -> list[Any]:
    """The answers to so many equal requests."""
    barrier = Barrier(MANY)

    def send(_: int) -> httpx.Response:
        barrier.wait()
        return client.post(path, json=body, headers=headers)

    with ThreadPoolExecutor(MANY) as threads:
        return list(threads.map(send, range(MANY)))


def statuses(answers: list[Any]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


@pytest.mark.parametrize("path", ["/v1/trials", "/v1/studies"])
def test_concurrent_validations_all_succeed(client: TestClient, path: str) -> None:
    body = TRIAL if path == "/v1/trials" else {**STUDY, "recipe": "digits-smoke"}

    answers = at_once(client, path, {**body, "validate_only": True})

    assert statuses(answers) == {200: MANY}


def test_concurrent_starts_without_effect_all_succeed(client: TestClient) -> None:
    study = client.post("/v1/studies", json={**STUDY, "trials": 2, "recipe": "digits-smoke"}).json()["id"]
    client.post(f"/v1/studies/{study}/start")

    assert statuses(at_once(client, f"/v1/studies/{study}/start")) == {202: MANY}


def test_concurrent_registration_creates_baseline_once(client: TestClient) -> None:
    assert statuses(at_once(client, "/v1/architectures", SMALL)) == {201: 1, 200: MANY - 1}


@pytest.mark.parametrize("what", ["create", "ask", "register"])
def test_one_key_is_carried_out_once(client: TestClient, what: str) -> None:
    study = client.post("/v1/studies", json=STUDY).json()["id"]
    path, body = {
        "create": ("/v1/studies", STUDY),
        "ask": (f"/v1/studies/{study}/ask", {"client": "a", "n": 1}),
        "register": ("/v1/architectures", SMALL),
    }[what]

    answers = at_once(client, path, body, {"Idempotency-Key": "one"})

    done = [answer for answer in answers if answer.is_success]
    assert {answer.status_code for answer in answers if answer not in done} <= {409}
    assert sum("idempotent-replayed" not in answer.headers for answer in done) == 1
    assert len({(answer.status_code, answer.content) for answer in done}) == 1


def test_concurrent_activations_of_one_version_succeed_once(client: TestClient, work: Callable[[], UnitOfWork]) -> None:
    with work() as unit:
        row = store.add_version(
            unit, published_predictor(), architecture="tinynet_e", dataset="digits", provenance="a test"
        )
        unit.commit()
    tag = client.get(f"/v1/predictors/{row.id}").headers["etag"]

    answers = at_once(client, f"/v1/predictors/{row.id}/activate", headers={"If-Match": tag})

    assert statuses(answers) == {200: 1, 412: MANY - 1}
