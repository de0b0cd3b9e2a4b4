"""The responses of routes that delete: 204, or with `dry_run` what depends on the resource."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from app.core.deletion import Deletion
from app.http.route import respond_with
from app.http.schemas.common import DeletionPreview

DELETION: dict[str, Any] = {
    "status_code": 204,
    "response_class": Response,
    "responses": {200: {"model": DeletionPreview, "description": "What depends on it (`dry_run`)."}},
}
"""The options of a route that deletes."""


def deletion_response(deletion: Deletion, *, dry_run: bool) -> Response:
    """Return the response to a request that has deleted the resource, or only asked what depends on it."""
    if not dry_run:
        return Response(status_code=204)
    return respond_with(DeletionPreview(dependents=deletion.ids, dependent_counts=deletion.counts))
