from __future__ import annotations

import hashlib

from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings


def locked(settings: Settings) -> TestClient:
    digests = ",".join(hashlib.sha256(key).hexdigest() for key in (b"one", b"another"))
    return TestClient(create_app(settings.model_copy(update={"api_keys": digests})))


def test_where_keys_are_configured_one_is_asked_for(settings: Settings) -> None:
    client = locked(settings)

    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic b25l"}):
        answer = client.get("/v1/architectures", headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (401, "/problems/unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
    for key in ("one", "another"):
        assert client.get("/v1/architectures", headers={"Authorization": f"Bearer {key}"}).status_code == 200


def test_liveness_and_the_playground_need_none(settings: Settings) -> None:
    client = locked(settings)

    assert client.get("/healthz").status_code == 200
    assert client.get("/docs").status_code == 200
