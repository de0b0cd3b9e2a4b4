"""Settings that make no sense are refused, and the message says what would."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from app.settings import Settings, wrong

PASSWORD = "hunter2"


def refusal(**given: str) -> str:
    with pytest.raises(ValidationError) as refused:
        Settings(**given)  # type: ignore[arg-type]
    [line] = wrong(refused.value)
    return line


@pytest.mark.parametrize(
    "url",
    ["nonsense", "mysql://x/y", "postgres://x/y", "sqlite://x", f"oracle://me:{PASSWORD}@x/y", "://", "redis://x"],
)
def test_what_is_no_database_that_is_known_is_refused_and_those_are_named(url: str) -> None:
    said = refusal(database_url=url)

    assert said.startswith("RDW_DATABASE_URL: postgresql://USER@HOST/NAME, postgresql+psycopg://… or sqlite:///FILE")
    assert PASSWORD not in said


@pytest.mark.parametrize("url", ["foo", "amqp://x", f"sqs://me:{PASSWORD}@x", "filesystem://", "postgresql://x/y"])
def test_what_is_no_broker_that_is_known_is_refused_and_those_are_named(url: str) -> None:
    said = refusal(broker_url=url)

    assert said.startswith("RDW_BROKER_URL: redis://HOST:6379/0 or rediss://…")
    assert PASSWORD not in said


def test_a_password_with_an_at_sign_would_be_taken_for_a_part_of_the_host() -> None:
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
def test_the_databases_that_are_known(url: str) -> None:
    assert Settings(database_url=url).database_url == url


@pytest.mark.parametrize("url", ["", "redis://queue:6379/0", f"rediss://me:{PASSWORD}@queue", "redis://"])
def test_the_brokers_that_are_known(url: str) -> None:
    assert Settings(broker_url=url).broker_url == url


@pytest.mark.parametrize("proxies", ["nonsense", "10.0.0.7, proxy", "10.0.0.1/8", "10.0.0.7:80", "*"])
def test_what_is_neither_an_address_nor_a_network_is_no_proxy_to_trust(proxies: str) -> None:
    assert refusal(trusted_proxies=proxies).startswith("RDW_TRUSTED_PROXIES: ")


@pytest.mark.parametrize("proxies", ["", "10.0.0.7", "10.0.0.7, 172.30.83.0/24", "::1,fd00::/8"])
def test_proxies_to_trust_are_addresses_and_networks(proxies: str) -> None:
    assert Settings(trusted_proxies=proxies).trusted_proxies == proxies


def test_a_message_is_said_as_we_wrote_it() -> None:
    assert refusal(api_keys="the key itself").startswith("RDW_API_KEYS: SHA-256 digests in hex")
