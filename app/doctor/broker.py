"""Checks of the broker: it answers and does not evict messages."""

from __future__ import annotations

from redis import Redis, RedisError

from app.core.settings import Settings
from app.doctor.finding import Finding, fail, ok, warn

_SECONDS = 3


def check_connection(settings: Settings) -> Finding:
    if settings.embedded_broker:
        folder = settings.data_dir / "broker"
        return ok("broker", f"files in {folder}")
    try:
        with _redis(settings) as redis:
            redis.ping()
    except (RedisError, ValueError) as error:
        return fail("broker", f"it does not answer: {error}", "Start Redis, or correct RDW_BROKER_URL.")
    return ok("broker", "it answers")


def check_eviction(settings: Settings) -> Finding:
    """Check Redis's eviction policy: a full Redis that may evict drops queued messages."""
    if settings.embedded_broker:
        return ok("broker's memory", "nothing evicts")
    with _redis(settings) as redis:
        try:
            policy = str(redis.config_get("maxmemory-policy").get("maxmemory-policy", ""))
        except RedisError:
            return warn("broker's memory", "its maxmemory-policy cannot be read", "Make sure that it is noeviction.")
    if policy != "noeviction":
        cure = "redis-cli CONFIG SET maxmemory-policy noeviction, and the same in redis.conf."
        return warn("broker's memory", f"maxmemory-policy is {policy}: messages are lost when it is full", cure)
    return ok("broker's memory", "noeviction")


def _redis(settings: Settings) -> Redis:
    return Redis.from_url(settings.broker_url, socket_connect_timeout=_SECONDS, socket_timeout=_SECONDS)
