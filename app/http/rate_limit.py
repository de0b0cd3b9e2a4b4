"""Rate limits per caller, shared by all replicas if the broker is Redis."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass

from cachetools import TTLCache
from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter
from limits.errors import StorageError
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from app.core.settings import Settings

log = logging.getLogger("rdw.limits")

_MAX_FAILED_KEYS = 60  # per minute and address
_WINDOWS_PER_MINUTE = 6
_RESERVATIONS_PER_WINDOW = 100
_RESERVATION_SECONDS = 5.0
_MAX_RESERVATIONS = 20_000


class Policy:
    """A number of requests per minute; a sixth of them may be sent within each window of ten seconds."""

    def __init__(self, name: str, per_minute: int) -> None:
        self.name = name
        self.per_minute = per_minute
        self.quota = max(1, per_minute // _WINDOWS_PER_MINUTE)
        self.window = math.ceil(60 * self.quota / per_minute)  # seconds; longer for less than six a minute
        self.item = RateLimitItemPerSecond(self.quota, self.window, name)


@dataclass(frozen=True)
class Verdict:
    """Whether a request is within the limit, and what remains of the quota until the window ends (Unix time)."""

    policy: Policy
    is_allowed: bool
    remaining: int
    window_end: float

    @property
    def retry_after(self) -> int:
        """Whole seconds after which the whole quota is available again."""
        return min(self.policy.window, max(0, int(self.window_end - time.time())) + 1)

    @property
    def headers(self) -> dict[str, str]:
        """The headers of draft-ietf-httpapi-ratelimit-headers."""
        policy = self.policy
        return {
            "RateLimit-Policy": f'"{policy.name}";q={policy.quota};w={policy.window}',
            "RateLimit": f'"{policy.name}";r={self.remaining};t={self.retry_after}',
        }


class RateLimits:
    """Counts requests in Redis, or in this process if there is no Redis or it is unavailable.

    A hundredth of a quota is reserved in Redis at a time, so that few requests wait for it. A request waits at most
    `timeout` seconds; then requests are counted in this process until Redis is tried again after `retry_seconds`.
    """

    def __init__(self, settings: Settings, *, timeout: float = 0.1, retry_seconds: float = 2.0) -> None:
        self.requests = _policy("requests", settings.rate_limit)
        self.training = _policy("training", settings.train_rate_limit)
        self.failures = _policy("failed-keys", _MAX_FAILED_KEYS if settings.rate_limit else 0)
        self._url = settings.broker_url
        self._timeout = timeout
        self._retry_seconds = retry_seconds
        self._local = FixedWindowRateLimiter(MemoryStorage())
        self._shared: FixedWindowRateLimiter | None = None
        self._retry_at = 0.0
        self._reservations: TTLCache[str, _Reservation] = TTLCache(_MAX_RESERVATIONS, _RESERVATION_SECONDS)

    async def connect(self) -> None:
        """Connect to Redis, if there is one; call this in the event loop."""
        if self._url:
            self._pool = ConnectionPool.from_url(
                self._url,
                socket_timeout=self._timeout,
                socket_connect_timeout=self._timeout,
                retry=Retry(NoBackoff(), 0),
            )
            storage = RedisStorage(
                f"async+{self._url}",
                wrap_exceptions=True,
                implementation="redispy",
                key_prefix="rdw:limits",
                connection_pool=self._pool,  # type: ignore[arg-type]
            )
            self._shared = FixedWindowRateLimiter(storage)

    async def close(self) -> None:
        if self._shared is not None:
            self._shared = None
            await self._pool.aclose()

    async def take(self, policy: Policy | None, caller: str, cost: int = 1) -> Verdict | None:
        """Count `cost` requests of the caller and judge them; return None without a policy, that is, without a limit.

        A cost above the whole quota is counted as the quota.
        """
        if policy is None:
            return None
        cost = min(cost, policy.quota)
        if self._shared is not None and time.monotonic() >= self._retry_at:
            try:
                return await self._take_reserved(self._shared, policy, caller, cost)
            except StorageError as error:
                self._retry_at = time.monotonic() + self._retry_seconds
                log.warning("Redis is unavailable (%s): each process counts requests for itself", error.storage_error)
        return await _hit(self._local, policy, caller, cost)

    async def _take_reserved(self, limiter: FixedWindowRateLimiter, policy: Policy, caller: str, cost: int) -> Verdict:
        key = f"{policy.name}:{caller}"
        reservation = self._reservations.get(key)
        if reservation is None or reservation.unused < cost:
            size = max(cost, policy.quota // _RESERVATIONS_PER_WINDOW)
            verdict = await _hit(limiter, policy, caller, size)
            reservation = self._reservations.get(key)  # other requests may have reserved meanwhile
            unused = reservation.unused if reservation is not None else 0
            if not verdict.is_allowed and unused < cost:
                return verdict
            unused += size if verdict.is_allowed else 0
            reservation = _Reservation(unused, verdict.remaining, verdict.window_end)
            self._reservations[key] = reservation
        reservation.unused -= cost
        return Verdict(policy, True, reservation.remaining + reservation.unused, reservation.window_end)


@dataclass
class _Reservation:
    """Requests that this process has counted in Redis in advance; `remaining` more are within the limit."""

    unused: int
    remaining: int
    window_end: float


async def _hit(limiter: FixedWindowRateLimiter, policy: Policy, caller: str, cost: int) -> Verdict:
    is_allowed = await limiter.hit(policy.item, caller, cost=cost)
    window_end, remaining = await limiter.get_window_stats(policy.item, caller)
    return Verdict(policy, is_allowed, remaining, window_end)


def _policy(name: str, per_minute: int) -> Policy | None:
    return Policy(name, per_minute) if per_minute else None
