"""Tables for people, JSON for programs; colour only where a terminal shows it and NO_COLOR is not set."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

from app.cli.cells import columns, cut, width

_BOLD, _DIM, _RED, _YELLOW, _GREEN, _PLAIN = "\033[1m", "\033[2m", "\033[31m", "\033[33m", "\033[32m", "\033[0m"
_NARROWEST = 6  # cells of a column that gives way
_COLOURS = {
    "completed": _GREEN, "ok": _GREEN, "running": _BOLD, "failed": _RED, "fail": _RED, "cancelled": _YELLOW,
    "warn": _YELLOW, "warning": _YELLOW, "dim": _DIM, "head": _BOLD,
}  # fmt: skip


def coloured(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, kind: str, stream: TextIO | None = None) -> str:
    """The text in the colour of a state, where it is to have one."""
    colour = _COLOURS.get(kind)
    return f"{colour}{text}{_PLAIN}" if colour and text and coloured(stream or sys.stdout) else text


def document(value: Any) -> None:
    """One JSON document, and nothing else."""
    print(_json(value, escaped=not (sys.stdout.encoding or "").lower().startswith("utf")))


def document_to(path: Path, value: Any) -> None:
    """The same to a file.

    Raises: OSError with the file's name.
    """
    write(path, _json(value) + "\n")


def write(path: Path, content: str | bytes) -> None:
    """Raises: OSError with the file's name, where the disk is full as well."""
    try:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def _json(value: Any, *, escaped: bool = False) -> str:
    return json.dumps(value, indent=2, ensure_ascii=escaped)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], give: Sequence[str] = ()) -> None:
    """Aligned; columns of numbers to the right. States have their colours.

    `give`: columns that are cut where a terminal is too narrow for all of them.
    """
    lines = [list(head), *([str(cell) for cell in row] for row in rows)]
    if len(lines) == 1:
        print(paint("none", "dim"))
        return
    widths = [max(width(line[column]) for line in lines) for column in range(len(head))]
    _narrow(widths, [column for column, name in enumerate(head) if name in give])
    right = [all(_number(line[column]) for line in lines[1:]) for column in range(len(head))]
    for number, line in enumerate(lines):
        cells = [
            _aligned(cut(cell, room), room, to_right, "head" if number == 0 else cell.partition(" ")[0])
            for cell, room, to_right in zip(line, widths, right, strict=True)
        ]
        print("  ".join(cells).rstrip())


def _narrow(widths: list[int], giving: list[int]) -> None:
    """The widest of those that give way a cell less, until all fit the terminal."""
    most = columns(sys.stdout)
    while most is not None and giving and sum(widths) + 2 * (len(widths) - 1) > most:
        widest = max(giving, key=lambda column: widths[column])
        if widths[widest] <= _NARROWEST:
            return
        widths[widest] -= 1


def _aligned(cell: str, room: int, to_right: bool, kind: str) -> str:
    blank = " " * (room - width(cell))
    painted = paint(cell, kind)
    return blank + painted if to_right else painted + blank


def facts(pairs: Iterable[tuple[str, Any]]) -> None:
    """A name and a value a line; those that have none are left out."""
    known = [(name, str(value)) for name, value in pairs if value not in (None, "", "-")]
    room = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        print(f"{paint(name.ljust(room), 'dim')}  {paint(value, value)}")


def sentence(text: str) -> str:
    """With a capital and a full stop; a formula, r(c), stays as it is."""
    is_formula = re.match(r"\w+\(", text)
    return f"{text if is_formula else text[:1].upper() + text[1:]}."


def note(text: str) -> None:
    """For people, beside what the command answers: on stderr."""
    print(text, file=sys.stderr)


def _number(cell: str) -> bool:
    return cell in ("-", "") or re.fullmatch(r"[+\-±]?\.?\d[\d.,]*([KMGT]?|%| .*)", cell) is not None
