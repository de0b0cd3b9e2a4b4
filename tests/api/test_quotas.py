"""How much a key of scope `train` may use."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from app.core.scopes import Scope
from app.core.settings import Settings
from app.db.tables import TrialRow
from app.db.unit_of_work import UnitOfWork
from app.services.auth import keys
from tests.support import SMALL

Open = Callable[[], UnitOfWork]
Post = Callable[..., Any]

STUDY: dict[str, Any] = {"architecture": SMALL, "dataset": "digits", "recipe": "digits-smoke", "trials": 3}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(
        update={"quota_trials": 4, "quota_studies": 3, "quota_observations": 5, "quota_gb": 0.001}
    )


@pytest.fixture
def post(client: TestClient, work: Open) -> Post:
    """A function that sends a body with the key of that name."""
    scopes: dict[str, Scope] = {"alice": "train", "bob": "train", "operator": "admin"}
    secrets = {}
    for name, scope in scopes.items():
        with work() as unit:
            secrets[name] = keys.create(unit, name, scope, None)[1]

    def post(path: str, body: Any = None, *, name: str = "alice") -> Any:
        return client.post(path, json=body, headers={"Authorization": f"Bearer {secrets[name]}"})

    return post


def trial(seed: int) -> dict[str, Any]:
    multipliers = {"r": 1, "d": 1, "w": 1}
    return {
        "architecture": SMALL, "multipliers": multipliers, "dataset": "digits", "recipe": "digits-smoke", "seed": seed,
    }  # fmt: skip


def refused(answer: Any, name: str, used: int, limit: int) -> bool:
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (403, "/problems/quota-exceeded"), answer.text
    assert "its quota is" in problem["detail"]
    return problem["quota"] == {"name": name, "used": used, "limit": limit}


def test_queued_trials_are_limited_per_key(post: Post) -> None:
    queued = [post("/v1/trials", trial(seed)).json()["id"] for seed in range(4)]

    assert refused(post("/v1/trials", trial(4)), "queued trials", 5, 4)
    assert post("/v1/trials", trial(3)).json()["id"] == queued[3]  # nothing new
    assert post("/v1/trials", trial(4), name="bob").is_success
    assert post("/v1/trials", trial(5), name="operator").is_success
    post(f"/v1/trials/{queued[0]}/cancel")
    assert post("/v1/trials", trial(6)).is_success
    assert refused(post(f"/v1/trials/{queued[0]}/retry"), "queued trials", 5, 4)


def test_networks_that_a_study_has_still_to_queue_count(post: Post) -> None:
    study = post("/v1/studies", {"name": "large", **STUDY, "trials": 5, "sampler": "active"}).json()["id"]
    fits = post("/v1/studies", {"name": "small", **STUDY}).json()["id"]

    assert refused(post(f"/v1/studies/{study}/start"), "queued trials", 5, 4)
    assert post(f"/v1/studies/{fits}/start").json()["state"] == "running"
    assert post("/v1/trials", trial(0)).is_success
    assert post("/v1/trials", trial(1)).status_code == 403


def test_studies_are_limited_per_key(post: Post) -> None:
    for name in "abc":
        assert post("/v1/studies", {"name": name, **STUDY}).status_code == 201

    assert refused(post("/v1/studies", {"name": "d", **STUDY}), "studies", 4, 3)
    assert post("/v1/studies", {"name": "c", **STUDY, "load_if_exists": True}).status_code == 200


def test_observations_are_limited_per_key(post: Post) -> None:
    study = post("/v1/studies", {"name": "a", **STUDY}).json()["id"]
    rows = [{"r": 1, "d": 1, "w": 0.5 + 0.1 * i, "accuracy": 0.5} for i in range(6)]
    own = {"multipliers": {"r": 1, "d": 1, "w": 1.9}, "accuracy": 0.5, "client": "a"}
    suggestion = post(f"/v1/studies/{study}/ask", {"client": "a"}).json()["items"][0]["id"]

    assert refused(post(f"/v1/studies/{study}/observations", {"observations": rows}), "observations", 6, 5)
    assert post(f"/v1/studies/{study}/observations", {"observations": rows[:5]}).status_code == 201
    for body in (own, {"suggestion": suggestion, "accuracy": 0.5}):
        assert refused(post(f"/v1/studies/{study}/tell", body), "observations", 6, 5)


def test_stored_bytes_are_limited_per_key(post: Post, work: Open) -> None:
    first = post("/v1/trials", trial(0)).json()["id"]
    with work() as unit:
        unit.session.execute(update(TrialRow).where(TrialRow.id == first).values(stored_bytes=2_000_000))
        unit.commit()

    assert refused(post("/v1/trials", trial(1)), "stored bytes", 2_000_000, 1_000_000)
    assert post("/v1/trials", trial(1), name="bob").is_success


@pytest.mark.databases("sqlite", "postgresql")
def test_requests_at_the_same_time_do_not_pass_a_quota_together(post: Post) -> None:
    post("/v1/trials", trial(0))

    with ThreadPoolExecutor(8) as pool:
        statuses = [answer.status_code for answer in pool.map(lambda i: post("/v1/trials", trial(i)), range(1, 13))]

    assert sorted(statuses) == [202] * 3 + [403] * 9


def test_without_keys_there_are_no_quotas(client: TestClient) -> None:
    assert all(client.post("/v1/trials", json=trial(seed)).is_success for seed in range(6))
