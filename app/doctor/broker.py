"""The broker: there, and never throwing messages away."""

from __future__ import annotations

from redis import Redis, RedisError

from app.doctor.finding import Finding, fail, ok, warn
from app.settings import Settings

_SECONDS = 3


def answers(settings: Settings) -> Finding:
    if settings.embedded_broker:
        folder = settings.data_dir / "broker"
        return ok("broker", f"files in {folder}")
    try:
        with _redis(settings) as redis:
            redis.ping()
    except (RedisError, ValueError) as error:
        return fail("broker", f"it does not answer: {error}", "Start Redis, or correct RDW_BROKER_URL.")
    return ok("broker", "it answers")


def evicts(settings: Settings) -> Finding:
    """A Redis that is short of memory and allowed to evict throws queued trainings away."""
    if settings.embedded_broker:
        return ok("broker's memory", "nothing evicts")
    with _redis(settings) as redis:
        try:
            policy = str(redis.config_get("maxmemory-policy").get("maxmemory-policy", ""))  # type: ignore[union-attr]
        except RedisError:
            return warn("broker's memory", "it does not tell its maxmemory-policy", "See that it is noeviction.")
    if policy != "noeviction":
        cure = "redis-cli CONFIG SET maxmemory-policy noeviction, and the same in redis.conf."
        return warn("broker's memory", f"maxmemory-policy is {policy}: messages are thrown away when it is full", cure)
    return ok("broker's memory", "noeviction")


def _redis(settings: Settings) -> Redis:
    return Redis.from_url(settings.broker_url, socket_connect_timeout=_SECONDS, socket_timeout=_SECONDS)
