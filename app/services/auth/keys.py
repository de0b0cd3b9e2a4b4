"""Creation and revocation of API keys. The secret is shown once, at creation; only its SHA-256 is stored.

The operator of the machine (`rdw keys`) may create and revoke any key. A caller of the API may not lock everybody out:
the first key has the scope `admin`, and no key revokes itself, so that a caller that may manage keys always remains.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from datetime import datetime

from app.core.callers import ANYONE
from app.core.errors import Conflict, Unauthorized, require_found
from app.core.scopes import Scope
from app.core.settings import Settings
from app.db.tables import ApiKeyRow, utc_now
from app.db.unit_of_work import UnitOfWork

log = logging.getLogger("rdw.keys")

KEY_PREFIX = "rdw_"
CONFIGURED = "RDW_API_KEYS"
"""The name of all keys from the settings."""

ENV_ID_PREFIX = "env:"
"""Begins the ids of callers with a key from the settings."""

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
    row, secret = _add(work, name, scope, expires_at)
    if replaced is not None:
        work.keys.transfer(replaced.name, name)
    work.commit()
    return row, secret


def create_for_caller(
    work: UnitOfWork, name: str, scope: Scope, expires_at: datetime | None
) -> tuple[ApiKeyRow, str | None]:
    """Create a key for the caller; return it and its secret, or None if the same request created the key before.

    Raises: Unauthorized if the caller's key has just been revoked; Conflict if the name is taken, or the first key of a
    service has not the scope `admin`.
    """
    if before := work.recorded_outcome():
        return find(work, before), None
    _lock_for_caller(work)
    if work.caller == ANYONE and scope != "admin":
        raise Conflict(
            "This service has no keys. The first one turns authentication on, so it must have the scope `admin`: "
            "otherwise nobody could create the next one here."
        )
    row, secret = _add(work, name, scope, expires_at)
    work.record_outcome(row.id)
    work.commit()
    log.info("the key %s of scope %s was created by %s", row.name, row.scope, work.caller.name)
    return row, secret


def _add(work: UnitOfWork, name: str, scope: Scope, expires_at: datetime | None) -> tuple[ApiKeyRow, str]:
    secret = KEY_PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    row = ApiKeyRow(name=name, digest=digest_of(secret), scope=scope, expires_at=expires_at)
    if name == CONFIGURED or not work.keys.add_if_new(row):
        raise Conflict(f"There is a key named {name!r} already.")
    return row, secret


def revoke(work: UnitOfWork, id_or_name: str) -> ApiKeyRow:
    """Revoke a key; revoking it again changes nothing.

    Raises: NotFound.
    """
    row = _find(work, id_or_name)
    row.revoked_at = row.revoked_at or utc_now()
    work.commit()
    return row


def revoke_for_caller(work: UnitOfWork, key_id: str) -> ApiKeyRow:
    """Revoke a key other than the caller's; revoking it again changes nothing.

    Raises: NotFound; Unauthorized if the caller's key has just been revoked; Conflict if it is the caller's own.
    """
    _lock_for_caller(work)
    row = find(work, key_id)
    if row.id == work.caller.id:
        raise Conflict(
            "This key makes the request. Revoke it with another key of scope `admin`, or with `rdw keys revoke` on a "
            "machine of the service."
        )
    row.revoked_at = row.revoked_at or utc_now()
    work.commit()
    log.info("the key %s was revoked by %s", row.name, work.caller.name)
    return row


def find(work: UnitOfWork, key_id: str) -> ApiKeyRow:
    """Return the key of that id. Raises: NotFound."""
    return require_found(work.keys.get(key_id), "key", key_id)


def _lock_for_caller(work: UnitOfWork) -> None:
    """Let one caller change keys at a time, and check that its own key is still valid.

    A request is authenticated by a copy of the keys that is up to five seconds old. Within that time a revoked key
    must not create its successor, and two keys must not revoke each other.
    Raises: Unauthorized.
    """
    work.keys.lock_name("keys")
    caller = work.caller
    if caller.id.startswith(ENV_ID_PREFIX):
        return
    if caller == ANYONE:
        if not work.keys.is_empty():
            raise Unauthorized("This service requires an API key since a moment ago.")
        return
    row = work.keys.get(caller.id)
    state = "unknown" if row is None else status(row)
    if state != "live":
        raise Unauthorized(f"This key is {state}.", invalid=True)


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
