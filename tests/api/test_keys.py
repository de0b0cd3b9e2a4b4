from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, text

from app.core.scopes import SCOPES, Scope, included_scopes
from app.core.settings import Settings
from app.db.session import engine_for
from app.db.tables import ApiKeyRow, utc_now
from app.db.unit_of_work import UnitOfWork
from app.http.app import create_app
from app.services.auth import keys
from tests.support import SMALL, LocalClient, find_free_port

Open = Callable[[], UnitOfWork]
MISSING = "0" * 32


def locked(settings: Settings, **more: object) -> TestClient:
    digests = ",".join(hashlib.sha256(key).hexdigest() for key in (b"one", b"another"))
    return LocalClient(create_app(settings.model_copy(update={"api_keys": digests, **more})))


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


def test_configured_key_is_required(settings: Settings) -> None:
    client = locked(settings)

    for headers in ({}, {"Authorization": "Basic b25l"}, {"Authorization": "Bearer"}):
        answer = client.get("/v1/architectures", headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (401, "/problems/unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
    wrong = client.get("/v1/architectures", headers=bearer("wrong"))
    assert (wrong.status_code, wrong.headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')
    for key in ("one", "another"):
        assert client.get("/v1/architectures", headers=bearer(key)).status_code == 200


def test_liveness_and_playground_need_no_key(settings: Settings) -> None:
    client = locked(settings)

    for path in ("/healthz", "/docs", "/openapi.json", "/assets/docs.js"):
        assert client.get(path).status_code == 200
    assert client.get("/readyz").status_code in (200, 503)


def test_stored_key_grants_access_and_locks_service(client: TestClient, work: Open) -> None:
    assert client.get("/v1/queue").status_code == 200

    secret = made(work)

    with seconds_later(client, 5):
        assert client.get("/v1/queue").status_code == 401
        assert client.get("/v1/queue", headers=bearer(secret)).status_code == 200


def test_only_hash_of_key_is_stored(work: Open) -> None:
    secret = made(work)

    assert secret.startswith(keys.KEY_PREFIX) and len(secret) == len(keys.KEY_PREFIX) + 43  # 256 bits
    row = row_of(work)
    assert row.digest == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in str({column.name: getattr(row, column.name) for column in row.__table__.columns})


def test_revoked_key_is_refused_within_five_seconds(client: TestClient, work: Open) -> None:
    secret = made(work)
    assert client.get("/v1/queue", headers=bearer(secret)).status_code == 200

    with work() as unit:
        keys.revoke(unit, "a key")

    with seconds_later(client, 5):
        refused = client.get("/v1/queue", headers=bearer(secret))
        assert (refused.status_code, refused.json()["detail"]) == (401, "This key is revoked.")
        assert client.get("/v1/queue").status_code == 401


def test_expired_key_is_refused_immediately(client: TestClient, work: Open) -> None:
    secret = made(work, life=timedelta(hours=1))
    assert client.get("/v1/queue", headers=bearer(secret)).status_code == 200

    for rows in client.app.state.keys._rows.values():  # the hour goes by, without a look at the database
        for row in rows:
            row.expires_at = utc_now()

    refused = client.get("/v1/queue", headers=bearer(secret))
    assert (refused.status_code, refused.json()["detail"]) == (401, "This key is expired.")


def test_key_lookup_is_cached_for_two_seconds(client: TestClient, work: Open) -> None:
    secret = made(work)
    client.get("/v1/queue", headers=bearer(secret))
    with work() as unit:
        unit.session.execute(text("DELETE FROM api_keys"))
        unit.commit()

    assert client.get("/v1/queue", headers=bearer(secret)).status_code == 200


def test_digests_are_compared_in_constant_time(client: TestClient, work: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.services.auth import key_cache

    secret, compared = made(work), []
    compare = key_cache.hmac.compare_digest
    monkeypatch.setattr(key_cache.hmac, "compare_digest", lambda a, b: compared.append((a, b)) or compare(a, b))

    assert client.get("/v1/queue", headers=bearer(secret)).status_code == 200

    assert compared == [(keys.digest_of(secret), keys.digest_of(secret))]


def test_only_configured_keys_work_without_database(settings: Settings) -> None:
    away = {"database_url": f"postgresql://nobody@127.0.0.1:{find_free_port()}/none"}
    scale = {"config": SMALL["baseline"]}
    unknown = LocalClient(create_app(settings.model_copy(update=away)))

    refused = unknown.post("/v1/cost", json=scale)
    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/database-unavailable")
    client = locked(settings, **away)
    assert client.post("/v1/cost", json=scale, headers=bearer("one")).status_code == 200
    assert client.post("/v1/cost", json=scale, headers=bearer("wrong")).status_code == 503


def test_last_use_of_key_is_recorded(client: TestClient, work: Open) -> None:
    secret, before = made(work), utc_now()

    client.get("/v1/queue", headers=bearer(secret))
    assert row_of(work).last_used_at is None
    client.app.state.keys.write_uses()

    assert row_of(work).last_used_at >= before.replace(microsecond=0)


def test_scopes_hold_each_other() -> None:
    assert [included_scopes(scope) for scope in SCOPES] == [{"read"}, {"read", "train"}, {"read", "train", "admin"}]


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
    ("POST", f"/v1/studies/{MISSING}/observations/1/retract", "train"),
    ("DELETE", f"/v1/studies/{MISSING}", "train"),
    ("DELETE", f"/v1/trials/{MISSING}", "train"),
    ("POST", "/v1/architectures", "admin"),
    ("POST", "/v1/datasets", "admin"),
    ("POST", "/v1/predictors/none/activate", "admin"),
    ("GET", "/v1/keys", "admin"),
    ("GET", f"/v1/keys/{MISSING}", "admin"),
    ("POST", "/v1/keys", "admin"),
    ("POST", f"/v1/keys/{MISSING}/revoke", "admin"),
]


def test_each_scope_allows_its_operations_only(client: TestClient, work: Open) -> None:
    headers = {scope: bearer(made(work, scope, scope)) for scope in SCOPES}

    for method, path, needs in OPERATIONS:
        for scope in SCOPES:
            answer = client.request(method, path, headers=headers[scope])
            if needs in included_scopes(scope):
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


def test_spec_states_scope_of_every_operation(client: TestClient) -> None:
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


def test_metrics_need_key_unless_open(settings: Settings) -> None:
    client = locked(settings)

    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers=bearer("one")).status_code == 200
    assert locked(settings, metrics_open=True).get("/metrics").status_code == 200


def test_unauthenticated_body_is_not_read(settings: Settings) -> None:
    client = locked(settings)

    assert client.post("/v1/cost", content=b"{").status_code == 401
    assert client.post("/v1/nowhere", content=b" " * (9 * 2**20)).status_code == 401


def test_service_without_keys_stays_open_without_database(client: TestClient, settings: Settings) -> None:
    assert client.get("/v1/queue").status_code == 200
    with engine_for(settings.database).begin() as connection:
        connection.execute(text("DROP TABLE api_keys"))

    with seconds_later(client, 5):
        assert client.get("/v1/queue").status_code == 200
