"""Fills the page of commands from the typer app of `rdw`."""

from __future__ import annotations

from typing import Any

import typer
from typer.cli import get_docs_for_click
from typer.main import get_command

from app.cli.main import app

MARKER = "<!-- commands -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by MkDocs for every page."""
    if MARKER not in markdown:
        return markdown
    command = get_command(app)
    reference = get_docs_for_click(obj=command, ctx=typer.Context(command), name="rdw", indent=1)
    return markdown.replace(MARKER, reference)
