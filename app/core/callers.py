"""Callers: the senders of requests, and how much they may use."""

from __future__ import annotations

from dataclasses import dataclass

from app.core.scopes import Scope, included_scopes

KEY_NAME = r"[A-Za-z0-9][A-Za-z0-9_.@\-]{0,99}"
"""The pattern of an API key's name."""


@dataclass(frozen=True)
class Caller:
    """The sender of a request and its scopes."""

    id: str
    name: str
    scopes: frozenset[Scope]

    @property
    def is_admin(self) -> bool:
        return "admin" in self.scopes

    @property
    def owner(self) -> str | None:
        """The owner of what the caller makes: the name of its key, as names are never used again; None without keys."""
        return None if self == ANYONE else self.name


@dataclass(frozen=True)
class Quotas:
    """How much a key of scope `train` may use; 0: as much as it wants."""

    trials: int = 0  # queued ones
    studies: int = 0
    observations: int = 0  # imported and reported ones
    stored_bytes: int = 0  # of artifacts


UNLIMITED = Quotas()

ANYONE = Caller("anonymous", "anonymous", included_scopes("admin"))
"""The caller of a service without keys, which listens on loopback only; and the service's own processes."""
