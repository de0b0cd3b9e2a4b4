"""All settings, from the environment (prefix RDW_). Nothing else reads it."""

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

_DATABASES = ("postgresql://", "postgresql+psycopg://", "sqlite:///")
_BROKERS = ("redis://", "rediss://")


class Settings(BaseSettings):
    """Every setting with its default; the README's table says the same."""

    model_config = SettingsConfigDict(env_prefix="RDW_", extra="ignore", hide_input_in_errors=True)

    data_dir: Path = Field(Path("var"), description="Database, broker's files, checkpoints and data sets go below it.")
    database_url: str = Field("", repr=False, description="SQLAlchemy URL; empty: SQLite in the data directory.")
    broker_url: str = Field(
        "", repr=False, description="Celery broker (redis://…); empty: files in the data directory."
    )
    host: str = Field("127.0.0.1", description="Address the API listens on.")
    api_keys: str = Field(
        "", description="SHA-256 digests (hex) of the keys that are let in, comma-separated; empty: loopback only."
    )
    metrics_open: bool = Field(False, description="Let Prometheus read /metrics without a key where there are keys.")
    trusted_proxies: str = Field(
        "", description="Addresses of proxies whose X-Forwarded-For and -Proto are believed, comma-separated."
    )
    cors_origins: str = Field("", description="Origins whose pages may call the API, comma-separated; empty: none.")
    rate_limit: int = Field(6000, ge=0, le=10**7, description="Requests a minute and key; 0: no limit.")
    train_rate_limit: int = Field(600, ge=0, le=10**7, description="Those that train, a minute and key; 0: no limit.")
    failed_key_limit: int = Field(
        60, ge=0, le=10**7, description="Requests without a valid key, a minute and address; 0: no limit."
    )
    max_streams: int = Field(1000, ge=1, le=100_000, description="Event streams a process serves at a time, …")
    max_streams_per_caller: int = Field(200, ge=1, le=100_000, description="… and of those a key's.")
    body_seconds: float = Field(30.0, ge=0.1, le=3600, description="A request's body has to arrive within.")
    port: int = Field(8000, ge=1, le=65535)
    workers: int = Field(0, ge=0, le=64, description="Workers that `rdw serve` starts; 0: one a core, at most 2.")
    threads: int = Field(0, ge=0, le=256, description="Torch threads a worker; 0: cores divided by workers.")
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="Where workers train: cpu, cuda, cuda:1; auto: a GPU if any.",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="Of training's forward passes; auto: bfloat16 on a GPU, float32 on a CPU."
    )
    compile: bool = Field(False, description="Train networks compiled (torch.compile): slow to start, fast to go on.")
    hold_bytes: int = Field(
        2 * 10**9, ge=0, description="Image sets up to this size are held in memory, larger ones read while training."
    )
    loaders: int = Field(0, ge=0, le=256, description="Processes a worker that read such sets; 0: as many as threads.")
    lease_seconds: float = Field(
        20.0, ge=1, le=3600, description="A worker that is silent for so long has lost its trial."
    )
    reconcile_seconds: float = Field(2.0, ge=0.1, le=600, description="How often lost jobs are looked for.")
    resend_seconds: float = Field(
        15.0, ge=0.5, le=3600, description="A queued trial nobody claims is sent again after so long."
    )
    max_attempts: int = Field(5, ge=1, le=100, description="A trial whose worker died so often has failed.")

    log_format: Literal["text", "json"] = Field("text", description="Log lines as plain text, or a JSON object each.")

    keep_days: float = Field(
        7.0,
        ge=0,
        le=36_500,
        description="How long the progress of trials that have ended, and checkpoints for a retry, are kept.",
    )

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().resolve()

    @field_validator("api_keys")
    @classmethod
    def _digests(cls, value: str) -> str:
        for digest in filter(None, value.split(",")):
            if not re.fullmatch(r"[0-9a-f]{64}", digest.strip()):
                raise ValueError("SHA-256 digests in hex are wanted, not keys: printf %s KEY | sha256sum")
        return value

    @property
    def key_digests(self) -> frozenset[str]:
        return frozenset(digest.strip() for digest in self.api_keys.split(",") if digest.strip())

    @field_validator("database_url")
    @classmethod
    def _database(cls, value: str) -> str:
        if _parsed(value).netloc.count("@") > 1:  # what stands between them would be shown as the host's name
            raise ValueError(_NO_URL)
        if value and not value.startswith(_DATABASES):
            raise ValueError("postgresql://USER@HOST/NAME, postgresql+psycopg://… or sqlite:///FILE is wanted")
        return value

    @field_validator("broker_url")
    @classmethod
    def _broker(cls, value: str) -> str:
        _parsed(value)
        if value and not value.startswith(_BROKERS):
            raise ValueError("redis://HOST:6379/0 or rediss://… is wanted; empty: files in the data directory")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies(cls, value: str) -> str:
        for proxy in filter(None, map(str.strip, value.split(","))):
            try:
                ipaddress.ip_network(proxy)  # of host bits in a network uvicorn would make a name that matches nobody
            except ValueError:
                raise ValueError(f"{proxy!r} is neither an address (10.0.0.7) nor a network (10.0.0.0/8)") from None
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: str) -> str:
        for origin in filter(None, map(str.strip, value.split(","))):
            if not re.fullmatch(r"https?://[A-Za-z0-9.\-\[\]:]+", origin):
                raise ValueError(f"{origin!r} is no origin: https://HOST or https://HOST:PORT; there is no wildcard")
        return value

    @property
    def allowed_origins(self) -> frozenset[str]:
        return frozenset(filter(None, map(str.strip, self.cors_origins.split(","))))

    @property
    def beyond_loopback(self) -> bool:
        """Whether other machines can reach the API: never allowed without a key."""
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

    @property
    def loader_count(self) -> int:
        return self.loaders or self.thread_count


_NO_URL = "this is no URL: is a character of its password to be percent-encoded?"


def _parsed(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 (reading it parses it)
    except ValueError:  # what is raised has parts of a password that was not encoded
        raise ValueError(_NO_URL) from None
    return parts


def wrong(error: ValidationError) -> list[str]:
    """Each setting that makes no sense, and why."""
    return [f"RDW_{str(one['loc'][0]).upper()}: {one['msg'].removeprefix('Value error, ')}" for one in error.errors()]


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    return Settings()
