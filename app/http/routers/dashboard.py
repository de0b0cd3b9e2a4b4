"""The dashboard: a page and its files. Like any client, it reads everything from the public API."""

from __future__ import annotations

import re
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from app.http.conditional import add_etag
from app.http.static_files import VersionedFiles

_FOLDER = Path(__file__).parent.parent / "dashboard"
_FIRST_MODULES = ("main.js", "scale.js")  # of the landing page; other views are loaded when they are opened
_STATIC_IMPORT = re.compile(r"""^(?:import|export)\b[^"';]*["']\./([^"']+)["'];""", re.MULTILINE)
_POLICY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}

router = APIRouter()
files = VersionedFiles(_FOLDER, _POLICY)


def _preloaded() -> list[str]:
    """Return the modules that the landing page imports, directly or not.

    A browser that finds them one import after the other makes a round trip for each step.
    """
    found = list(_FIRST_MODULES)
    for name in found:  # grows meanwhile
        found += [n for n in _STATIC_IMPORT.findall((_FOLDER / name).read_text("utf-8")) if n not in found]
    return found


def _page() -> str:
    """Return the page, which refers to the files of this version."""
    links = "\n".join(f'<link rel="modulepreload" href="dashboard/{name}">' for name in _preloaded())
    page = (_FOLDER / "index.html").read_text("utf-8").replace("<!-- preloaded modules -->", links)
    return page.replace('="dashboard/', f'="dashboard/{files.version}/')


_PAGE = _page()


@router.get("/", include_in_schema=False)
def dashboard(request: Request) -> Response:
    return add_etag(request, HTMLResponse(_PAGE, headers=_POLICY))
