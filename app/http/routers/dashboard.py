"""The dashboard: a page and its assets. Like any client, it reads everything from the public API."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.staticfiles import StaticFiles
from starlette.responses import Response
from starlette.types import Scope

from app.http.conditional import file_response

ASSETS = Path(__file__).parent.parent / "dashboard"

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",  # revalidated each time, so that after an upgrade all modules are of one version
}

router = APIRouter()


@router.get("/", include_in_schema=False)
def dashboard(request: Request) -> Response:
    return file_response(request, ASSETS / "index.html", _HEADERS)


class Assets(StaticFiles):
    """The page's style and modules, under the page's own policy."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(_HEADERS)
        return response
