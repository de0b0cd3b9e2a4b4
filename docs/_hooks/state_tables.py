"""Fills the page of states from the tables of transitions in the code."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from html import escape
from importlib import import_module
from typing import Any, NamedTuple

MARKER = re.compile(r"<!-- transitions of (\w+) -->")
LIFECYCLES = {
    "trials": "app.services.trials.lifecycle",
    "studies": "app.services.studies.lifecycle",
}
BOX_WIDTH, BOX_HEIGHT = 110, 34
COLUMN, ROW = 150, 62


class Edge(NamedTuple):
    """A transition between two states."""

    name: str
    source: str
    target: str
    description: str


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by MkDocs for every page."""
    return MARKER.sub(lambda match: _section(import_module(LIFECYCLES[match[1]]).Transition), markdown)


def _section(transitions: Iterable[Enum]) -> str:
    edges = [
        Edge(t.name.lower().replace("_", " "), source.value, t.target.value, getattr(t, "description", ""))  # type: ignore[attr-defined]
        for t in transitions
        for source in t.sources  # type: ignore[attr-defined]
    ]
    has_descriptions = any(edge.description for edge in edges)
    header = ["from", "transition", "to", *(["when"] if has_descriptions else [])]
    rows = [[f"`{e.source}`", e.name, f"`{e.target}`", *([e.description] if has_descriptions else [])] for e in edges]
    table = ["| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header), *rows)]
    return f"{_diagram(edges)}\n\n" + "\n".join(table)


def _diagram(edges: list[Edge]) -> str:
    """An SVG with a column per state and a row per transition, like a sequence diagram."""
    states = list(dict.fromkeys(state for edge in edges for state in (edge.source, edge.target)))
    x = {state: 70 + COLUMN * column for column, state in enumerate(states)}
    width, height = COLUMN * len(states) - 10, 60 + ROW // 2 * (len(edges) + 1)
    arrow = f"arrow-from-{states[0]}"  # unique in the page
    parts = [
        f'<div class="diagram" tabindex="0"><svg viewBox="0 0 {width} {height}" role="img" '
        'aria-label="States and transitions; the table below lists them" xmlns="http://www.w3.org/2000/svg" '
        'font-family="sans-serif" font-size="13" fill="currentColor" stroke="none">',
        f'<defs><marker id="{arrow}" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto-start-reverse"><path d="M0 0 8 4 0 8z"/></marker></defs>',
    ]
    for state in states:
        left = x[state] - BOX_WIDTH // 2
        parts += [
            f'<rect x="{left}" y="6" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6" fill="none" '
            'stroke="currentColor"/>',
            f'<text x="{x[state]}" y="28" text-anchor="middle">{escape(state)}</text>',
            f'<path d="M{x[state]} {6 + BOX_HEIGHT}V{height - 6}" stroke="currentColor" stroke-opacity=".25"/>',
        ]
    for row, edge in enumerate(edges):
        y = 60 + ROW // 2 * (row + 1) - 6
        start, end = x[edge.source], x[edge.target]
        parts += [
            f'<path d="M{start} {y}H{end}" stroke="currentColor" marker-end="url(#{arrow})"/>',
            f'<text x="{(start + end) // 2}" y="{y - 5}" text-anchor="middle">{escape(edge.name)}</text>',
        ]
    return "".join([*parts, "</svg></div>"])
