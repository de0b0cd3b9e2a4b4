"""Tables for people and JSON for programs on stdout; notes and errors on stderr."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.core.trials import TrialState

if TYPE_CHECKING:
    from rich.console import Console

_MAX_WIDTH = 100_000  # columns of output that does not go to a terminal: it is neither wrapped nor cut
_STYLES: dict[str, str] = {
    TrialState.COMPLETED: "green",
    TrialState.RUNNING: "bold",
    TrialState.FAILED: "red",
    TrialState.CANCELLED: "yellow",
    "ok": "green",
    "warn": "yellow",
    "fail": "red",
    "warning": "yellow",
    "error": "red",
}
_NUMBER = re.compile(r"-?|[+\-±]?\.?\d[\d.,]*([KMGT]?|%| .*)")


def console(*, stderr: bool = False) -> Console:
    """Return the console of stdout or stderr, plain unless it is a terminal and NO_COLOR is not set."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _MAX_WIDTH
    return Console(
        file=stream,
        width=width,
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        highlight=False,
        markup=False,
        emoji=False,
    )


def style_of(text: str) -> str:
    """Return the style of a state such as `running 50%`; other text has none."""
    return _STYLES.get(text.partition(" ")[0], "")


def print_json(value: Any) -> None:
    """Print one JSON document."""
    print(_to_json(value))


def write_json(path: Path, value: Any) -> None:
    """Write one JSON document to a file."""
    write_file(path, f"{_to_json(value)}\n")


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file. Raises: OSError with the name of the file, also if the disk is full."""
    try:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        error.filename = str(path)
        raise


def _to_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print aligned columns, numbers to the right. On a narrow terminal, text wraps within its column."""
    from rich.table import Table
    from rich.text import Text

    cells = [list(row) for row in rows]
    if not cells:
        print("none")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for index, title in enumerate(head):
        is_numeric = index > 0 and all(_NUMBER.fullmatch(row[index]) for row in cells)
        table.add_column(title, justify="right" if is_numeric else "left", no_wrap=is_numeric or index == 0)
    for row in cells:
        table.add_row(*(Text(cell, style_of(cell)) for cell in row))
    console().print(table)


def print_facts(pairs: Iterable[tuple[str, Any]]) -> None:
    """Print a name and a value per line; pairs without a value are left out."""
    from rich.text import Text

    facts = [(name, str(value)) for name, value in pairs if value not in (None, "", "-")]
    width = max((len(name) for name, _ in facts), default=0)
    out = console()
    for name, value in facts:
        out.print(Text.assemble((name.ljust(width), "dim"), "  ", (value, style_of(value))), soft_wrap=True)


def note(text: str, *, label: str = "") -> None:
    """Print a note for people to stderr, after a coloured label such as `warning`."""
    if not label:
        print(text, file=sys.stderr)
        return
    from rich.text import Text

    console(stderr=True).print(Text.assemble((f"{label}:", style_of(label)), " ", text), soft_wrap=True)
