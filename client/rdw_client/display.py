"""How responses are shown: on one line, as an HTML table in notebooks, and as a pandas data frame."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from datetime import datetime
from importlib import import_module
from typing import Any

MAX_LINE = 120
MAX_TEXT = 40
MAX_ROWS = 100  # of an HTML table


def one_line(response: Any) -> str:
    """The first values of the response's summary, as many as fit on a line."""
    name = type(response).__name__
    parts = [f"{label}={_text(value, quote=True)}" for label, value in summary(response).items()]
    line = f"{name}({', '.join(parts)})"
    while len(line) > MAX_LINE:
        parts.pop()
        line = f"{name}({', '.join([*parts, '…'])})"
    return line


def html_table(response: Any) -> str:
    """A table of the items of a response, or of its own values if it has no items."""
    items = _items(response)
    if items is None:
        return _table([[label, _text(value)] for label, value in summary(response).items()], [])
    rows = [summary(item) for item in items[:MAX_ROWS]]
    columns = list(dict.fromkeys(label for row in rows for label in row))
    table = _table([[_text(row[label]) if label in row else "" for label in columns] for row in rows], columns)
    hidden = len(items) - len(rows)
    return f"{table}<p>… and {hidden} more</p>" if hidden > 0 else table


def summary(response: Any) -> dict[str, Any]:
    """The values that `summary_fields` of the response's class lists (by default all) and that are not None, by label.

    A field such as `multipliers.r` is inside another one; its label is `r`.
    """
    paths = type(response).summary_fields or [field.name for field in fields(response) if field.name != "raw"]
    values = {path.rpartition(".")[2]: _at(response, path) for path in paths}
    return {label: value for label, value in values.items() if value is not None}


def to_dataframe(responses: Iterable[Any]) -> Any:
    """A pandas data frame with a row per response; values inside others have columns such as `multipliers.r`.

    Raises: ImportError if pandas is not installed.
    """
    try:
        pandas = import_module("pandas")
    except ImportError as error:
        raise ImportError("Data frames need pandas: pip install 'rdw-client[pandas]'") from error
    return pandas.json_normalize([_record(response) for response in responses])


def rows_of(response: Any) -> list[Any]:
    """The items of a response, or the response itself if it has none."""
    items = _items(response)
    return [response] if items is None else list(items)


def _items(response: Any) -> tuple[Any, ...] | None:
    items = getattr(response, "items", None)
    return items if isinstance(items, tuple) else None


def _at(response: Any, path: str) -> Any:
    for name in path.split("."):
        response = response.get(name) if isinstance(response, dict) else getattr(response, name, None)
    return response


def _text(value: Any, *, quote: bool = False) -> str:
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, str):
        text = value if len(value) <= MAX_TEXT else f"{value[: MAX_TEXT - 1]}…"
        return repr(text) if quote else text
    if is_dataclass(value):
        return f"<{type(value).__name__}>"
    if isinstance(value, dict | tuple | list):
        text = repr(value)
        return text if len(text) <= MAX_TEXT else f"<{len(value)} {'fields' if isinstance(value, dict) else 'items'}>"
    return repr(value)


def _table(rows: list[list[str]], columns: list[str]) -> str:
    head = f"<thead>{_row(columns, 'th')}</thead>" if columns else ""
    return f"<table>{head}<tbody>{''.join(_row(row, 'td') for row in rows)}</tbody></table>"


def _row(cells: list[str], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"


def _record(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: _record(getattr(value, field.name)) for field in fields(value) if field.name != "raw"}
    return [_record(item) for item in value] if isinstance(value, tuple) else value
