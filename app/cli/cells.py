"""How wide a text is on a terminal, in cells: letters of East Asia and emoji take two, accents that combine none."""

from __future__ import annotations

import os
import unicodedata
from typing import TextIO

_USUAL = 80


def width(text: str) -> int:
    return len(text) if text.isascii() else sum(_cells(letter) for letter in text)


def cut(text: str, most: int) -> str:
    """At most so many cells of it; what is missing shows as …"""
    if width(text) <= most:
        return text
    kept, room = "", most - 1
    for letter in text:
        room -= _cells(letter)
        if room < 0:
            break
        kept += letter
    return f"{kept}…" if most > 0 else ""


def columns(stream: TextIO) -> int | None:
    """Of the terminal that it goes to; none where it goes elsewhere."""
    if not stream.isatty():
        return None
    try:
        return os.get_terminal_size(stream.fileno()).columns or _USUAL
    except (OSError, ValueError):
        return _USUAL


def _cells(letter: str) -> int:
    if unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in ("W", "F") else 1
