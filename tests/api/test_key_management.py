"""API keys are created, listed and revoked over the API."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, text, update

from app.core.settings import Settings
from app.db.tables import ApiKeyRow, IdempotencyRow, utc_now
from app.db.unit_of_work import UnitOfWork
from app.http.app import create_app
from app.services.auth import keys
from tests.support import LocalClient

pytestmark = pytest.mark.databases("sqlite", "postgresql")

Open = Callable[[], UnitOfWork]
ADMIN = {"name": "boss", "scope": "admin"}
CI = {"name": "ci", "scope": "train"}
CONFIGURED = "a key of the settings"
OWN = {"Authorization": f"Bearer {CONFIGURED}"}


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def create(client: TestClient, body: dict[str, object], **headers: str) -> dict[str, str]:
    answer = client.post("/v1/keys", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.fixture
def keyed(settings: Settings) -> Iterator[TestClient]:
    """A client with the key of a service's settings."""
    digest = hashlib.sha256(CONFIGURED.encode()).hexdigest()
    with LocalClient(create_app(settings.model_copy(update={"api_keys": digest})), headers=OWN) as client:
        yield client


def test_created_key_is_used_listed_and_revoked(keyed: TestClient) -> None:
    made = create(keyed, {**CI, "lifetime_days": 90})

    assert made["secret"].startswith("rdw_")
    assert keyed.get("/v1/queue", headers=bearer(made["secret"])).status_code == 200
    listed = keyed.get("/v1/keys")
    assert made["secret"] not in listed.text
    (item,) = listed.json()["items"]
    assert (item["name"], item["scope"], item["state"], item["revoked_at"]) == ("ci", "train", "live", None)
    assert item["expires_at"] > item["created_at"]
    assert keyed.get(f"/v1/keys/{made['id']}").json() == item

    revoked = keyed.post(f"/v1/keys/{made['id']}/revoke")
    assert (revoked.status_code, revoked.json()["state"]) == (200, "revoked")
    refused = keyed.get("/v1/queue", headers=bearer(made["secret"]))
    assert (refused.status_code, refused.json()["detail"]) == (401, "This key is revoked.")
    again = keyed.post(f"/v1/keys/{made['id']}/revoke")
    assert again.json()["revoked_at"] == revoked.json()["revoked_at"]


def test_keys_are_paged_newest_first(keyed: TestClient) -> None:
    for number in range(5):
        create(keyed, {"name": f"key-{number}", "scope": "read"})

    first = keyed.get("/v1/keys?limit=3").json()
    second = keyed.get("/v1/keys", params={"limit": 3, "cursor": first["next"]}).json()

    names = [key["name"] for key in first["items"] + second["items"]]
    assert names == [f"key-{number}" for number in (4, 3, 2, 1, 0)]
    assert second["next"] is None


def test_list_names_the_key_of_the_request(client: TestClient, keyed: TestClient) -> None:
    assert keyed.get("/v1/keys").json()["caller"] == "RDW_API_KEYS"
    assert client.get("/v1/keys").json() == {"items": [], "next": None, "caller": None}

    secret = create(keyed, ADMIN)["secret"]

    assert keyed.get("/v1/keys", headers=bearer(secret)).json()["caller"] == "boss"


def test_keys_need_scope_admin(keyed: TestClient) -> None:
    key = create(keyed, CI)

    for method, path in (
        ("GET", "/v1/keys"),
        ("GET", f"/v1/keys/{key['id']}"),
        ("POST", "/v1/keys"),
        ("POST", f"/v1/keys/{key['id']}/revoke"),
    ):
        assert keyed.request(method, path, headers=bearer(key["secret"])).status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        {"name": "ci"},
        {"scope": "read"},
        {"name": "a b", "scope": "read"},
        {"name": "a\n", "scope": "read"},
        {"name": "x" * 101, "scope": "read"},
        {"name": "ci", "scope": "root"},
        {"name": "ci", "scope": "read", "lifetime_days": 0},
        {"name": "ci", "scope": "read", "lifetime_days": 1e9},
        {"name": "ci", "scope": "read", "secret": "mine"},
    ],
)
def test_invalid_key_is_refused(keyed: TestClient, body: dict[str, object]) -> None:
    answer = keyed.post("/v1/keys", json=body)

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/validation")


@pytest.mark.parametrize("name", ["ci", "RDW_API_KEYS"])
def test_name_of_a_key_is_not_used_again(keyed: TestClient, name: str) -> None:
    keyed.post(f"/v1/keys/{create(keyed, CI)['id']}/revoke")

    answer = keyed.post("/v1/keys", json={"name": name, "scope": "read"})

    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/conflict")


def test_unknown_key_is_not_found(keyed: TestClient) -> None:
    for answer in (keyed.get(f"/v1/keys/{'0' * 32}"), keyed.post(f"/v1/keys/{'0' * 32}/revoke")):
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")


def test_first_key_must_be_admin_and_locks_the_service(client: TestClient) -> None:
    assert client.get("/v1/queue").status_code == 200
    refused = client.post("/v1/keys", json=CI)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/conflict")
    assert client.get("/v1/queue").status_code == 200

    secret = create(client, ADMIN)["secret"]

    assert client.get("/v1/queue").status_code == 401
    assert client.get("/v1/queue", headers=bearer(secret)).status_code == 200
    assert create(client, CI, **bearer(secret))["scope"] == "train"


def test_service_that_got_a_key_elsewhere_creates_none_for_anyone(client: TestClient, work: Open) -> None:
    assert client.get("/v1/queue").status_code == 200  # from now on the service remembers that it has no keys
    with work() as unit:
        row, _ = keys.create(unit, "boss", "admin", None)

    for answer in (
        client.post("/v1/keys", json={"name": "intruder", "scope": "admin"}),
        client.post(f"/v1/keys/{row.id}/revoke"),
    ):
        assert answer.status_code == 401
    with work() as unit:
        assert [key.name for key in unit.keys.list_all() if key.revoked_at is None] == ["boss"]


def test_key_does_not_revoke_itself(keyed: TestClient) -> None:
    boss = create(keyed, ADMIN)

    refused = keyed.post(f"/v1/keys/{boss['id']}/revoke", headers=bearer(boss["secret"]))

    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/conflict")
    assert keyed.get("/v1/queue", headers=bearer(boss["secret"])).status_code == 200
    assert keyed.post(f"/v1/keys/{boss['id']}/revoke").status_code == 200


def test_key_that_was_just_revoked_changes_no_keys(keyed: TestClient, work: Open) -> None:
    thief, owner = create(keyed, {"name": "stolen", "scope": "admin"}), create(keyed, ADMIN)
    headers = bearer(thief["secret"])
    assert keyed.get("/v1/queue", headers=headers).status_code == 200  # from now on the service remembers both keys
    with work() as unit:
        unit.session.execute(update(ApiKeyRow).where(ApiKeyRow.id == thief["id"]).values(revoked_at=utc_now()))
        unit.commit()

    for answer in (
        keyed.post("/v1/keys", json={"name": "successor", "scope": "admin"}, headers=headers),
        keyed.post(f"/v1/keys/{owner['id']}/revoke", headers=headers),
    ):
        assert (answer.status_code, answer.json()["detail"]) == (401, "This key is revoked.")
    assert keyed.get("/v1/queue", headers=bearer(owner["secret"])).status_code == 200


def test_repeated_creation_makes_one_key_and_shows_its_secret_once(keyed: TestClient, work: Open) -> None:
    first = keyed.post("/v1/keys", json=CI, headers={"Idempotency-Key": "a"})
    again = keyed.post("/v1/keys", json=CI, headers={"Idempotency-Key": "a"})

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == {**first.json(), "secret": None}
    other = keyed.post("/v1/keys", json=ADMIN, headers={"Idempotency-Key": "a"})
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")
    assert len(keyed.get("/v1/keys").json()["items"]) == 1


def test_secret_of_a_created_key_is_stored_nowhere(keyed: TestClient, work: Open) -> None:
    secret = keyed.post("/v1/keys", json=CI, headers={"Idempotency-Key": "a"}).json()["secret"]

    with work() as unit:
        for table in (ApiKeyRow, IdempotencyRow):
            stored = unit.session.execute(select(table.__table__)).all()
            assert stored and secret not in str(stored)
        assert unit.session.execute(text("SELECT body FROM idempotency_keys")).scalar_one() is None


def test_response_with_a_secret_is_kept_by_no_cache(keyed: TestClient) -> None:
    answer: httpx.Response = keyed.post("/v1/keys", json=CI)

    assert answer.headers["cache-control"] == "no-store"
    assert keyed.get(answer.headers["location"]).json()["name"] == "ci"
