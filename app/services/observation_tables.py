"""Reads tables of results, as spreadsheets, tuners and this service write them, for imports."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.core.csv_cells import unescape
from app.scaling.search.observations import Role

REQUIRED = ("r", "d", "w", "accuracy")
_ALIASES = {
    "r": ("r", "r_multiplier", "resolution_multiplier"),
    "d": ("d", "d_multiplier", "depth", "depth_multiplier"),
    "w": ("w", "w_multiplier", "width", "width_multiplier"),
    "accuracy": (
        "accuracy", "acc", "acc1", "acc_1", "top1", "top_1", "top1_accuracy", "top_1_accuracy", "top1_acc", "val_acc",
        "val_accuracy", "val_top1", "valid_acc", "valid_accuracy", "validation_accuracy", "eval_top1", "eval_accuracy",
        "value", "values_0", "objective",
    ),
    "seconds": ("seconds", "duration", "duration_seconds", "train_seconds", "training_seconds", "runtime"),
    "latency_ms": ("latency_ms", "latency"),
    **{name: (name,) for name in ("role", "retracted_at", "retraction_reason")},
}  # fmt: skip
_PREFIX = re.compile(r"^(params?|config|hparams|hyperparameters|summary|metrics|user_attrs)[_./]+")
_NUMBERS = ("r", "d", "w", "accuracy", "seconds", "latency_ms")
_STATE_COLUMNS, _FINISHED = ("state", "status"), ("", "complete", "completed", "finished", "success", "succeeded", "ok")
_DELIMITERS = ",;\t|"
_DECIMAL_COMMA = re.compile(r"^[+-]?\d+,\d+$")
_ROLES = frozenset(Role)
_MISSING = frozenset(("", "nan", "na", "n/a", "none", "null"))


class InvalidTable(Exception):
    """The text is not a table of observations; the message says where it is wrong."""


@dataclass(frozen=True)
class ObservationTable:
    """The rows of a table, each by the fields of an import.

    `lines` has the line number of each row, and `columns` the table's name of each field. Other columns are ignored.
    Rows of unfinished trainings and of networks without multipliers are skipped.
    """

    rows: list[dict[str, str | float | None]]
    lines: list[int]
    columns: dict[str, str]
    ignored_columns: list[str]
    skipped_rows: int


def read_table(body: bytes) -> ObservationTable:
    """Read a table with a header line, separated by commas, semicolons, tabs or bars.

    Raises: InvalidTable.
    """
    lines, delimiter = _split(_decode(body))
    if not lines:
        raise InvalidTable("the table is empty: its first line must name the columns r, d, w and accuracy")
    (_, header), *body_lines = lines
    names = [name.strip() for name in header]
    body_lines = [(line, _fit(row, names)) for line, row in body_lines]
    if body_lines and all(len(row) == len(names) + 1 for _, row in body_lines):
        names = ["", *names]  # a column of row names without a name of its own
    for line, row in body_lines:
        if len(row) != len(names):
            raise InvalidTable(f"line {line} has {len(row)} fields, the first line {len(names)}")
    indices = _find_columns(names)
    state = next((i for i, name in enumerate(names) if name.casefold() in _STATE_COLUMNS), None)
    rows, numbers, skipped = [], [], 0
    for line, row in body_lines:
        values = {field: _clean(field, row[i], delimiter) for field, i in indices.items()}
        is_unfinished = state is not None and row[state].strip().casefold().split(".")[-1] not in _FINISHED
        if is_unfinished or all(values[name] is None for name in ("r", "d", "w")):
            skipped += 1
            continue
        rows.append(values)
        numbers.append(line)
    used = {*indices.values(), state}
    return ObservationTable(
        rows,
        numbers,
        {field: names[i] for field, i in indices.items()},
        [name for i, name in enumerate(names) if i not in used and name],
        skipped,
    )


def _decode(body: bytes) -> str:
    """Decode UTF-8 or UTF-16, with or without a byte order mark, else the code page of western Windows.

    Raises: InvalidTable.
    """
    encodings = ["utf-8-sig", "cp1252"]
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    elif b"\0" in body[:2]:
        encodings = ["utf-16-be" if body[0] == 0 else "utf-16-le"]
    for encoding in encodings:
        try:
            text = body.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise InvalidTable("this is not text in UTF-8 or UTF-16")


def _split(text: str) -> tuple[list[tuple[int, list[str]]], str]:
    """Return the rows that are neither empty nor comments, with the numbers of their lines, and the separator.

    Raises: InvalidTable.
    """
    plain = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    first = next((i for i, line in enumerate(plain) if line.strip() and not line.startswith("#")), len(plain))
    delimiter = ""
    if first < len(plain) and re.fullmatch(r"sep=.", plain[first].strip(" ")):  # as Excel writes it
        delimiter = plain[first].strip(" ")[-1]
        first += 1
    if not delimiter and first < len(plain):
        delimiter = max(_DELIMITERS, key=lambda candidate: _count_fields(plain[first], candidate))
    reader = csv.reader(io.StringIO("\n".join(plain[first:])), delimiter=delimiter or ",")
    try:
        rows = [(first + reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise InvalidTable(f"line {first + reader.line_num} is not CSV: {error}") from error
    content = [(line, row) for line, row in rows if any(field.strip() for field in row) and not row[0].startswith("#")]
    return content, delimiter


def _count_fields(header: str, delimiter: str) -> tuple[int, int]:
    """Count the columns that are fields, and all columns, if the header has this separator."""
    names = next(csv.reader([header], delimiter=delimiter), [])
    return len({field for name in names if (field := _field_of(name))}), len(names)


def _fit(row: list[str], header: list[str]) -> list[str]:
    """Drop empty fields at the end that the header does not have."""
    while len(row) > len(header) and not row[-1].strip():
        row = row[:-1]
    return row


def _field_of(name: str) -> str | None:
    """Return the field that a column's name stands for, ignoring case, spaces and prefixes."""
    plain = _PREFIX.sub("", name.strip().casefold())
    plain = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    return next((field for field, aliases in _ALIASES.items() if plain in aliases), None)


def _find_columns(names: list[str]) -> dict[str, int]:
    """Return the index of each field's column; a column with the field's own name comes first.

    Raises: InvalidTable if a required one is missing or a field has several columns.
    """
    candidates: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        field = _field_of(name)
        if field is not None:
            candidates.setdefault(field, []).append(i)
    for field, indices in candidates.items():
        own = [i for i in indices if names[i].casefold() == field]
        candidates[field] = own or indices
        if len(candidates[field]) > 1:
            several = " and ".join(repr(names[i]) for i in candidates[field])
            raise InvalidTable(f"the columns {several} may both be {field}: rename the right one to {field}")
    missing = [name for name in REQUIRED if name not in candidates]
    if missing:
        present = ", ".join(name for name in names if name) or "no columns"
        raise InvalidTable(
            f"there is no column {' and no column '.join(missing)}: the first line must name r, d, w and accuracy; "
            f"it names {present[:500]}"
        )
    return {field: indices[0] for field, indices in candidates.items()}


def _clean(field: str, value: str, delimiter: str) -> str | float | None:
    """Return the cell as a value of the import: None if it is empty, and a number's text if it cannot be parsed."""
    if field == "retraction_reason":
        return unescape(value) or None
    value = value.strip()
    if value.casefold() in _MISSING:
        return None
    if field == "role":
        return value if value in _ROLES else None
    if field not in _NUMBERS:
        return value
    if delimiter != "," and _DECIMAL_COMMA.match(value):
        value = value.replace(",", ".")
    if field == "seconds" and ":" in value:
        value = _parse_duration(value)
    try:
        return float(value)
    except ValueError:
        return value


def _parse_duration(value: str) -> str:
    """Return the seconds of a duration as pandas writes it (`0 days 00:05:00.25`); other values as they are."""
    days, _, clock = value.rpartition(" days ")
    for layout in ("%H:%M:%S.%f", "%H:%M:%S"):
        try:
            time = datetime.strptime(clock, layout)
            passed = timedelta(int(days or 0), time.second, time.microsecond, 0, time.minute, time.hour)
        except ValueError:
            continue
        return str(passed.total_seconds())
    return value
