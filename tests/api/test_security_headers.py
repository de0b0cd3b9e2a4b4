from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError

from app.core.settings import Settings
from app.http.app import create_app
from tests.support import LocalClient

ASSETS = Path(__file__).parents[2] / "app" / "http" / "assets"
ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
SITE = "https://site.example"


def test_every_response_has_security_headers(client: TestClient) -> None:
    answers = [
        client.get("/healthz"),
        client.get("/docs"),
        client.get("/v1/queue"),
        client.get("/nowhere"),
        client.get("/v1/trials/none"),
        client.post("/v1/cost", content=b" " * (9 * 2**20)),
        client.delete("/v1/queue"),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 404, 422, 413, 405]

    for answer in answers:
        assert {name: answer.headers.get(name) for name in ALWAYS} == ALWAYS
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["permissions-policy"]
    assert answers[2].headers["content-security-policy"].startswith("default-src 'none'")


def test_an_unexpected_error_carries_them_too(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.http.routers.workers.queue.queue_status", lambda *_: 1 / 0)

    answer = client.get("/v1/queue")

    assert answer.status_code == 500
    assert {name: answer.headers.get(name) for name in ALWAYS} == ALWAYS


def test_private_responses_are_not_cached(client: TestClient) -> None:
    assert client.get("/v1/queue").headers["cache-control"] == "private, no-cache"  # asked for anew each time
    assert client.post("/v1/cost", json={"architecture": "tinynet_e"}).headers["cache-control"] == "no-store"
    assert "no-store" not in client.get("/assets/docs.js").headers.get("cache-control", "")


def test_hsts_is_sent_over_https_only(settings: Settings) -> None:
    app = create_app(settings)

    assert "strict-transport-security" not in LocalClient(app).get("/healthz").headers
    assert "strict-transport-security" in LocalClient(app, base_url="https://localhost").get("/healthz").headers


def test_the_playground_runs_no_inline_script(client: TestClient) -> None:
    page = client.get("/docs")

    assert page.headers["content-security-policy"].count("script-src 'self';") == 1
    assert page.text.count("<script") == page.text.count('<script src="/assets/') == 2
    assert (ASSETS / "docs.js").is_file()
    assert "http://" not in page.text and "https://" not in page.text


def test_only_configured_origins_are_allowed(settings: Settings) -> None:
    preflight = {"Origin": SITE, "Access-Control-Request-Method": "POST"}
    closed = LocalClient(create_app(settings))
    opened = LocalClient(create_app(settings.model_copy(update={"cors_origins": SITE})))

    assert "access-control-allow-origin" not in closed.get("/v1/queue", headers={"Origin": SITE}).headers
    assert "access-control-allow-origin" not in closed.options("/v1/cost", headers=preflight).headers
    assert opened.options("/v1/cost", headers=preflight).headers["access-control-allow-origin"] == SITE
    assert opened.get("/v1/queue", headers={"Origin": SITE}).headers["access-control-allow-origin"] == SITE
    other = opened.options("/v1/cost", headers={**preflight, "Origin": f"{SITE}.other"})
    assert "access-control-allow-origin" not in other.headers


def test_a_preflight_needs_no_key(settings: Settings) -> None:
    update = {"cors_origins": SITE, "api_keys": hashlib.sha256(b"one").hexdigest()}
    client = LocalClient(create_app(settings.model_copy(update=update)))

    answer = client.options("/v1/cost", headers={"Origin": SITE, "Access-Control-Request-Method": "POST"})

    assert answer.status_code == 200
    assert client.get("/v1/queue", headers={"Origin": SITE}).status_code == 401


@pytest.mark.parametrize("origins", ["*", "https://*.example", "null", "https://a.example/path"])
def test_origins_are_matched_exactly(origins: str) -> None:
    with pytest.raises(ValidationError, match="not an origin"):
        Settings(cors_origins=origins)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": SITE, "Host": "localhost"},
        {"Origin": "null", "Host": "localhost"},
        {"Sec-Fetch-Site": "cross-site", "Host": "localhost"},
        {"Origin": "http://rebound.example", "Host": "rebound.example"},
        {"Sec-Fetch-Site": "same-origin", "Host": "rebound.example"},
    ],
    ids=["another site", "a sandboxed page", "no origin", "a name made to point here", "the same, by its mark"],
)
def test_cross_site_writes_are_refused_without_keys(client: TestClient, headers: dict[str, str]) -> None:
    answer = client.post("/v1/predictors/published-tinynets/activate", headers=headers)

    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/forbidden")


def test_pages_of_the_service_itself_may(client: TestClient) -> None:
    own = {"Origin": "http://127.0.0.1:8000", "Host": "127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"}

    assert client.post("/v1/predictors/none/activate", headers=own).status_code == 404
    assert client.get("/v1/queue", headers={**own, "Sec-Fetch-Site": "none"}).status_code == 200
