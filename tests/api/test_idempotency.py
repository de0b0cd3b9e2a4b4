"""A write that is retried with its key gets the first response and has no further effect."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, update

from app.core.settings import Settings
from app.db.tables import IdempotencyRow, ObservationRow, StudyRow, TrialRow, utc_now
from app.db.unit_of_work import UnitOfWork
from app.http.app import create_app
from app.services import idempotency_store
from app.services.retention import prune
from tests.support import SMALL, LocalClient

pytestmark = pytest.mark.databases("sqlite", "postgresql")

Open = Callable[[], UnitOfWork]
STUDY = {"name": "once", "architecture": "tinynet_e", "dataset": "digits"}
TRIAL = {
    "architecture": "tinynet_e",
    "multipliers": {"r": 0.3, "d": 0.5, "w": 0.2},
    "dataset": "digits",
    "recipe": "digits-smoke",
}
POINTS = [(0.5, 0.5, 0.5, 0.60), (0.6, 0.5, 0.8, 0.68), (0.75, 1.0, 0.8, 0.75), (0.9, 1.0, 1.0, 0.80)]
OBSERVATIONS = {
    "source": "a table",
    "observations": [dict(zip(("r", "d", "w", "accuracy"), point, strict=True)) for point in POINTS],
}


def keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


def count(work: Open, table: type) -> int:
    with work() as unit:
        return unit.session.scalar(select(func.count()).select_from(table))


def lose_answers(work: Open) -> None:
    """As where the process died after the commit: done, and its answer was never kept."""
    with work() as unit:
        unit.session.execute(update(IdempotencyRow).values(status=None, body=None, reserved_until=0.0))
        unit.commit()


@pytest.fixture
def study(client: TestClient) -> str:
    return client.post("/v1/studies", json=STUDY).json()["id"]


def test_repeated_request_gets_first_response(client: TestClient, work: Open) -> None:
    first = client.post("/v1/studies", json=STUDY, headers=keyed("a"))
    again = client.post("/v1/studies", json=STUDY, headers=keyed("a"))

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert count(work, StudyRow) == 1


def test_other_or_missing_key_is_another_request(client: TestClient, work: Open) -> None:
    for headers in (keyed("a"), keyed("b"), {}):
        assert client.post("/v1/studies", json=STUDY, headers=headers).status_code == 201

    assert count(work, StudyRow) == 3


@pytest.mark.parametrize("other", ["body", "path", "query", "content type"])
def test_key_of_another_request_is_refused(client: TestClient, study: str, other: str) -> None:
    path = f"/v1/studies/{study}/observations"
    assert client.post(path, json=OBSERVATIONS, headers=keyed("a")).status_code == 201

    if other == "body":
        answer = client.post(path, json={**OBSERVATIONS, "source": "another"}, headers=keyed("a"))
    elif other == "path":
        answer = client.post("/v1/studies", json=OBSERVATIONS, headers=keyed("a"))
    elif other == "query":
        answer = client.post(f"{path}?source=another", json=OBSERVATIONS, headers=keyed("a"))
    else:
        answer = client.post(
            path, json=OBSERVATIONS, headers={**keyed("a"), "Content-Type": "application/problem+json"}
        )

    assert answer.status_code == 422
    assert answer.json()["type"] == "/problems/idempotency-key-reused"


def test_another_precondition_is_another_request(client: TestClient) -> None:
    activate = "/v1/predictors/published-tinynets/activate"
    tag = client.get("/v1/predictors/published-tinynets").headers["etag"]

    first = client.post(activate, headers={**keyed("a"), "If-Match": tag})
    outdated = client.post(activate, headers={**keyed("a"), "If-Match": '"outdated"'})

    assert first.status_code == 200
    assert outdated.status_code == 422
    assert outdated.json()["type"] == "/problems/idempotency-key-reused"


def test_refused_request_can_be_corrected_under_its_key(client: TestClient) -> None:
    assert client.post("/v1/studies", json={**STUDY, "trials": 0}, headers=keyed("a")).status_code == 422

    assert client.post("/v1/studies", json=STUDY, headers=keyed("a")).status_code == 201


def test_scaling_is_stored_only_if_it_trains(client: TestClient, work: Open) -> None:
    inline = {**SMALL, "name": "train"}  # the word alone does not make it a training
    body = {"architecture": inline, "target": {"ratio": 0.5}, "train": None}
    train = {**body, "architecture": "tinynet_e", "train": {"dataset": "digits", "recipe": "digits-smoke"}}

    assert client.post("/v1/scale", json=body, headers=keyed("a")).status_code == 200
    assert count(work, IdempotencyRow) == 0

    first, again = (client.post("/v1/scale", json=train, headers=keyed("a")) for _ in range(2))
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"
    assert (count(work, IdempotencyRow), count(work, TrialRow)) == (1, 1)


@pytest.mark.parametrize("key", ["", "with space", "x" * 201, "ü".encode("latin-1")])
def test_what_is_no_key_is_refused(client: TestClient, work: Open, key: str | bytes) -> None:
    answer = client.post("/v1/studies", json=STUDY, headers={"Idempotency-Key": key})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "idempotency-key"
    assert count(work, StudyRow) == 0


def test_second_request_waits_for_the_first(client: TestClient, settings: Settings) -> None:
    """Many at once, with one key: one is carried out, the others are told to come again, and then have its answer."""
    answers = []

    def send() -> None:
        answers.append(client.post("/v1/studies", json=STUDY, headers=keyed("a")))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {answer.status_code for answer in answers} <= {201, 409}
    for answer in answers:
        if answer.status_code == 409:
            assert answer.json()["type"] == "/problems/idempotency-in-flight"
            assert int(answer.headers["retry-after"]) >= 1
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    assert len(client.get("/v1/studies").json()["items"]) == 1
    assert client.post("/v1/studies", json=STUDY, headers=keyed("a")).status_code == 201


def test_request_of_dead_process_is_repeated(client: TestClient, work: Open, settings: Settings) -> None:
    from app.db.unit_of_work import IdempotentRequest

    caller = IdempotentRequest("anonymous", "a")
    assert idempotency_store.reserve(settings, caller, "what the dead one was asked") is None
    with work() as unit:
        row = unit.idempotency_records.lock("anonymous", "a")
        row.reserved_until = unit.idempotency_records.clock() - 0.1
        unit.commit()

    assert idempotency_store.reserve(settings, caller, "what the dead one was asked") is None


@pytest.mark.parametrize("what", ["study", "import", "tell", "refit", "cancel", "retry"])
def test_lost_response_does_not_repeat_the_write(client: TestClient, work: Open, study: str, what: str) -> None:
    trial = client.post("/v1/trials", json=TRIAL).json()["id"]
    if what == "retry":
        client.post(f"/v1/trials/{trial}/cancel")
    if what == "refit":
        client.post(f"/v1/studies/{study}/observations", json=OBSERVATIONS)
    path, body = {
        "study": ("/v1/studies", STUDY),
        "import": (f"/v1/studies/{study}/observations", OBSERVATIONS),
        "tell": (f"/v1/studies/{study}/tell", {"multipliers": {"r": 0.5, "d": 1, "w": 0.5}, "accuracy": 0.5}),
        "refit": (f"/v1/studies/{study}/predictors", {}),
        "cancel": (f"/v1/trials/{trial}/cancel", None),
        "retry": (f"/v1/trials/{trial}/retry", None),
    }[what]
    first = client.post(path, json=body, headers=keyed("a"))
    assert first.is_success, first.text
    counts = [count(work, table) for table in (StudyRow, ObservationRow)]
    versions = len(client.get("/v1/predictors").json()["items"])

    lose_answers(work)
    again = client.post(path, json=body, headers=keyed("a"))

    assert again.status_code == first.status_code
    assert again.json() == first.json()
    assert [count(work, table) for table in (StudyRow, ObservationRow)] == counts
    assert len(client.get("/v1/predictors").json()["items"]) == versions


def test_a_key_is_its_callers_own(settings: Settings, work: Open) -> None:
    digests = ",".join(hashlib.sha256(key).hexdigest() for key in (b"one", b"another"))
    client = LocalClient(create_app(settings.model_copy(update={"api_keys": digests})))

    def send(key: str) -> str:
        headers = {**keyed("a"), "Authorization": f"Bearer {key}"}
        return client.post("/v1/studies", json=STUDY, headers=headers).json()["id"]

    assert send("one") == send("one") != send("another")
    answer = client.post("/v1/studies", json=STUDY, headers={**keyed("a"), "Authorization": "Bearer wrong"})
    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/unauthorized")


def test_responses_are_stored_for_a_day(client: TestClient, work: Open, settings: Settings) -> None:
    first = client.post("/v1/studies", json=STUDY, headers=keyed("a")).json()["id"]
    with work() as unit:
        unit.session.execute(update(IdempotencyRow).values(created_at=utc_now() - idempotency_store.RETENTION * 1.001))
        unit.commit()

    assert client.post("/v1/studies", json=STUDY, headers=keyed("a")).json()["id"] != first

    with work() as unit:
        unit.session.execute(update(IdempotencyRow).values(created_at=utc_now() - idempotency_store.RETENTION * 1.001))
        unit.commit()
    prune(settings)
    assert count(work, IdempotencyRow) == 0


@pytest.mark.parametrize(("seconds", "wait"), [(0.0, 1), (8.0, 8), (20.0, 10), (29.5, 1)])
def test_retry_after_grows_with_waiting_time(
    client: TestClient, work: Open, monkeypatch: pytest.MonkeyPatch, seconds: float, wait: int
) -> None:
    client.post("/v1/studies", json=STUDY, headers=keyed("a"))
    monkeypatch.setattr("app.db.repositories.base.database_clock", lambda session: 1e9)
    with work() as unit:  # as if it were carried out still, since so many seconds
        reserved_until = unit.idempotency_records.clock() + 30 - seconds
        unit.session.execute(
            update(IdempotencyRow).values(status=None, body=None, outcome=None, reserved_until=reserved_until)
        )
        unit.commit()

    answer = client.post("/v1/studies", json=STUDY, headers=keyed("a"))

    assert answer.status_code == 409
    assert answer.headers["retry-after"] == str(wait)


def test_oldest_responses_of_a_key_make_room_for_new_ones(settings: Settings, work: Open) -> None:
    limit, n = 2**16, 80
    with LocalClient(create_app(settings.model_copy(update={"idempotency_bytes": limit}))) as client:
        first = [client.post("/v1/studies", json=STUDY, headers=keyed(str(i))) for i in range(n)]
        with work() as unit:
            kept = unit.session.scalar(select(func.sum(func.length(IdempotencyRow.body) + 1024)))
        newest, oldest = (client.post("/v1/studies", json=STUDY, headers=keyed(str(i))) for i in (n - 1, 0))
        metrics = client.get("/metrics").text

    assert limit / 2 < kept <= limit
    assert newest.json()["id"] == first[-1].json()["id"]
    assert oldest.status_code == 201 and oldest.json()["id"] != first[0].json()["id"]
    [evicted] = [line for line in metrics.splitlines() if line.startswith("rdw_evicted_responses_total")]
    assert float(evicted.split()[1]) >= n - limit / 1024
