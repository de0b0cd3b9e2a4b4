"""Rate limits, in this process and shared through Redis."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from redis import Redis

from app.core.settings import Settings
from app.http.app import create_app
from app.http.rate_limit import Policy, RateLimits
from tests.failures.gate import Gate
from tests.support import LocalClient, find_free_port

DIGEST = hashlib.sha256(b"one").hexdigest()
KEY = {"Authorization": "Bearer one"}
TIMEOUT = 30.0  # seconds for an available Redis, however slow the machine is


@pytest.mark.parametrize(
    ("per_minute", "quota", "window"),
    [(6000, 1000, 10), (600, 100, 10), (20, 3, 9), (6, 1, 10), (2, 1, 30), (1, 1, 60)],
)
def test_policy_allows_a_sixth_within_a_window(per_minute: int, quota: int, window: int) -> None:
    policy = Policy("requests", per_minute)

    assert (policy.quota, policy.window) == (quota, window)
    assert policy.quota * 60 <= per_minute * policy.window  # never more than per_minute in the long run


def test_callers_have_separate_quotas(tmp_path: Path) -> None:
    async def take() -> None:
        limits = RateLimits(Settings(data_dir=tmp_path, broker_url="", rate_limit=3))
        first, refused = [await limits.take(limits.requests, "a") for _ in range(2)]
        other = await limits.take(limits.requests, "b")
        assert (first.is_allowed, refused.is_allowed, other.is_allowed) == (True, False, True)
        assert (first.remaining, refused.remaining) == (0, 0)
        assert 1 <= refused.retry_after <= 20

    asyncio.run(take())


@pytest.fixture
def gate(redis: str) -> Iterator[Gate]:
    """A proxy in front of Redis that can be shut; see `through`."""
    gate = Gate("127.0.0.1", int(redis.rpartition(":")[2].partition("/")[0]))
    yield gate
    gate.close()


@asynccontextmanager
async def running(settings: Settings, timeout: float = TIMEOUT) -> AsyncIterator[RateLimits]:
    limits = RateLimits(settings, timeout=timeout, retry_seconds=0.01)
    await limits.connect()
    try:
        yield limits
    finally:
        await limits.close()


def through(gate: Gate, redis: str) -> str:
    """The URL of Redis behind the gate."""
    return f"redis://127.0.0.1:{gate.port}/{redis.rpartition('/')[2]}"


@pytest.fixture
def caller(redis: str) -> Iterator[str]:
    """A caller whose counts are deleted from Redis afterwards."""
    caller = uuid.uuid4().hex
    yield caller
    with Redis.from_url(redis) as server:
        for key in counts_of(server, caller):
            server.delete(key)


def counts_of(server: Redis, caller: str) -> list[bytes]:
    return list(server.scan_iter(f"rdw:limits:*{caller}*"))


def test_replicas_share_limits_through_redis(redis: str, tmp_path: Path, caller: str) -> None:
    settings = Settings(data_dir=tmp_path, broker_url=redis, rate_limit=3)  # one within twenty seconds

    async def take() -> None:
        async with running(settings) as one, running(settings) as other:
            allowed = await one.take(one.requests, caller)
            refused = await other.take(other.requests, caller)
            assert (allowed.is_allowed, refused.is_allowed) == (True, False)
            assert 1 <= refused.retry_after <= refused.policy.window

    asyncio.run(take())


def test_quota_in_redis_is_full_again_after_its_window(redis: str, tmp_path: Path, caller: str) -> None:
    async def take() -> None:
        async with running(Settings(data_dir=tmp_path, broker_url=redis, rate_limit=3)) as limits:
            assert (await limits.take(limits.requests, caller)).is_allowed
            assert not (await limits.take(limits.requests, caller)).is_allowed
            with Redis.from_url(redis) as server:
                [key] = counts_of(server, caller)
                assert 0 < server.pttl(key) <= 20_000
                server.delete(key)  # as Redis does at the end of the window
            assert (await limits.take(limits.requests, caller)).is_allowed

    asyncio.run(take())


def test_large_quota_is_reserved_in_parts(
    gate: Gate, redis: str, tmp_path: Path, caller: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(data_dir=tmp_path, broker_url=through(gate, redis), rate_limit=1800)

    async def take() -> None:
        async with running(settings) as limits:
            assert (await limits.take(limits.requests, caller)).remaining == 299
            gate.shut()
            assert (await limits.take(limits.requests, caller)).remaining == 298  # three of 300 were reserved
            assert (await limits.take(limits.requests, caller)).remaining == 297
            assert "Redis is unavailable" not in caplog.text
            assert (await limits.take(limits.requests, caller)).is_allowed
            assert "Redis is unavailable" in caplog.text

    asyncio.run(take())


def test_reservations_of_simultaneous_requests_are_used(redis: str, tmp_path: Path, caller: str) -> None:
    settings = Settings(data_dir=tmp_path, broker_url=redis, rate_limit=1800)

    async def take() -> None:
        async with running(settings) as limits:
            for _ in range(3):  # the first sixty reserve 180
                taken = await asyncio.gather(*(limits.take(limits.requests, caller) for _ in range(60)))
                assert all(verdict.is_allowed for verdict in taken)

    asyncio.run(take())


def test_limits_are_per_process_without_redis(settings: Settings) -> None:
    unavailable = f"redis://127.0.0.1:{find_free_port()}/0"
    update = {"api_keys": DIGEST, "broker_url": unavailable, "rate_limit": 3}
    with LocalClient(create_app(settings.model_copy(update=update))) as client:
        responses = [client.get("/v1/queue", headers=KEY) for _ in range(2)]

    assert [response.status_code for response in responses] == [200, 429]


@pytest.mark.parametrize("how", ["silence", "shut"])
def test_redis_outage_is_survived_and_recovery_used(
    how: str, gate: Gate, redis: str, tmp_path: Path, caller: str
) -> None:
    settings = Settings(data_dir=tmp_path, broker_url=through(gate, redis), rate_limit=1)

    async def take() -> None:
        with Redis.from_url(redis) as server:
            async with running(settings, timeout=2.0) as limits:
                assert (await limits.take(limits.requests, caller)).is_allowed and counts_of(server, caller)
                getattr(gate, how)()
                assert (await limits.take(limits.requests, caller)).is_allowed  # counted by this process
                assert not (await limits.take(limits.requests, caller)).is_allowed
                gate.open()
                server.delete(*counts_of(server, caller))
                async with asyncio.timeout(60):
                    while not counts_of(server, caller):
                        await asyncio.sleep(0.01)
                        await limits.take(limits.requests, caller)

    asyncio.run(take())


def client_of(settings: Settings, **update: object) -> TestClient:
    return LocalClient(create_app(settings.model_copy(update={"api_keys": DIGEST, **update})))


def test_exceeded_limit_has_retry_after(settings: Settings) -> None:
    client = client_of(settings, rate_limit=3)

    first, refused = (client.get("/v1/queue", headers=KEY) for _ in range(2))

    assert first.headers["ratelimit-policy"] == '"requests";q=1;w=20'
    assert first.headers["ratelimit"].startswith('"requests";r=0;t=')
    assert (refused.status_code, refused.json()["type"]) == (429, "/problems/rate-limited")
    assert 1 <= int(refused.headers["retry-after"]) <= 20
    assert refused.headers["ratelimit"].startswith('"requests";r=0;')


def test_training_requests_are_limited_separately(settings: Settings) -> None:
    client = client_of(settings, rate_limit=60, train_rate_limit=1)

    trained = [client.post("/v1/trials", json={}, headers=KEY) for _ in range(2)]
    read = client.get("/v1/queue", headers=KEY)

    assert [response.status_code for response in trained] == [422, 429]
    assert trained[1].headers["ratelimit-policy"].startswith('"training"')
    assert read.status_code == 200
    assert read.headers["ratelimit"].startswith('"requests";r=7;')  # of ten: each request was counted once


def test_wrong_keys_are_limited_per_address(settings: Settings) -> None:
    client = client_of(settings)

    wrong = [client.get("/v1/queue", headers={"Authorization": "Bearer wrong"}).status_code for _ in range(11)]

    assert wrong == [401] * 10 + [429]
    assert client.get("/v1/queue", headers=KEY).status_code == 200


def test_own_machine_has_no_limit_without_keys(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"rate_limit": 1}))

    def statuses(address: str) -> list[int]:
        client = LocalClient(app, client=(address, 50_000), headers={"X-Forwarded-For": "10.0.0.9"})
        return [client.get("/v1/queue").status_code for _ in range(2)]

    assert statuses("127.0.0.1") == statuses("::1") == [200, 200]
    assert statuses("10.0.0.1") == [403, 403]
