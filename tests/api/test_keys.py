from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, text

from app.db.session import engine_for
from app.db.tables import ApiKeyRow, utc_now
from app.db.unit_of_work import UnitOfWork
from app.main import create_app
from app.scopes import SCOPES, Scope, covered
from app.services import keys
from app.settings import Settings
from tests.support import SMALL, free_port

Open = Callable[[], UnitOfWork]
MISSING = "0" * 32


def locked(settings: Settings, **more: object) -> TestClient:
    digests = ",".join(hashlib.sha256(key).hexdigest() for key in (b"one", b"another"))
    return TestClient(create_app(settings.model_copy(update={"api_keys": digests, **more})))


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def made(work: Open, scope: Scope = "read", name: str = "a key", life: timedelta | None = None) -> str:
    with work() as unit:
        return keys.create(unit, name, scope, utc_now() + life if life else None)[1]


def row_of(work: Open, name: str = "a key") -> ApiKeyRow:
    with work() as unit:
        return unit.session.scalars(select(ApiKeyRow).where(ApiKeyRow.name == name)).one()


@contextmanager
def seconds_later(client: TestClient, seconds: float) -> Iterator[None]:
    """As if so much time had gone by since the service looked for keys."""
    ring = client.app.state.keys
    clock = ring.clock
    ring.clock = lambda: clock() + seconds
    yield


def test_where_keys_are_configured_one_is_asked_for(settings: Settings) -> None:
    client = locked(settings)

    for headers in ({}, {"Authorization": "Basic b25l"}, {"Authorization": "Bearer"}):
        answer = client.get("/v1/architectures", headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (401, "/problems/unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
    wrong = client.get("/v1/architectures", headers=bearer("wrong"))
    assert (wrong.status_code, wrong.headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')
    for key in ("one", "another"):
        assert client.get("/v1/architectures", headers=bearer(key)).status_code == 200


def test_liveness_and_the_playground_need_none(settings: Settings) -> None:
    client = locked(settings)

    for path in ("/healthz", "/docs", "/openapi.json", "/assets/docs.js"):
        assert client.get(path).status_code == 200
    assert client.get("/readyz").status_code in (200, 503)


def test_a_key_of_the_table_lets_in_and_locks_the_service(client: TestClient, work: Open) -> None:
    assert client.get("/v1/queue").status_code == 200

    secret = made(work)

    with seconds_later(client, 5):
        assert client.get("/v1/queue").status_code == 401
        assert client.get("/v1/queue", headers=bearer(secret)).status_code == 200


def test_of_a_secret_only_its_hash_is_kept(work: Open) -> None:
    secret = made(work)

    assert secret.startswith(keys.PREFIX) and len(secret) == len(keys.PREFIX) + 43  # 256 bits
    row = row_of(work)
    assert row.digest == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in str({column.name: getattr(row, column.name) for column in row.__table__.columns})


def test_a_revoked_key_lets_in_no_more_within_five_seconds_and_the_service_stays_locked(
    client: TestClient, work: Open
) -> None:
    secret = made(work)
    assert client.get("/v1/queue", headers=bearer(secret)).status_code == 200

    with work() as unit:
        keys.revoke(unit, "a key")

    with seconds_later(client, 5):
        refused = client.get("/v1/queue", headers=bearer(secret))
        assert (refused.status_code, refused.json()["detail"]) == (401, "This key is revoked.")
        assert client.get("/v1/queue").status_code == 401


def test_an_expired_key_lets_in_no_more_at_once(client: TestClient, work: Open) -> None:
    secret = made(work, life=timedelta(hours=1))
    assert client.get("/v1/queue", headers=bearer(secret)).status_code == 200

    for rows in client.app.state.keys._rows.values():  # the hour goes by, without a look at the database
        for row in rows:
            row.expires_at = utc_now()

    refused = client.get("/v1/queue", headers=bearer(secret))
    assert (refused.status_code, refused.json()["detail"]) == (401, "This key is expired.")


def test_a_look_for_keys_is_shared_by_the_requests_of_two_seconds(client: TestClient, work: Open) -> None:
    secret = made(work)
    client.get("/v1/queue", headers=bearer(secret))
    with work() as unit:
        unit.session.execute(text("DELETE FROM api_keys"))
        unit.commit()

    assert client.get("/v1/queue", headers=bearer(secret)).status_code == 200


def test_who_holds_which_digest_is_compared_in_constant_time(
    client: TestClient, work: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.services import keyring

    secret, compared = made(work), []
    compare = keyring.hmac.compare_digest
    monkeypatch.setattr(keyring.hmac, "compare_digest", lambda a, b: compared.append((a, b)) or compare(a, b))

    assert client.get("/v1/queue", headers=bearer(secret)).status_code == 200

    assert compared == [(keys.digest_of(secret), keys.digest_of(secret))]


def test_where_keys_cannot_be_checked_nobody_is_let_in_but_by_the_settings(settings: Settings) -> None:
    away = {"database_url": f"postgresql://nobody@127.0.0.1:{free_port()}/none"}
    scale = {"config": SMALL["baseline"]}
    unknown = TestClient(create_app(settings.model_copy(update=away)))

    refused = unknown.post("/v1/cost", json=scale)
    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/database-unavailable")
    client = locked(settings, **away)
    assert client.post("/v1/cost", json=scale, headers=bearer("one")).status_code == 200
    assert client.post("/v1/cost", json=scale, headers=bearer("wrong")).status_code == 503


def test_when_a_key_was_last_used_is_kept(client: TestClient, work: Open) -> None:
    secret, before = made(work), utc_now()

    client.get("/v1/queue", headers=bearer(secret))
    assert row_of(work).last_used_at is None
    client.app.state.keys.write_uses()

    assert row_of(work).last_used_at >= before.replace(microsecond=0)


def test_scopes_hold_each_other() -> None:
    assert [covered(scope) for scope in SCOPES] == [{"read"}, {"read", "train"}, {"read", "train", "admin"}]


OPERATIONS = [
    ("GET", "/v1/architectures", "read"),
    ("GET", f"/v1/trials/{MISSING}/events", "read"),
    ("POST", "/v1/cost", "read"),
    ("POST", "/v1/scale", "read"),
    ("POST", "/v1/scale/family", "read"),
    ("POST", "/v1/compare", "read"),
    ("POST", "/v1/trials", "train"),
    ("POST", f"/v1/trials/{MISSING}/cancel", "train"),
    ("POST", f"/v1/trials/{MISSING}/retry", "train"),
    ("POST", "/v1/studies", "train"),
    ("POST", f"/v1/studies/{MISSING}/start", "train"),
    ("POST", f"/v1/studies/{MISSING}/ask", "train"),
    ("POST", f"/v1/studies/{MISSING}/tell", "train"),
    ("POST", f"/v1/studies/{MISSING}/observations", "train"),
    ("POST", f"/v1/studies/{MISSING}/predictors", "train"),
    ("POST", f"/v1/studies/{MISSING}/family", "train"),
    ("POST", f"/v1/studies/{MISSING}/observations/1/retract", "admin"),
    ("POST", "/v1/architectures", "admin"),
    ("POST", "/v1/datasets", "admin"),
    ("POST", "/v1/predictors/none/activate", "admin"),
]


def test_each_scope_does_what_it_says_and_no_more(client: TestClient, work: Open) -> None:
    headers = {scope: bearer(made(work, scope, scope)) for scope in SCOPES}

    for method, path, needs in OPERATIONS:
        for scope in SCOPES:
            answer = client.request(method, path, headers=headers[scope])
            if needs in covered(scope):
                assert answer.status_code not in (401, 403), (method, path, scope)
            else:
                assert (answer.status_code, answer.json()["type"]) == (403, "/problems/forbidden"), (path, scope)
                assert f"`{needs}`" in answer.json()["detail"] and f"`{scope}`" in answer.json()["detail"]
                assert answer.headers["www-authenticate"] == 'Bearer error="insufficient_scope"'


def test_scaling_with_training_needs_more_than_scaling(client: TestClient, work: Open) -> None:
    body = {"architecture": "efficientnet_b0", "target": {"ratio": 0.5}}
    train = {**body, "train": {"dataset": "digits", "validate_only": True}}
    read, trains = bearer(made(work, "read", "r")), bearer(made(work, "train", "t"))

    assert client.post("/v1/scale", json=body, headers=read).status_code == 200
    assert client.post("/v1/scale", json=train, headers=read).status_code == 403
    assert client.post("/v1/scale", json=train, headers=trains).status_code == 200


def test_the_spec_says_which_scope_every_operation_needs(client: TestClient) -> None:
    operations = {
        (method.upper(), path): operation
        for path, methods in client.get("/openapi.json").json()["paths"].items()
        for method, operation in methods.items()
    }

    for (method, path), operation in operations.items():
        if path.startswith("/v1/") or path == "/metrics":
            assert operation["security"] == [{"HTTPBearer": [operation["x-scope"]]}, {}], (method, path)
            assert {"401", "403", "429"} <= set(operation["responses"]), (method, path)
        else:
            assert "x-scope" not in operation
    for method, path, needs in OPERATIONS:
        template = path.replace(MISSING, "{id}").replace("/none/", "/{id}/").replace("/1/", "/{observation}/")
        assert operations[method, template]["x-scope"] == needs


def test_metrics_need_a_key_where_there_are_keys_unless_they_are_open(settings: Settings) -> None:
    client = locked(settings)

    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers=bearer("one")).status_code == 200
    assert locked(settings, metrics_open=True).get("/metrics").status_code == 200


def test_nothing_of_a_body_is_read_from_who_has_no_key(settings: Settings) -> None:
    client = locked(settings)

    assert client.post("/v1/cost", content=b"{").status_code == 401
    assert client.post("/v1/nowhere", content=b" " * (9 * 2**20)).status_code == 401


def test_a_database_that_comes_away_leaves_a_service_without_keys_open(client: TestClient, settings: Settings) -> None:
    assert client.get("/v1/queue").status_code == 200
    with engine_for(settings.database).begin() as connection:
        connection.execute(text("DROP TABLE api_keys"))

    with seconds_later(client, 5):
        assert client.get("/v1/queue").status_code == 200
