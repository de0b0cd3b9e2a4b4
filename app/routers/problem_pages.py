"""The pages that problem documents' `type` leads to."""

from __future__ import annotations

from html import escape

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from app.accepts import prefers
from app.errors import NotFound
from app.problem_kinds import KINDS, Kind
from app.security_headers import PAGE_POLICY

router = APIRouter(prefix="/problems", include_in_schema=False)

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · rdw</title>
<link rel="stylesheet" href="/assets/page.css">
</head>
<body>
<main>
{content}
</main>
</body>
</html>
"""


@router.get("")
def list_problems() -> HTMLResponse:
    """Every kind, with its page."""
    rows = "\n".join(
        f'<tr><td><a href="/problems/{name}"><code>{name}</code></a></td><td>{kind.status}</td>'
        f"<td>{escape(kind.title)}</td></tr>"
        for name, kind in KINDS.items()
    )
    head = '<tr><th scope="col">Type</th><th scope="col">Status</th><th scope="col">Title</th></tr>'
    content = (
        "<h1>Problems</h1>\n<p>Every error of rdw is a problem document (RFC 9457); its <code>type</code> is one of "
        f"these.</p>\n<table>\n<thead>{head}</thead>\n<tbody>\n{rows}\n</tbody>\n</table>"
    )
    return _page("Problems", content)


@router.get("/{kind}")
def read_problem(kind: str, request: Request) -> Response:
    """What it means and what to do, as a page, or as JSON for who prefers that."""
    known = KINDS.get(kind)
    if known is None:
        raise NotFound("kind of problem", kind)
    if prefers(request.headers.get("accept", "*/*"), "application/json", "text/html"):
        plain = {"type": f"/problems/{kind}", "title": known.title, "status": known.status}
        return JSONResponse({**plain, "meaning": known.meaning, "remedy": known.remedy}, headers={"Vary": "Accept"})
    return _page(known.title, _told(kind, known))


def _told(name: str, kind: Kind) -> str:
    return (
        f"<p><code>/problems/{name}</code> · {kind.status}</p>\n<h1>{escape(kind.title)}</h1>\n"
        f"<h2>What it means</h2>\n<p>{_marked(kind.meaning)}</p>\n<h2>What to do</h2>\n<p>{_marked(kind.remedy)}</p>\n"
        '<p><a href="/problems">All problems</a> · <a href="/docs">Playground</a></p>'
    )


def _marked(text: str) -> str:
    """Escaped, what stands between backticks as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))


def _page(title: str, content: str) -> HTMLResponse:
    return HTMLResponse(
        _PAGE.format(title=escape(title), content=content),
        headers={"Content-Security-Policy": PAGE_POLICY, "Vary": "Accept"},
    )
