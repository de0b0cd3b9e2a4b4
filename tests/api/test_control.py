"""Changes of trials and studies in progress: retry, pause, resume and priority."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.core.settings import Settings
from app.core.trials import TrialResult
from app.db.unit_of_work import UnitOfWork
from app.services.trials import lifecycle, reconciliation
from app.services.trials.heartbeats import LeaseStatus, extend_lease
from tests.support import SMALL, claim_trial

pytestmark = pytest.mark.databases("sqlite", "postgresql")

Open = Callable[[], UnitOfWork]
TRIAL = {"architecture": "small", "dataset": "digits", "recipe": "digits-smoke"}
STUDY = {"name": "a study", **TRIAL, "trials": 3}
DETERMINING = ("config", "dataset", "recipe", "seed")


@pytest.fixture
def client(client: TestClient) -> TestClient:
    assert client.post("/v1/architectures", json=SMALL).status_code == 201
    return client


@pytest.fixture
def post(client: TestClient) -> Callable[..., dict[str, Any]]:
    """Posts what has to succeed; the answer's body."""

    def post(path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = client.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    return post


def started(post: Callable[..., dict[str, Any]], **more: Any) -> str:
    study = post("/v1/studies", {**STUDY, **more})["id"]
    post(f"/v1/studies/{study}/start")
    return study


def trials_of(client: TestClient, study: str) -> list[str]:
    return [trial["id"] for trial in client.get("/v1/trials", params={"study": study}).json()["items"]]


def fail(work: Open, settings: Settings, trial: str) -> None:
    claim = claim_trial(work, trial, settings)
    with work() as unit:
        assert lifecycle.fail(unit, claim, "The disk is full.", ["epoch 1", "no space left"])


def test_failed_trial_shows_log_and_can_be_retried(
    client: TestClient, post: Callable[..., dict[str, Any]], work: Open, settings: Settings
) -> None:
    trial = post("/v1/trials", TRIAL)["id"]
    fail(work, settings, trial)
    failed = client.get(f"/v1/trials/{trial}").json()
    assert (failed["state"], failed["error"]) == ("failed", "The disk is full.")
    assert failed["log"] == ["epoch 1", "no space left"]

    retried = client.post(f"/v1/trials/{trial}/retry")

    assert (retried.status_code, retried.json()["id"], retried.json()["state"]) == (202, trial, "queued")
    assert (retried.json()["error"], retried.json()["attempt"], retried.json()["finished_at"]) == (None, 0, None)
    assert claim_trial(work, trial, settings).trial.attempt == 1, "a retry starts counting attempts from one"


def test_a_retry_is_sent_to_the_workers(settings: Settings, client: TestClient, work: Open) -> None:
    sent: list[list[str]] = []
    client.app.state.jobs.send = sent.append  # type: ignore[attr-defined]
    trial = client.post("/v1/trials", json=TRIAL).json()["id"]
    client.post(f"/v1/trials/{trial}/cancel")

    client.post(f"/v1/trials/{trial}/retry")

    assert sent == [[trial], [trial]]


def test_cancelled_trial_can_be_retried(post: Callable[..., dict[str, Any]], work: Open, settings: Settings) -> None:
    trial = post("/v1/trials", TRIAL)["id"]
    claim = claim_trial(work, trial, settings)
    assert post(f"/v1/trials/{trial}/cancel")["cancel_requested"] is True
    with work() as unit:
        lifecycle.confirm_cancel(unit, claim)

    retried = post(f"/v1/trials/{trial}/retry")

    assert (retried["state"], retried["cancel_requested"]) == ("queued", False)
    again = claim_trial(work, trial, settings)
    with work() as unit:
        assert extend_lease(unit, again, 5) is LeaseStatus.HELD, "the old cancel is not heard again"


def test_retry_conflicts_with_live_trial_of_same_content(
    client: TestClient, post: Callable[..., dict[str, Any]]
) -> None:
    old = post("/v1/trials", TRIAL)["id"]
    post(f"/v1/trials/{old}/cancel")
    new = post("/v1/trials", TRIAL)["id"]

    answer = client.post(f"/v1/trials/{old}/retry")

    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/conflict")
    assert new in answer.json()["detail"] and "queued" in answer.json()["detail"]
    assert client.get(f"/v1/trials/{old}").json()["state"] == "cancelled"


def test_only_what_failed_or_was_cancelled_is_retried(
    client: TestClient, post: Callable[..., dict[str, Any]], work: Open, settings: Settings
) -> None:
    trial = post("/v1/trials", TRIAL)["id"]
    assert client.post(f"/v1/trials/{trial}/retry").status_code == 409
    claim = claim_trial(work, trial, settings)
    assert client.post(f"/v1/trials/{trial}/retry").status_code == 409
    with work() as unit:
        lifecycle.complete(unit, claim, TrialResult(0.9, 1.0, {}))
    assert client.post(f"/v1/trials/{trial}/retry").status_code == 409
    assert client.post(f"/v1/trials/{'0' * 32}/retry").status_code == 404


def test_on_demand_trial_precedes_study_trials(
    post: Callable[..., dict[str, Any]], claim_next: Callable[[], str | None]
) -> None:
    started(post)
    wanted = post("/v1/trials", TRIAL)["id"]
    later = post("/v1/trials", {**TRIAL, "seed": 5, "priority": -10})["id"]

    order = [claim_next() for _ in range(5)]

    assert order[0] == wanted
    assert order[-1] == later


def test_scale_with_training_accepts_priority(
    post: Callable[..., dict[str, Any]], claim_next: Callable[[], str | None]
) -> None:
    before = post("/v1/trials", TRIAL)["id"]
    train = {"dataset": TRIAL["dataset"], "recipe": TRIAL["recipe"], "priority": 5}
    asked = {"architecture": TRIAL["architecture"], "target": {"ratio": 0.5}, "train": train}
    first = post("/v1/scale", asked)["trial"]["id"]

    assert [claim_next(), claim_next()] == [first, before]


@pytest.mark.parametrize("priority", [-11, 11, 1.5, "high"])
def test_a_priority_out_of_bounds_is_refused(client: TestClient, priority: Any) -> None:
    answer = client.post("/v1/trials", json={**TRIAL, "priority": priority})

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/priority")


def test_trials_of_paused_study_wait_until_resumed(
    client: TestClient, post: Callable[..., dict[str, Any]], claim_next: Callable[[], str | None], work: Open,
    settings: Settings,
) -> None:  # fmt: skip
    study = started(post)
    running = claim_next()
    assert post(f"/v1/studies/{study}/pause")["state"] == "paused"
    assert post(f"/v1/studies/{study}/pause")["state"] == "paused"

    assert claim_next() is None
    assert client.get(f"/v1/studies/{study}").json()["trials"] == {"queued": 2, "running": 1}
    with work() as unit:
        unit.workers.record_heartbeat("idle", 1, None)
        assert reconciliation.reconcile(unit, settings) == 0, "what is paused is not lost"

    sent: list[str] = []
    client.app.state.jobs.send = sent.extend  # type: ignore[attr-defined]
    assert post(f"/v1/studies/{study}/resume")["state"] == "running"

    assert sorted([*sent, str(running)]) == sorted(trials_of(client, study))
    assert {claim_next(), claim_next(), running} == set(trials_of(client, study))


def test_shared_trial_continues_while_one_study_is_paused(
    client: TestClient, post: Callable[..., dict[str, Any]], claim_next: Callable[[], str | None]
) -> None:
    study, twin = started(post), started(post)
    alone = started(post, seed=1)
    for each in (study, alone):
        post(f"/v1/studies/{each}/pause")
    shared = set(trials_of(client, twin))

    assert {claim_next() for _ in range(4)} == {*shared, None}

    post(f"/v1/studies/{twin}/pause")
    assert claim_next() is None


@pytest.mark.parametrize("what", ["pause", "cancel"])
def test_on_demand_trial_outlives_pause_of_study(
    client: TestClient, post: Callable[..., dict[str, Any]], claim_next: Callable[[], str | None], what: str
) -> None:
    study = started(post)
    trial = client.get(f"/v1/trials/{trials_of(client, study)[0]}").json()
    multipliers = {key: trial["multipliers"][key] for key in ("r", "d", "w")}
    same = post("/v1/trials", {**TRIAL, "multipliers": multipliers})
    assert {key: same[key] for key in DETERMINING} == {key: trial[key] for key in DETERMINING}
    assert same["id"] == trial["id"]

    post(f"/v1/studies/{study}/{what}")

    assert [claim_next(), claim_next()] == [trial["id"], None]


def test_only_started_study_is_paused_or_resumed(client: TestClient, post: Callable[..., dict[str, Any]]) -> None:
    study = post("/v1/studies", STUDY)["id"]
    for what in ("pause", "resume"):
        answer = client.post(f"/v1/studies/{study}/{what}")
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/conflict")
        assert "created" in answer.json()["detail"]
    post(f"/v1/studies/{study}/start")
    assert post(f"/v1/studies/{study}/resume")["state"] == "running"
    post(f"/v1/studies/{study}/pause")
    assert post(f"/v1/studies/{study}/start")["state"] == "paused", "to start is not to resume"
    assert post(f"/v1/studies/{study}/cancel")["state"] == "cancelled"
    for what in ("pause", "resume"):
        assert client.post(f"/v1/studies/{study}/{what}").status_code == 409


def test_paused_study_completes_with_its_last_trial(
    client: TestClient, post: Callable[..., dict[str, Any]], work: Open, settings: Settings
) -> None:
    study = started(post, trials=1)
    (trial,) = trials_of(client, study)
    claim = claim_trial(work, trial, settings)
    post(f"/v1/studies/{study}/pause")
    with work() as unit:
        lifecycle.complete(unit, claim, TrialResult(0.9, 1.0, {}))

    assert client.get(f"/v1/studies/{study}").json()["state"] == "completed"
    assert client.post(f"/v1/studies/{study}/pause").status_code == 409
