from __future__ import annotations

import asyncio
import hashlib
import uuid
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from redis import Redis

from app.main import create_app
from app.rate_limits import Buckets, Policy, RateLimits
from app.settings import Settings
from tests.failures.gate import Gate
from tests.support import free_port

DIGEST = hashlib.sha256(b"one").hexdigest()
KEY = {"Authorization": "Bearer one"}


class Clock:
    now = 0

    def __call__(self) -> int:
        return self.now


@given(
    per_minute=st.integers(1, 10**7),
    waits=st.lists(st.integers(0, 20_000_000), min_size=1, max_size=60),
)
@hypothesis_settings(deadline=None, max_examples=200, derandomize=True, database=None)
def test_who_waits_as_long_as_it_was_told_is_let_through_and_a_microsecond_less_is_too_little(
    per_minute: int, waits: list[int]
) -> None:
    clock, policy = Clock(), Policy("requests", per_minute)
    buckets = Buckets(clock)
    for wait in waits:
        clock.now += wait
        verdict = buckets.take(policy, "a")
        if not verdict.allowed:
            assert verdict.remaining == 0
            clock.now += verdict.wait - 1
            assert buckets.take(policy, "a").wait == 1
            clock.now += 1
            assert buckets.take(policy, "a").allowed


@given(per_minute=st.integers(1, 100_000), waits=st.lists(st.integers(0, 3_000_000), max_size=300))
@hypothesis_settings(deadline=None, max_examples=100, derandomize=True, database=None)
def test_no_more_are_let_through_than_the_burst_and_what_comes_back_in_the_time(
    per_minute: int, waits: list[int]
) -> None:
    clock, policy = Clock(), Policy("requests", per_minute)
    buckets, let_through = Buckets(clock), 0
    for wait in waits:
        clock.now += wait
        let_through += buckets.take(policy, "a").allowed
    assert let_through <= policy.burst + clock.now / policy.interval
    assert let_through >= min(len(waits), policy.burst)


def test_callers_have_buckets_of_their_own_and_what_remains_counts_down() -> None:
    clock, policy = Clock(), Policy("requests", 18)
    buckets = Buckets(clock)

    assert [buckets.take(policy, "a").remaining for _ in range(3)] == [2, 1, 0]
    assert not buckets.take(policy, "a").allowed
    assert buckets.take(policy, "b").allowed


def test_redis_counts_as_this_process_does_and_replicas_share_it(redis: str, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, broker_url=redis, rate_limit=18)
    who, server = uuid.uuid4().hex, Redis.from_url(redis)
    key = f"rdw:limit:requests:{who}"

    async def ask() -> None:
        one, other = RateLimits(settings), RateLimits(settings)
        await one.begin()
        await other.begin()
        taken = [await limits.take(limits.requests, who) for limits in (one, other, one)]
        assert [verdict.remaining for verdict in taken] == [2, 1, 0]
        refused = await other.take(other.requests, who)
        assert not refused.allowed and 0 < refused.wait <= refused.policy.interval
        full = int(server.get(key))
        server.set(key, full - refused.wait)  # as if so much time had gone by
        assert (await one.take(one.requests, who)).allowed
        assert 0 < server.pttl(key) <= 3 * refused.policy.interval / 1000
        await one.close()
        await other.close()

    try:
        asyncio.run(ask())
    finally:
        server.delete(key)
        server.close()


def test_of_a_large_bucket_a_few_tokens_are_fetched_at_a_time(redis: str, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, broker_url=redis, rate_limit=1800)
    who, server = uuid.uuid4().hex, Redis.from_url(redis)
    key = f"rdw:limit:requests:{who}"

    async def ask() -> None:
        limits = RateLimits(settings)
        await limits.begin()
        kept = []
        for _ in range(4):
            assert (await limits.take(limits.requests, who)).allowed
            kept.append(int(server.get(key)))
        assert kept[0] == kept[1] == kept[2] < kept[3]  # three of three hundred, and three more
        for _ in range(5):  # what requests at the same time fetch is spent by others
            taken = await asyncio.gather(*(limits.take(limits.requests, who) for _ in range(59)))
            assert all(verdict.allowed for verdict in taken)
        await limits.close()

    try:
        asyncio.run(ask())
    finally:
        server.delete(key)
        server.close()


def test_without_redis_limits_are_by_process_and_nobody_is_refused_for_that(settings: Settings) -> None:
    away = f"redis://127.0.0.1:{free_port()}/0"
    update = {"api_keys": DIGEST, "broker_url": away, "rate_limit": 12}
    with TestClient(create_app(settings.model_copy(update=update))) as client:
        answers = [client.get("/v1/queue", headers=KEY) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]


@pytest.mark.parametrize("how", ["silence", "shut"])
def test_redis_that_dies_meanwhile_is_done_without_and_used_again_when_it_is_back(
    how: str, redis: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.rate_limits._TRIED_EVERY", 0.01)
    who, server = uuid.uuid4().hex, Redis.from_url(redis)
    key = f"rdw:limit:requests:{who}"
    port, database = redis.rpartition(":")[2].split("/")
    gate = Gate("127.0.0.1", int(port))
    through = f"redis://127.0.0.1:{gate.port}/{database}"

    async def ask() -> None:
        limits = RateLimits(Settings(data_dir=tmp_path, broker_url=through, rate_limit=6))
        await limits.begin()
        assert (await limits.take(limits.requests, who)).allowed and server.exists(key)
        getattr(gate, how)()
        assert (await limits.take(limits.requests, who)).allowed  # the first by this process's count
        assert not (await limits.take(limits.requests, who)).allowed
        gate.open()
        await asyncio.wait_for(limits._return, 10)
        server.delete(key)
        assert (await limits.take(limits.requests, who)).allowed and server.exists(key)
        await limits.close()

    try:
        asyncio.run(ask())
    finally:
        server.delete(key)
        server.close()
        gate.end()


def test_who_asks_too_much_is_told_when_to_ask_again(settings: Settings) -> None:
    client = TestClient(create_app(settings.model_copy(update={"api_keys": DIGEST, "rate_limit": 12})))

    first, _, refused = (client.get("/v1/queue", headers=KEY) for _ in range(3))

    assert first.headers["ratelimit-policy"] == '"requests";q=2;w=10'
    assert first.headers["ratelimit"] == '"requests";r=1;t=5'
    assert (refused.status_code, refused.json()["type"]) == (429, "/problems/rate-limited")
    assert refused.headers["retry-after"] == "5"
    assert refused.headers["ratelimit"].startswith('"requests";r=0;')


def test_a_request_counts_once_and_those_that_train_count_apart(settings: Settings) -> None:
    update = {"api_keys": DIGEST, "rate_limit": 60, "train_rate_limit": 6}
    client = TestClient(create_app(settings.model_copy(update=update)))

    trained = [client.post("/v1/trials", json={}, headers=KEY) for _ in range(2)]
    read = client.get("/v1/queue", headers=KEY)

    assert [answer.status_code for answer in trained] == [422, 429]
    assert trained[1].headers["ratelimit-policy"].startswith('"training"')
    assert read.status_code == 200
    assert read.headers["ratelimit"].startswith('"requests";r=7;')  # of ten


def test_wrong_keys_are_counted_by_address_and_the_right_one_is_let_in_all_the_same(settings: Settings) -> None:
    client = TestClient(create_app(settings.model_copy(update={"api_keys": DIGEST, "failed_key_limit": 12})))

    wrong = [client.get("/v1/queue", headers={"Authorization": "Bearer wrong"}).status_code for _ in range(3)]

    assert wrong == [401, 401, 429]
    assert client.get("/v1/queue", headers=KEY).status_code == 200


def test_without_keys_this_machine_has_no_limit_and_others_have_one_by_address(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"rate_limit": 6}))

    def codes(address: str) -> list[int]:
        client = TestClient(app, client=(address, 50_000), headers={"X-Forwarded-For": "10.0.0.9"})
        return [client.get("/v1/queue").status_code for _ in range(2)]

    assert codes("127.0.0.1") == codes("::1") == [200, 200]
    assert codes("10.0.0.1") == codes("10.0.0.2") == [200, 429]
