"""Text in CSV that a spreadsheet shows and does not execute.

Spreadsheets take a cell that begins with one of `=`, `+`, `-`, `@`, tab or a line break for a formula. Such text gets
an apostrophe in front, which spreadsheets understand as "this is text". Numbers stay numbers.
"""

from __future__ import annotations

import re

_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff0b\uff0d\uff1d\uff20]")  # with apostrophes, so that `unescape` is the inverse


def escape(value: object) -> object:
    """Return the value as a cell; only text changes, and only if a spreadsheet could execute it."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def unescape(text: str) -> str:
    """Return the text that `escape` made a cell."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text
