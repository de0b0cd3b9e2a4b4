"""What a client can do to trials and studies under way: retry, pause, resume, choose who goes first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.db.unit_of_work import UnitOfWork
from app.services import leases
from app.settings import Settings
from tests.support import SMALL, claim_of

Open = Callable[[], UnitOfWork]
TRIAL = {"architecture": "small", "dataset": "digits", "recipe": "digits-smoke"}
STUDY = {"name": "a study", **TRIAL, "trials": 3}


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
    claim = claim_of(work, trial, settings)
    with work() as unit:
        assert leases.fail(unit, claim, "The disk is full.", ["epoch 1", "no space left"])


def test_a_failed_trial_says_why_with_the_last_lines_of_its_log_and_is_retried_as_itself(
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
    assert claim_of(work, trial, settings).trial.attempt == 1, "its attempts are counted anew"


def test_a_retry_is_sent_to_the_workers(settings: Settings, client: TestClient, work: Open) -> None:
    sent: list[list[str]] = []
    client.app.state.jobs.send = sent.append  # type: ignore[attr-defined]
    trial = client.post("/v1/trials", json=TRIAL).json()["id"]
    client.post(f"/v1/trials/{trial}/cancel")

    client.post(f"/v1/trials/{trial}/retry")

    assert sent == [[trial], [trial]]


def test_a_cancelled_trial_that_was_running_can_be_retried_and_runs(
    post: Callable[..., dict[str, Any]], work: Open, settings: Settings
) -> None:
    trial = post("/v1/trials", TRIAL)["id"]
    claim = claim_of(work, trial, settings)
    assert post(f"/v1/trials/{trial}/cancel")["cancel_requested"] is True
    with work() as unit:
        leases.cancelled(unit, claim)

    retried = post(f"/v1/trials/{trial}/retry")

    assert (retried["state"], retried["cancel_requested"]) == ("queued", False)
    again = claim_of(work, trial, settings)
    with work() as unit:
        assert unit.trials.extend(trial, again.token, 5) is False, "the old cancel is not heard again"


def test_a_retry_conflicts_with_another_live_trial_of_the_same_and_names_it(
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
    claim = claim_of(work, trial, settings)
    assert client.post(f"/v1/trials/{trial}/retry").status_code == 409
    with work() as unit:
        leases.complete(unit, claim, {"accuracy": 0.9, "seconds": 1.0, "environment": {}})
    assert client.post(f"/v1/trials/{trial}/retry").status_code == 409
    assert client.post(f"/v1/trials/{'0' * 32}/retry").status_code == 404


def test_a_client_that_waits_goes_before_a_studys_bulk(
    post: Callable[..., dict[str, Any]], take: Callable[[], str | None]
) -> None:
    started(post)
    wanted = post("/v1/trials", TRIAL)["id"]
    later = post("/v1/trials", {**TRIAL, "seed": 5, "priority": -10})["id"]

    order = [take() for _ in range(5)]

    assert order[0] == wanted
    assert order[-1] == later


def test_what_is_scaled_and_trained_has_a_priority_too(
    post: Callable[..., dict[str, Any]], take: Callable[[], str | None]
) -> None:
    before = post("/v1/trials", TRIAL)["id"]
    train = {"dataset": TRIAL["dataset"], "recipe": TRIAL["recipe"], "priority": 5}
    asked = {"architecture": TRIAL["architecture"], "target": {"ratio": 0.5}, "train": train}
    first = post("/v1/scale", asked)["trial"]["id"]

    assert [take(), take()] == [first, before]


@pytest.mark.parametrize("priority", [-11, 11, 1.5, "high"])
def test_a_priority_out_of_bounds_is_refused(client: TestClient, priority: Any) -> None:
    answer = client.post("/v1/trials", json={**TRIAL, "priority": priority})

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/priority")


def test_a_paused_studys_queued_trials_wait_until_it_is_resumed(
    client: TestClient, post: Callable[..., dict[str, Any]], take: Callable[[], str | None], work: Open,
    settings: Settings,
) -> None:  # fmt: skip
    study = started(post)
    running = take()
    assert post(f"/v1/studies/{study}/pause")["state"] == "paused"
    assert post(f"/v1/studies/{study}/pause")["state"] == "paused"

    assert take() is None
    assert client.get(f"/v1/studies/{study}").json()["trials"] == {"queued": 2, "running": 1}
    with work() as unit:
        unit.workers.beat("idle", 1, None)
        assert leases.reconcile(unit, settings) == 0, "what is paused is not lost"

    sent: list[str] = []
    client.app.state.jobs.send = sent.extend  # type: ignore[attr-defined]
    assert post(f"/v1/studies/{study}/resume")["state"] == "running"

    assert sorted([*sent, str(running)]) == sorted(trials_of(client, study))
    assert {take(), take(), running} == set(trials_of(client, study))


def test_a_trial_that_another_started_study_owns_goes_on_while_one_is_paused(
    client: TestClient, post: Callable[..., dict[str, Any]], take: Callable[[], str | None]
) -> None:
    study, twin = started(post), started(post)
    alone = started(post, seed=1)
    for each in (study, alone):
        post(f"/v1/studies/{each}/pause")
    shared = set(trials_of(client, twin))

    assert {take() for _ in range(4)} == {*shared, None}

    post(f"/v1/studies/{twin}/pause")
    assert take() is None


@pytest.mark.parametrize("what", ["pause", "cancel"])
def test_a_trial_that_a_client_asked_for_goes_on_when_its_study_does_not(
    client: TestClient, post: Callable[..., dict[str, Any]], take: Callable[[], str | None], what: str
) -> None:
    study = started(post)
    trial = client.get(f"/v1/trials/{trials_of(client, study)[0]}").json()
    multipliers = {key: trial["multipliers"][key] for key in ("r", "d", "w")}
    assert post("/v1/trials", {**TRIAL, "multipliers": multipliers})["id"] == trial["id"]

    post(f"/v1/studies/{study}/{what}")

    assert [take(), take()] == [trial["id"], None]


def test_only_a_study_under_way_is_paused_or_resumed(client: TestClient, post: Callable[..., dict[str, Any]]) -> None:
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


def test_a_paused_study_whose_last_trial_ended_has_completed(
    client: TestClient, post: Callable[..., dict[str, Any]], work: Open, settings: Settings
) -> None:
    study = started(post, trials=1)
    (trial,) = trials_of(client, study)
    claim = claim_of(work, trial, settings)
    post(f"/v1/studies/{study}/pause")
    with work() as unit:
        leases.complete(unit, claim, {"accuracy": 0.9, "seconds": 1.0, "environment": {}})

    assert client.get(f"/v1/studies/{study}").json()["state"] == "completed"
    assert client.post(f"/v1/studies/{study}/pause").status_code == 409
