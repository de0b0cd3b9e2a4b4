"""Schemas of API keys."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from app.core.callers import KEY_NAME
from app.core.scopes import Scope
from app.http.schemas.common import Page, RequestModel, ResponseModel


class NewKey(RequestModel):
    """An API key to create."""

    name: Annotated[str, StringConstraints(pattern=f"^{KEY_NAME}$")] = Field(
        description="Unique name that says what it is for. It is never used again: what the key makes belongs to it."
    )
    scope: Scope = Field(description="What it may do; each scope includes the ones before it.")
    lifetime_days: int | None = Field(None, ge=1, le=36_500, description="Days until it expires; null: it does not.")


class KeyItem(ResponseModel):
    """An API key, without its secret."""

    id: str = Field(description="Id of the key.")
    name: str = Field(description="Unique name.")
    scope: Scope = Field(description="What it may do; each scope includes the ones before it.")
    state: Literal["live", "revoked", "expired"] = Field(description="Only a live key is accepted.")
    created_at: datetime = Field(description="When it was created.")
    expires_at: datetime | None = Field(description="When it expires; null if it does not.")
    last_used_at: datetime | None = Field(description="When it was last used, recorded once a minute; null: never.")
    revoked_at: datetime | None = Field(description="When it was revoked; null if it was not.")


class KeyPage(Page[KeyItem]):
    """One page of the keys."""

    caller: str | None = Field(
        description="Name of the key that makes the request, `RDW_API_KEYS` for one of the settings. Null if the "
        "service has no keys and needs none."
    )


class CreatedKey(KeyItem):
    """A new API key with its secret."""

    secret: str | None = Field(
        description="The key to send: `Authorization: Bearer SECRET`. It is shown once. Null if the request repeats "
        "one that created the key."
    )
