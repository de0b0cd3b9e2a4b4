"""Creation and revocation of API keys. The secret is shown once, at creation; only its SHA-256 is stored."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime

from app.core.errors import Conflict, require_found
from app.core.scopes import Scope
from app.core.settings import Settings
from app.db.tables import ApiKeyRow, utc_now
from app.db.unit_of_work import UnitOfWork

KEY_PREFIX = "rdw_"
CONFIGURED = "RDW_API_KEYS"
"""The name of all keys from the settings."""

_RANDOM_BYTES = 32


def digest_of(secret: str) -> str:
    """Return the SHA-256 of the secret. No salt or slow hash is needed, since 256 random bits cannot be guessed."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def create(
    work: UnitOfWork, name: str, scope: Scope, expires_at: datetime | None, *, replaces: str | None = None
) -> tuple[ApiKeyRow, str]:
    """Create a key; return it and its secret. What the key `replaces` (id or name) owns belongs to the new one.

    Raises: Conflict if the name is taken, even by a revoked key; NotFound for the key to replace.
    """
    replaced = None if replaces is None else _find(work, replaces)
    secret = KEY_PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    row = ApiKeyRow(name=name, digest=digest_of(secret), scope=scope, expires_at=expires_at)
    if name == CONFIGURED or not work.keys.add_if_new(row):
        raise Conflict(f"There is a key named {name!r} already.")
    if replaced is not None:
        work.keys.transfer(replaced.name, name)
    work.commit()
    return row, secret


def revoke(work: UnitOfWork, id_or_name: str) -> ApiKeyRow:
    """Revoke a key; revoking it again changes nothing.

    Raises: NotFound.
    """
    row = _find(work, id_or_name)
    row.revoked_at = row.revoked_at or utc_now()
    work.commit()
    return row


def _find(work: UnitOfWork, id_or_name: str) -> ApiKeyRow:
    return require_found(work.keys.by_id_or_name(id_or_name), "key", id_or_name)


def revoke_before(work: UnitOfWork, time: datetime) -> list[ApiKeyRow]:
    """Revoke all live keys created before this time; return them. After a restore some of them were revoked before."""
    revoked = [row for row in work.keys.list_all() if row.created_at < time and status(row) == "live"]
    for row in revoked:
        row.revoked_at = utc_now()
    work.commit()
    return revoked


def status(row: ApiKeyRow) -> str:
    """Return `live`, `revoked` or `expired`."""
    if row.revoked_at is not None:
        return "revoked"
    return "expired" if row.expires_at is not None and row.expires_at <= utc_now() else "live"


def any_configured(settings: Settings) -> bool:
    """Whether a key was ever configured: then every request needs one.

    Raises: DatabaseUnavailable.
    """
    if settings.key_digests:
        return True
    with UnitOfWork(settings.database, writes=False) as work:
        return bool(work.keys.list_all())
