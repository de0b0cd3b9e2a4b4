"""Routes of API keys."""

from __future__ import annotations

from datetime import timedelta

from fastapi import APIRouter, Response

from app.core.callers import ANYONE
from app.db.tables import ApiKeyRow, utc_now
from app.http import openapi_examples
from app.http.auth import ADMIN
from app.http.dependencies import Cursor, Id, KeyCacheDep, Limit, ReadUow, WriteUow
from app.http.openapi import identifies
from app.http.problems import RESPONSES
from app.http.route import ApiRoute
from app.http.schemas.common import fields_in
from app.http.schemas.keys import CreatedKey, KeyItem, KeyPage, NewKey
from app.services.auth import keys

router = APIRouter(prefix="/v1/keys", tags=["keys"], responses=RESPONSES, route_class=ApiRoute)


@router.get("", summary="List API keys", dependencies=[ADMIN])
def list_keys(work: ReadUow, limit: Limit = 50, cursor: Cursor = None) -> KeyPage:
    """List all keys, newest first, including revoked and expired ones. Keys of the settings are not listed."""
    page = work.keys.page(limit, cursor)
    caller = None if work.caller == ANYONE else work.caller.name
    return KeyPage(items=[_item(row) for row in page.items], next=page.next, caller=caller)


@router.post(
    "",
    status_code=201,
    summary="Create an API key",
    responses={201: identifies("keys", "/id")},
    openapi_extra=openapi_examples.KEY,
    dependencies=[ADMIN],
)
def create_key(body: NewKey, work: WriteUow, cache: KeyCacheDep, response: Response) -> CreatedKey:
    """Create a key and show its secret, once: only a hash is stored, and no response under an idempotency key.

    A repeated request gets the key without the secret: if the first response was lost, revoke the key and create
    another one. The first key of a service turns authentication on and must have the scope `admin`.
    """
    expires_at = None if body.lifetime_days is None else utc_now() + timedelta(days=body.lifetime_days)
    row, secret = keys.create_for_caller(work, body.name, body.scope, expires_at)
    cache.invalidate()
    response.headers["Location"] = f"/v1/keys/{row.id}"
    response.headers["Cache-Control"] = "no-store"
    if secret is None:
        response.headers["Idempotent-Replayed"] = "true"
    return CreatedKey(**_item(row).model_dump(), secret=secret)


@router.get("/{id}", summary="Read an API key", dependencies=[ADMIN])
def read_key(id: Id, work: ReadUow) -> KeyItem:
    """Read a key with its state and its last use, without its secret."""
    return _item(keys.find(work, id))


@router.post("/{id}/revoke", summary="Revoke an API key", dependencies=[ADMIN])
def revoke_key(id: Id, work: WriteUow, cache: KeyCacheDep) -> KeyItem:
    """Revoke a key for good. It is refused within five seconds; what it made stays.

    The key that makes the request cannot be revoked by it. Revoking a revoked key has no effect.
    """
    row = keys.revoke_for_caller(work, id)
    cache.invalidate()
    return _item(row)


def _item(row: ApiKeyRow) -> KeyItem:
    return KeyItem(**{**fields_in(row, KeyItem), "state": keys.status(row)})
