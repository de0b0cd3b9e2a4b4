"""Invalid settings are rejected with a message that says what is valid."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from app.core.settings import Settings, describe_errors

PASSWORD = "hunter2"


def refusal(**given: str) -> str:
    with pytest.raises(ValidationError) as refused:
        Settings(**given)  # type: ignore[arg-type]
    [line] = describe_errors(refused.value)
    return line


@pytest.mark.parametrize(
    "url",
    ["nonsense", "mysql://x/y", "postgres://x/y", "sqlite://x", f"oracle://me:{PASSWORD}@x/y", "://", "redis://x"],
)
def test_unsupported_database_url_is_refused(url: str) -> None:
    said = refusal(database_url=url)

    assert said.startswith("RDW_DATABASE_URL: postgresql://USER@HOST/NAME, postgresql+psycopg://… or sqlite:///FILE")
    assert PASSWORD not in said


@pytest.mark.parametrize("url", ["foo", "amqp://x", f"sqs://me:{PASSWORD}@x", "filesystem://", "postgresql://x/y"])
def test_unsupported_broker_url_is_refused(url: str) -> None:
    said = refusal(broker_url=url)

    assert said.startswith("RDW_BROKER_URL: redis://HOST:6379/0 or rediss://…")
    assert PASSWORD not in said


def test_unencoded_at_sign_in_password_is_refused() -> None:
    said = refusal(database_url=f"postgresql://me:{PASSWORD}@{PASSWORD}@db/x")

    assert "percent-encoded" in said and PASSWORD not in said


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sqlite:////var/rdw.sqlite3",
        "sqlite:///rdw.sqlite3",
        "postgresql://me@db/x",
        "postgresql+psycopg:///x?host=/s",
    ],
)
def test_supported_database_urls(url: str) -> None:
    assert Settings(database_url=url).database_url == url


@pytest.mark.parametrize("url", ["", "redis://queue:6379/0", f"rediss://me:{PASSWORD}@queue", "redis://"])
def test_supported_broker_urls(url: str) -> None:
    assert Settings(broker_url=url).broker_url == url


@pytest.mark.parametrize("proxies", ["nonsense", "10.0.0.7, proxy", "10.0.0.1/8", "10.0.0.7:80", "*"])
def test_invalid_proxy_address_is_refused(proxies: str) -> None:
    assert refusal(trusted_proxies=proxies).startswith("RDW_TRUSTED_PROXIES: ")


@pytest.mark.parametrize("proxies", ["", "10.0.0.7", "10.0.0.7, 172.30.83.0/24", "::1,fd00::/8"])
def test_proxies_to_trust_are_addresses_and_networks(proxies: str) -> None:
    assert Settings(trusted_proxies=proxies).trusted_proxies == proxies


def test_validation_message_has_no_prefix() -> None:
    assert refusal(api_keys="the key itself").startswith("RDW_API_KEYS: use SHA-256 digests in hex")
