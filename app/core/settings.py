"""All settings, from environment variables with the prefix RDW_. No other module reads the environment."""

from __future__ import annotations

import ipaddress
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.core.callers import Quotas

_DATABASES = ("postgresql://", "postgresql+psycopg://", "sqlite:///")
_BROKERS = ("redis://", "rediss://")


class Settings(BaseSettings):
    """Every setting with its default; docs/settings.md lists the same."""

    model_config = SettingsConfigDict(env_prefix="RDW_", extra="ignore", hide_input_in_errors=True)

    data_dir: Path = Field(Path("var"), description="Directory of database, broker files, checkpoints and data sets.")
    database_url: str = Field("", repr=False, description="SQLAlchemy URL; empty: SQLite in the data directory.")
    broker_url: str = Field("", repr=False, description="Redis URL; empty: files in the data directory.")

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=1, le=65535, description="Port to listen on.")
    api_keys: str = Field("", description="SHA-256 digests (hex) of valid keys, comma-separated; empty: none.")
    metrics_open: bool = Field(False, description="Serve /metrics without a key.")
    trusted_proxies: str = Field(
        "", description="Addresses of proxies whose X-Forwarded-For and -Proto are trusted, comma-separated."
    )
    cors_origins: str = Field("", description="Origins whose pages may call the API, comma-separated; empty: none.")
    allowed_hosts: str = Field(
        "", description="Host names under which the API answers beside localhost, comma-separated; empty: see the docs."
    )
    log_format: Literal["text", "json"] = Field("text", description="Log lines as plain text or as JSON objects.")

    rate_limit: int = Field(6000, ge=0, le=10**7, description="Requests per minute and key; 0: no limit.")
    train_rate_limit: int = Field(
        600, ge=0, le=10**7, description="Requests that train, per minute and key; 0: no limit."
    )

    solvers: int = Field(
        2, ge=0, le=64, description="Processes of the API for long computations; 0: they run in the API itself."
    )
    cache_bytes: int = Field(
        256 * 2**20,
        ge=2**20,
        le=2**40,
        description="Memory for cached cost tables and predictors, in each process of the API.",
    )

    idempotency_bytes: int = Field(
        64 * 2**20,
        ge=2**16,
        le=2**40,
        description="Size of the responses stored under idempotency keys, per API key; the oldest are deleted first.",
    )

    quota_trials: int = Field(25_000, ge=0, le=10**9, description="Queued trials per key; 0: no limit.")
    quota_studies: int = Field(2_000, ge=0, le=10**9, description="Studies per key; 0: no limit.")
    quota_observations: int = Field(
        1_000_000, ge=0, le=10**9, description="Imported and reported observations per key; 0: no limit."
    )
    quota_gb: float = Field(
        100.0, ge=0, le=10**6, description="Size of the artifacts of a key's trials, in GB; 0: no limit."
    )

    workers: int = Field(0, ge=0, le=64, description="Workers that `rdw serve` starts; 0: one per core, at most 2.")
    threads: int = Field(0, ge=0, le=256, description="Torch threads per worker; 0: cores divided by workers.")
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="Training device: cpu, cuda, cuda:1; auto: a GPU if there is one.",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="Precision of forward passes in training; auto: bfloat16 on a GPU, float32 on a CPU."
    )
    compile: bool = Field(False, description="Use torch.compile: slower start, faster epochs.")

    lease_seconds: float = Field(
        20.0, ge=1, le=3600, description="A worker that sends no heartbeat for this long loses its trial."
    )
    stall_seconds: float = Field(
        600.0, ge=5, le=86_400, description="A training without a step for this long ends; its first steps take longer."
    )
    max_attempts: int = Field(
        5, ge=1, le=100, description="A trial whose worker died or made no progress this many times fails."
    )
    reconcile_seconds: float = Field(
        2.0, ge=0.1, le=600, description="How often the maintenance loop looks for lost jobs."
    )
    resend_seconds: float = Field(
        15.0, ge=0.5, le=3600, description="An unclaimed trial is sent to the broker again after this long."
    )
    keep_days: float = Field(
        7.0,
        ge=0,
        le=36_500,
        description="Retention of progress events of ended trials, and of checkpoints for a retry.",
    )

    @field_validator("data_dir")
    @classmethod
    def _resolve_data_dir(cls, value: Path) -> Path:
        return value.expanduser().resolve()

    @field_validator("api_keys")
    @classmethod
    def _check_api_keys(cls, value: str) -> str:
        for digest in _split(value):
            if not re.fullmatch(r"[0-9a-f]{64}", digest):
                raise ValueError("use SHA-256 digests in hex, not keys: printf %s KEY | sha256sum")
        return value

    @property
    def key_digests(self) -> frozenset[str]:
        return frozenset(_split(self.api_keys))

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, value: str) -> str:
        if _parse_url(value).netloc.count("@") > 1:  # the part between them would be shown as the host name
            raise ValueError(_INVALID_URL)
        if value and not value.startswith(_DATABASES):
            raise ValueError("postgresql://USER@HOST/NAME, postgresql+psycopg://… or sqlite:///FILE is expected")
        return value

    @field_validator("broker_url")
    @classmethod
    def _check_broker_url(cls, value: str) -> str:
        _parse_url(value)
        if value and not value.startswith(_BROKERS):
            raise ValueError("redis://HOST:6379/0 or rediss://… is expected; empty: files in the data directory")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, value: str) -> str:
        for proxy in _split(value):
            try:
                network = ipaddress.ip_network(proxy)  # uvicorn would take a network with host bits for a host name
            except ValueError:
                raise ValueError(f"{proxy!r} is neither an address (10.0.0.7) nor a network (10.0.0.0/8)") from None
            if network.prefixlen == 0:
                raise ValueError(f"{proxy!r} would let every client choose its own address: name the proxies")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, value: str) -> str:
        for origin in _split(value):
            if not re.fullmatch(r"https?://[A-Za-z0-9.\-\[\]:]+", origin):
                raise ValueError(
                    f"{origin!r} is not an origin: use https://HOST or https://HOST:PORT; there is no wildcard"
                )
        return value

    @property
    def allowed_origins(self) -> frozenset[str]:
        return frozenset(_split(self.cors_origins))

    @field_validator("allowed_hosts")
    @classmethod
    def _check_hosts(cls, value: str) -> str:
        for host in _split(value):
            if not re.fullmatch(r"[A-Za-z0-9_.-]+|[0-9A-Fa-f:.]+", host):
                raise ValueError(f"{host!r} is not a host name or address without port; there is no wildcard")
        return value

    @property
    def allowed_host_names(self) -> frozenset[str]:
        return frozenset(_split(self.allowed_hosts.lower()))

    @property
    def quotas(self) -> Quotas:
        return Quotas(self.quota_trials, self.quota_studies, self.quota_observations, round(self.quota_gb * 10**9))

    @property
    def listens_beyond_loopback(self) -> bool:
        """Whether other machines can reach the API, which is never allowed without a key."""
        return self.host not in ("127.0.0.1", "::1", "localhost")

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.data_dir / 'rdw.sqlite3'}"

    @property
    def embedded_broker(self) -> bool:
        return not self.broker_url

    @property
    def worker_count(self) -> int:
        return self.workers or min(2, os.cpu_count() or 1)

    @property
    def thread_count(self) -> int:
        return self.threads or max(1, (os.cpu_count() or 1) // self.worker_count)


def _split(text: str) -> list[str]:
    """Return the parts of a comma-separated list."""
    return [part for part in map(str.strip, text.split(",")) if part]


_INVALID_URL = "this is not a valid URL: special characters in its password must be percent-encoded"


def _parse_url(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 (reading it parses it)
    except ValueError:  # its message may contain parts of a password that was not encoded
        raise ValueError(_INVALID_URL) from None
    return parts


def describe_errors(error: ValidationError) -> list[str]:
    """Return one line per invalid setting, with the reason."""
    return [f"RDW_{str(e['loc'][0]).upper()}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors()]


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    return Settings()
