"""Requests that come at the same moment, more of them than there are threads."""

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
from app.scaling.published import published_predictor
from app.services import predictors
from tests.support import SMALL

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
def test_those_that_only_ask_do_not_wait_for_each_other(client: TestClient, path: str) -> None:
    body = TRIAL if path == "/v1/trials" else {**STUDY, "recipe": "digits-smoke"}

    answers = at_once(client, path, {**body, "validate_only": True})

    assert statuses(answers) == {200: MANY}


def test_those_that_change_nothing_any_more_do_not_either(client: TestClient) -> None:
    study = client.post("/v1/studies", json={**STUDY, "trials": 2, "recipe": "digits-smoke"}).json()["id"]
    client.post(f"/v1/studies/{study}/start")

    assert statuses(at_once(client, f"/v1/studies/{study}/start")) == {202: MANY}


def test_a_baseline_is_new_to_one_of_those_that_register_it(client: TestClient) -> None:
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


def test_who_has_seen_the_same_version_puts_it_to_use_once(client: TestClient, work: Callable[[], UnitOfWork]) -> None:
    with work() as unit:
        row = predictors.keep(
            unit, published_predictor(), architecture="tinynet_e", dataset="digits", provenance="a test"
        )
        unit.commit()
    tag = client.get(f"/v1/predictors/{row.id}").headers["etag"]

    answers = at_once(client, f"/v1/predictors/{row.id}/activate", headers={"If-Match": tag})

    assert statuses(answers) == {200: 1, 412: MANY - 1}
