"""API keys: made, listed, revoked. The secret is told once, when it is made; its SHA-256 alone is kept."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime

from app.db.tables import ApiKeyRow, utc_now
from app.db.unit_of_work import UnitOfWork
from app.errors import Conflict, NotFound
from app.scopes import Scope
from app.settings import Settings

PREFIX = "rdw_"
_BYTES = 32


def digest_of(secret: str) -> str:
    """A plain hash will do: 256 random bits leave nothing to guess."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def create(work: UnitOfWork, name: str, scope: Scope, expires_at: datetime | None) -> tuple[ApiKeyRow, str]:
    """The key and its secret.

    Raises: Conflict where the name is taken, by a revoked key as well.
    """
    secret = PREFIX + secrets.token_urlsafe(_BYTES)
    row = ApiKeyRow(name=name, digest=digest_of(secret), scope=scope, expires_at=expires_at)
    if not work.keys.add_if_new(row):
        raise Conflict(f"There is a key named {name!r} already.")
    work.commit()
    return row, secret


def revoke(work: UnitOfWork, id_or_name: str) -> ApiKeyRow:
    """Raises: NotFound."""
    row = work.keys.called(id_or_name)
    if row is None:
        raise NotFound("key", id_or_name)
    row.revoked_at = row.revoked_at or utc_now()
    work.commit()
    return row


def standing(row: ApiKeyRow) -> str:
    """Whether it lets in: live, revoked or expired."""
    if row.revoked_at is not None:
        return "revoked"
    return "expired" if row.expires_at is not None and row.expires_at <= utc_now() else "live"


def any_there(settings: Settings) -> bool:
    """Whether a key was ever configured: then nobody comes in without one.

    Raises: DatabaseAway.
    """
    if settings.key_digests:
        return True
    with UnitOfWork(settings.database, writes=False) as work:
        return bool(work.keys.all())
