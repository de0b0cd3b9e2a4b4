"""How much a caller may ask for: token buckets, in Redis where that is the broker, so that replicas share them.

A bucket is kept as the time at which it would be full again. Times are whole microseconds: what an answer says about
when to come back is exact.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.settings import Settings

log = logging.getLogger("rdw.limits")

_MINUTE = 60_000_000  # microseconds
_BURSTS_A_MINUTE = 6  # a bucket holds ten seconds' worth
_MOST_KEPT = 20_000
_PATIENCE = 0.1  # seconds that a request waits for Redis, before all go on without it
_TRIED_EVERY = 2.0  # seconds, beside the requests
_FETCHED = 100  # a hundredth of a burst is fetched at a time, so that few requests wait for Redis
_HELD_SECONDS = 5.0  # what is not used by then is lost
_SCRIPT = """
local time = redis.call('TIME')
local now, interval = time[1] * 1000000 + time[2], tonumber(ARGV[1])
local full = math.max(tonumber(redis.call('GET', KEYS[1])) or now, now)
local room = now + interval * ARGV[2] - full
if room < interval then return {full - now, interval - room, 0} end
local taken = math.min(tonumber(ARGV[3]), math.floor(room / interval))
full = full + interval * taken
redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000))
return {full - now, 0, taken}
"""


@dataclass(frozen=True)
class Policy:
    """So many a minute, a sixth of them at once."""

    name: str
    per_minute: int

    @property
    def burst(self) -> int:
        return max(1, self.per_minute // _BURSTS_A_MINUTE)

    @property
    def interval(self) -> int:
        """Microseconds until a token is back."""
        return -(-_MINUTE // self.per_minute)


@dataclass(frozen=True)
class Verdict:
    """`empty`: microseconds until the bucket is full again; `wait`: until it has a token, 0 where it had one."""

    policy: Policy
    empty: int
    wait: int

    @property
    def allowed(self) -> bool:
        return self.wait == 0

    @property
    def remaining(self) -> int:
        return max(0, self.policy.burst - -(-self.empty // self.policy.interval))

    @property
    def retry_after(self) -> int:
        """Whole seconds after which there is a token."""
        return -(-self.wait // 1_000_000)

    @property
    def headers(self) -> dict[str, str]:
        """As the IETF's draft has them (draft-ietf-httpapi-ratelimit-headers)."""
        name, burst = self.policy.name, self.policy.burst
        window = -(-burst * self.policy.interval // 1_000_000)
        return {
            "RateLimit-Policy": f'"{name}";q={burst};w={window}',
            "RateLimit": f'"{name}";r={self.remaining};t={-(-self.empty // 1_000_000)}',
        }


class Buckets:
    """In this process. The oldest go where there are very many: callers that were long away have full ones anyway."""

    def __init__(self, clock: Callable[[], int] = lambda: time.monotonic_ns() // 1000) -> None:
        self._clock = clock
        self._full: OrderedDict[str, int] = OrderedDict()

    def take(self, policy: Policy, who: str) -> Verdict:
        """A token, where there is one."""
        now, key = self._clock(), f"{policy.name}:{who}"
        full = max(self._full.get(key, now), now)
        excess = full + policy.interval - now - policy.interval * policy.burst
        if excess > 0:
            return Verdict(policy, full - now, excess)
        self._full[key] = full + policy.interval
        self._full.move_to_end(key)
        while len(self._full) > _MOST_KEPT:
            self._full.popitem(last=False)
        return Verdict(policy, full + policy.interval - now, 0)


class RateLimits:
    """Buckets in Redis while that answers, in this process otherwise: no request fails or waits for want of Redis."""

    def __init__(self, settings: Settings) -> None:
        self.requests = _policy("requests", settings.rate_limit)
        self.training = _policy("training", settings.train_rate_limit)
        self.failures = _policy("failed-keys", settings.failed_key_limit)
        self._here = Buckets()
        self._url = settings.broker_url if settings.broker_url.startswith(("redis://", "rediss://")) else None
        self._redis: Redis | None = None
        self._there = False
        self._held: OrderedDict[str, tuple[int, float, int]] = OrderedDict()  # tokens fetched, until when, `empty`
        self._return: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Connect, once the event loop runs."""
        if self._url is not None:
            self._redis = Redis.from_url(
                self._url,
                socket_timeout=_PATIENCE,
                socket_connect_timeout=1.0,
                retry=Retry(NoBackoff(), 0),
            )
            self._script = self._redis.register_script(_SCRIPT)
            await self._try()
            if not self._there:
                self._lost()

    async def close(self) -> None:
        if self._return is not None:
            self._return.cancel()
            with suppress(asyncio.CancelledError):
                await self._return
        if self._redis is not None:
            await self._redis.aclose()

    async def take(self, policy: Policy | None, who: str) -> Verdict | None:
        """A token of the caller's bucket; none where there is no limit."""
        if policy is None:
            return None
        if self._there:
            try:
                return await self._shared(policy, f"rdw:limit:{policy.name}:{who}")
            except (RedisError, OSError) as error:
                log.warning("Redis is away (%s): limits are by process until it is back", type(error).__name__)
                self._lost()
        return self._here.take(policy, who)

    async def _shared(self, policy: Policy, key: str) -> Verdict:
        left, until, empty = self._held.get(key, (0, 0.0, 0))
        if time.monotonic() > until:
            self._held.pop(key, None)
            left = 0
        if not left:
            args = [policy.interval, policy.burst, max(1, policy.burst // _FETCHED)]
            empty, wait, fetched = map(int, await self._script(keys=[key], args=args))
            left = self._held.get(key, (0,))[0] + fetched  # others may have fetched meanwhile
            until = time.monotonic() + _HELD_SECONDS
            if not left:
                return Verdict(policy, empty, wait)
        self._held[key] = (left - 1, until, empty)
        self._held.move_to_end(key)
        while len(self._held) > _MOST_KEPT:
            self._held.popitem(last=False)
        return Verdict(policy, empty, 0)

    def _lost(self) -> None:
        self._there = False
        if self._return is None or self._return.done():
            self._return = asyncio.create_task(self._await_return())

    async def _await_return(self) -> None:
        while not self._there:
            await asyncio.sleep(_TRIED_EVERY)
            await self._try()

    async def _try(self) -> None:
        assert self._redis is not None
        with suppress(RedisError, OSError):
            self._there = bool(await self._redis.ping())


def _policy(name: str, per_minute: int) -> Policy | None:
    return Policy(name, per_minute) if per_minute else None
